"""Checkers: each looks at a history, or a journal, and says what is wrong with it. None knows how it came about.

Results are maps of JSON values with the names that Maelstrom gives them, ``valid?`` among them, so that the two can be
compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

Valid: TypeAlias = bool | Literal["unknown"]
"""A verdict. ``unknown``: nothing was found wrong, but too little was seen to call it right."""

Results: TypeAlias = dict[str, Any]
"""What a checker found: ``valid?``, a `Valid`, and figures under Maelstrom's names."""


def worst(verdicts: Iterable[Valid]) -> Valid:
    """Return the worst of *verdicts*: False, then ``unknown``, then True; True if there are none."""
    found = list(verdicts)
    if any(verdict is False for verdict in found):
        return False
    return "unknown" if "unknown" in found else True
