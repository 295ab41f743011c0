"""The outcome of a run: the judgement, the report, and the run's folder in the store."""
