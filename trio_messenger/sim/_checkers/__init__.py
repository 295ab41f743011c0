"""Checkers: each examines a history or a journal and reports errors. A checker knows nothing of the run behind it.

Results are maps of JSON values under Maelstrom's names, such as ``valid?``, so that people can compare them with
Maelstrom's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

Valid: TypeAlias = bool | Literal["unknown"]
"""A verdict. ``unknown`` means: no error was found, but too little happened to call the run valid."""

Results: TypeAlias = dict[str, Any]
"""The result of a checker: ``valid?``, a `Valid`, and figures under Maelstrom's names."""


def worst(verdicts: Iterable[Valid]) -> Valid:
    """Return the worst of *verdicts*: False, then ``unknown``, then True; True if there are none."""
    found = list(verdicts)
    if any(verdict is False for verdict in found):
        return False
    return "unknown" if "unknown" in found else True
