"""The way out of a node: from a message to bytes that wait for the writer."""
