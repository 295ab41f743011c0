"""Runs that get nowhere: noticed in virtual time, in real time, and by how much a process prints."""
