"""Excerpts: the beginning of a value or a line from a peer, or of a long text, for log lines and texts of errors."""

from __future__ import annotations

from typing import Final

_EXCERPT: Final = 120
"""Characters of a value, or bytes of a line: enough to recognise it, and few enough for one line of a log."""

TEXT_LIMIT: Final = 65_536
"""Characters of the text of an error in a reply, and of a text in the log: more than people read, and far less than a
line that other nodes refuse."""

_SLACK: Final = 200
"""Characters that a text may have above the limit: enough for that number and a level, so nothing is cut twice."""


def bounded(text: str) -> str:
    """Return *text*; if it has more than `TEXT_LIMIT` characters, return its beginning and the number of the others."""
    if len(text) <= TEXT_LIMIT + _SLACK:
        return text
    return f"{text[:TEXT_LIMIT]}... ({len(text) - TEXT_LIMIT} more characters)"


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
