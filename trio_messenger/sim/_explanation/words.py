"""Values, times, names and lists as they stand in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

LISTED: Final = 8
"""Items of a list that are named; of more, the last ones are only counted."""

_EXCERPT: Final = 60
"""Characters of a value: enough to recognise it."""

_NS: Final = 1_000_000_000


def shown(value: Any) -> str:
    """Return *value* as JSON, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def seconds(nanoseconds: int) -> str:
    """Return a time of the run, such as ``13.72 s``: to the millisecond, as far as there is something to tell."""
    return f"{nanoseconds / _NS:.3f}".rstrip("0").rstrip(".") + " s"


def in_words(names: Sequence[str]) -> str:
    """Return *names*, of which there is at least one, as they stand in a sentence: ``n1, n2 and n3``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def listed(values: Sequence[Any]) -> str:
    """Return the first of *values*, and how many more there are."""
    rest = len(values) - LISTED
    if rest <= 1:  # to name one more is as short as to count it
        return in_words([shown(value) for value in values])
    return in_words([*(shown(value) for value in values[:LISTED]), f"{rest:,} more"])


def quantity(count: int, word: str) -> str:
    """Return *count* and *word*, in the plural unless there is one."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
