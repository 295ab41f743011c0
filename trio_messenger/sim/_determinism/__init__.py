"""Determinism: random streams and a scheduler that depend on the seed alone, and virtual time."""
