"""Fault records, random schedules of faults, and the search for the smallest schedule that fails."""
