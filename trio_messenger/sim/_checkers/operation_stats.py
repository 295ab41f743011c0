"""Statistics of how operations ended, as in Jepsen's ``stats`` checker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from .._records.history import History, Operation
from . import Results, worst

NEVER_OK: Final = frozenset({"crash"})
"""Functions that never end as ok: a client that crashes."""


def stats(history: History) -> Results:
    """Count how the operations of *history* ended, without audits: overall, by function, and by node.

    Valid if each function was ok at least once, except a client's ``crash``, which never is: a cluster that refuses
    every read may look right to all other checkers.
    An operation that was unfinished at the end of the run counts as ``info``.

    Returns:
      ``count``, ``ok-count``, ``fail-count`` and ``info-count``; under ``by-f`` the same for each function, and its
      ``valid?``. Maelstrom does not have the other keys: ``frequent-error`` is the error that most operations of a
      function ended with, if none was ok. ``by-node`` has the same counts for each node that was asked, without a
      verdict; left out if the history does not name the nodes.
    """
    by_node = _by_node(history)
    by_f = {f: _judged(f, operations) for f, operations in grouped(history).items()}
    return {
        "valid?": worst(each["valid?"] for each in by_f.values()),
        **outcomes(history.counted()),
        "by-f": by_f,
        **({"by-node": by_node} if by_node else {}),
    }


def outcomes(operations: Iterable[Operation]) -> dict[str, int]:
    """Return the number of *operations*, and the number for each outcome."""
    ended = Counter(operation.outcome for operation in operations)
    return {"count": ended.total(), **{f"{outcome}-count": ended[outcome] for outcome in ("ok", "fail", "info")}}


def grouped(history: History) -> dict[str, list[Operation]]:
    """Return the operations of *history*, without audits, grouped by function in alphabetical order."""
    groups: dict[str, list[Operation]] = {}
    for operation in history.counted():
        groups.setdefault(operation.f, []).append(operation)
    return dict(sorted(groups.items()))


def _by_node(history: History) -> Results:
    groups: dict[str, list[Operation]] = {}
    for operation in history.counted():
        if operation.invocation.node is not None:
            groups.setdefault(operation.invocation.node, []).append(operation)
    return {node: outcomes(operations) for node, operations in sorted(groups.items())}


def _judged(f: str, operations: list[Operation]) -> Results:
    counts = outcomes(operations)
    if counts["ok-count"] or f in NEVER_OK:
        return {"valid?": True, **counts}
    ends = (operation.completion for operation in operations)
    errors = Counter(end.error for end in ends if end is not None and end.error is not None)
    frequent = {"frequent-error": errors.most_common(1)[0][0]} if errors else {}
    return {"valid?": False, **counts, **frequent}
