"""Latencies: how long operations took; the figures behind Jepsen's ``latency-quantiles`` graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .._records.history import History, Operation
from . import Results
from .operation_stats import grouped, outcomes
from .quantiles import quantiles

LATENCY_POINTS: Final = (0.5, 0.95, 0.99, 1)
"""The quantiles in the results, the same as in Jepsen's graph."""


def latencies(history: History) -> Results:
    """Measure how long the operations of *history* took, without audits, overall and by function. Always valid.

    Only operations that are ok count: for the others, we know how long the client waited, not how long they took.

    Returns:
      ``quantiles``, a map from `LATENCY_POINTS` to milliseconds (floats), empty if no operation was ok; ``count``,
      ``ok-count``, ``fail-count`` and ``info-count``; under ``by-f`` the same for each function.
    """
    by_f = {f: _told(operations) for f, operations in grouped(history).items()}
    return {"valid?": True, **_told(history.counted()), "by-f": by_f}


def milliseconds(operations: Iterable[Operation]) -> list[float]:
    """Return how long each of the *operations* that are ok took, in milliseconds."""
    return [
        (operation.completion.time - operation.invocation.time) / 1_000_000
        for operation in operations
        if operation.completion is not None and operation.completion.type == "ok"
    ]


def _told(operations: list[Operation]) -> Results:
    return {"quantiles": quantiles(milliseconds(operations), LATENCY_POINTS), **outcomes(operations)}
