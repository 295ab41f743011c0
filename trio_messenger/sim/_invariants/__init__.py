"""Invariants that are checked while a run goes on, and the assertions in the code of nodes."""
