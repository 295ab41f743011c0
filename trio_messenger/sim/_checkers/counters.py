"""The checker of g-counter and pn-counter: the last reads see the sum of all that was added. Maelstrom's, and stricter.

Maelstrom judges each final read by itself: its value must be possible. An ``add`` whose outcome nobody knows makes
several values possible, and behind it can hide an acknowledged one that a node lacks for good. So here the nodes must
also agree in the end.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from .._records.history import History, Op
from . import Results
from .values import identity, mention

Ranges: TypeAlias = list[tuple[int, int]]
"""Integers as ranges, ends included: ascending, and none next to another."""


def counters(history: History) -> Results:
    """Judge whether each final read of *history* that is ok saw a value that is possible.

    Possible is the sum of all ``add``s that are ok, plus any selection of those of which it is unknown whether they
    happened, or still will. Other reads are not looked at, so a history without a final read is valid.

    Also judge whether the nodes agree: whether the last final read of each of them saw the same value.

    Returns:
      ``final-reads``: the values read; ``errors``: those reads whose values are impossible, with the ``value``;
      ``acceptable``: what is possible, as ranges of integers, ends included. In ours alone ``last-reads``: for each
      node the value that it read last; left out if the history does not say which node was asked.
    """
    adds = history.operations("add")
    certain = sum(each.invocation.value for each in adds if each.outcome == "ok")
    acceptable = reachable(certain, (each.invocation.value for each in adds if each.outcome == "info"))
    reads = _final_reads(history)
    errors = [mention(read, value=read.value) for read in reads if not _is_in(read.value, acceptable)]
    last = {read.node: read.value for read in reads if read.node is not None}
    return {
        "valid?": not errors and len(set(map(identity, last.values()))) <= 1,
        "errors": errors,
        "final-reads": [read.value for read in reads],
        "acceptable": [list(each) for each in acceptable],
        **({"last-reads": last} if last else {}),
    }


def reachable(start: int, deltas: Iterable[int]) -> Ranges:
    """Return all sums of *start* and some of *deltas*: none, all, or any selection."""
    sums: Ranges = [(start, start)]
    # From the smallest on, for these close the gaps between ranges, and the fewer ranges the less work.
    for delta, count in sorted(Counter(deltas).items(), key=lambda each: abs(each[0])):
        for times in _parts(count):
            sums = _union(sums, [(low + times * delta, high + times * delta) for low, high in sums])
    return sums


def _parts(count: int) -> Iterator[int]:
    """Yield a few numbers of which some, none or all add up to each number from 0 to *count*, and to no other."""
    part = 1
    while count:
        yield min(part, count)
        count -= min(part, count)
        part *= 2


def _union(some: Ranges, others: Ranges) -> Ranges:
    union: Ranges = []
    for low, high in heapq.merge(some, others):
        if union and low <= union[-1][1] + 1:
            union[-1] = union[-1][0], max(union[-1][1], high)
        else:
            union.append((low, high))
    return union


def _final_reads(history: History) -> list[Op]:
    """Return the completions of those that are ok, in the order in which they came."""
    reads = [each for each in history.operations("read") if each.invocation.final and each.outcome == "ok"]
    return sorted((each.completion for each in reads if each.completion is not None), key=lambda op: op.index)


def _is_in(value: Any, ranges: Ranges) -> bool:
    if type(value) is not int:
        return False
    after = bisect_right(ranges, value, key=lambda each: each[0])
    return after > 0 and value <= ranges[after - 1][1]
