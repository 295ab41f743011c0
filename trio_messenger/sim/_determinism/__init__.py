"""Chance and time that a seed decides: streams of random numbers, and a scheduler without chance of its own."""
