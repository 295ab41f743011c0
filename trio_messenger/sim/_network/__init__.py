"""The simulated network: what carries messages, how long that takes, and what faults do to it."""
