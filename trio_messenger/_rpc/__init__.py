"""Pending RPCs: their records and deadlines, the reaper that ends them, and the calls that use both."""
