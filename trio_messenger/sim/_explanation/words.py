"""Values, times, names and lists in the form in which sentences use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .._records.cut_texts import cut_json

LISTED: Final = 8
"""The number of items of a list that are named; the rest are only counted."""


def seconds(nanoseconds: int) -> str:
    """Return a time of the run, such as ``13.72 s``: rounded to milliseconds, without trailing zeros."""
    return f"{nanoseconds / 1e9:.3f}".rstrip("0").rstrip(".") + " s"


def in_words(names: Sequence[str]) -> str:
    """Return *names*, at least one, as a phrase: ``n1, n2 and n3``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def listed(values: Sequence[Any], count: int | None = None) -> str:
    """Return the first of *values*, and how many more there are; *count* is the number of all if *values* are some."""
    rest = (len(values) if count is None else count) - LISTED
    if rest <= 1:  # naming one more value is as short as counting it
        return in_words([cut_json(value) for value in values])
    return in_words([*(cut_json(value) for value in values[:LISTED]), f"{rest:,} more"])


def quantity(count: int, word: str) -> str:
    """Return *count* and *word*, which gets a plural s unless *count* is 1."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
