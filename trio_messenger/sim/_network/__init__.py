"""The simulated network: it carries messages, delays them, and applies faults to them."""
