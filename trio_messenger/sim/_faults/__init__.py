"""Faults as values: what goes wrong where and when, schedules made by chance, and which of a schedule suffice."""
