"""Sending: turn messages into bytes, and queue them for the writer."""
