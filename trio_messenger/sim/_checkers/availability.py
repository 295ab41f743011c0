"""The availability checker: whether enough operations succeeded, as in Maelstrom's ``--availability``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from .._records.history import History
from . import Results
from .operation_stats import outcomes

Availability: TypeAlias = Literal["total"] | float | None
"""The requirement: every operation is ok (``total``), at least this fraction is ok, or no requirement (None)."""


def availability(history: History, wanted: Availability = None) -> Results:
    """Judge whether enough operations of *history* were ok. Final operations count, audits do not.

    Args:
      history: The operations.
      wanted: ``total``, a fraction from 0 to 1, or None, which accepts every history.

    Returns:
      ``ok-fraction``, the fraction of operations that were ok; 1 if there were no operations.

    Raises:
      ValueError: if *wanted* is anything else.
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
