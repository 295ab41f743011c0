"""How many operations succeeded, and whether that was enough; Maelstrom's ``--availability``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from .._records.history import History
from . import Results
from .stats import outcomes

Availability: TypeAlias = Literal["total"] | float | None
"""What is wanted: every operation to be ok (``total``), at least this fraction of them, or (None) nothing."""


def availability(history: History, wanted: Availability = None) -> Results:
    """Judge whether enough operations of *history*, final ones included but no audits, were ok.

    Args:
      history: What happened.
      wanted: ``total``, a fraction from 0 to 1, or None, with which every history is valid.

    Returns:
      ``ok-fraction``, the fraction of operations that were ok; 1 if there were none.

    Raises:
      ValueError: if *wanted* is something else.
    """
    counts = outcomes(history.counted())
    fraction = counts["ok-count"] / counts["count"] if counts["count"] else 1.0
    return {"valid?": fraction >= _least(wanted), "ok-fraction": fraction}


def _least(wanted: Availability) -> float:
    if wanted is None:
        return 0.0
    if wanted == "total":
        return 1.0
    if not isinstance(wanted, (int, float)) or not 0 <= wanted <= 1:
        raise ValueError(f"the availability wanted is {wanted!r}; give 'total', a fraction from 0 to 1, or None")
    return wanted
