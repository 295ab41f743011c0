"""What happened in a run, as values: the history of operations, and the journal of messages."""
