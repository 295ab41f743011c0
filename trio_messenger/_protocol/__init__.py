"""The protocol as values: messages, lines, errors, and what a node counts. No Trio, no I/O, no clock."""
