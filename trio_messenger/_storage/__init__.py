"""Durable stores: the data that a node keeps across its lives, in memory or in a directory."""
