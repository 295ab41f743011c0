"""Helpers for calling code that the author of a node wrote: its parameters, its failures, and scopes it leaves open."""
