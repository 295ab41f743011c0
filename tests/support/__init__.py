"""Helpers that several test modules share; what the package itself offers for tests is in `trio_messenger.testing`."""
