"""What is said of a run, and what is left of it: judgement, report, the folder in the store."""
