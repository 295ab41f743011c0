"""Runaway runs: detected in virtual time, in real time, and by the amount that processes print."""
