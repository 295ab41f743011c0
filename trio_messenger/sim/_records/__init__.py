"""Records of a run: the history of operations, and the journal of messages and events."""
