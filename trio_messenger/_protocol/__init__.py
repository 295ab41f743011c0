"""The protocol as values: messages, lines, errors and a node's counters. No Trio, no I/O, no clock."""
