"""Excerpts: the beginning of a value or a line from a peer, for log lines and the texts of errors."""

from __future__ import annotations

from typing import Final

_EXCERPT: Final = 120
"""Characters of a value, or bytes of a line: enough to recognise it, and few enough for one line of a log."""


def excerpt(value: object) -> str:
    """Return the beginning of the ``repr`` of *value*. It may come from a peer, so it may be very deep or long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # it is nested too deeply, or has an integer with too many digits
        return f"an unprintable {type(value).__name__}"
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def excerpt_of_line(line: bytes) -> str:
    """Return the beginning of *line* in ASCII: as in a bytes literal, without the quotes."""
    return ascii(line[:_EXCERPT])[2:-1]
