"""The checker of g-counter and pn-counter: final reads return the sum of all additions. Stricter than Maelstrom's.

Maelstrom judges each final read by itself: its value must be possible. An ``add`` with an unknown outcome makes several
values possible, and can hide that a node permanently lacks an acknowledged ``add``. So this checker also requires that
all nodes agree at the end.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from .._records.history import History, Op
from . import Results
from .values import mention, value_key

Ranges: TypeAlias = list[tuple[int, int]]
"""A set of integers as ranges that include both ends: in ascending order, with a gap between any two."""


def counters(history: History) -> Results:
    """Judge whether each final read of *history* that is ok returned a possible value, and whether the nodes agree.

    A value is possible if it is the sum of all ``add``s that are ok, plus any selection of the ``add``s with an unknown
    outcome, which may still happen. Other reads are ignored, so a history without a final read is valid. The nodes
    agree if the last final read of each of them returned the same value.

    Returns:
      ``final-reads``: the values read; ``errors``: the reads with impossible values, each with its ``value``;
      ``acceptable``: the possible values, as ranges of integers that include both ends. Maelstrom does not have
      ``last-reads``: for each node, the value of its last final read; left out if the history does not name the nodes.
    """
    adds = history.operations("add")
    certain = sum(each.invocation.value for each in adds if each.outcome == "ok")
    acceptable = reachable(certain, (each.invocation.value for each in adds if each.outcome == "info"))
    reads = _final_reads(history)
    errors = [mention(read, value=read.value) for read in reads if not _is_in(read.value, acceptable)]
    last = {read.node: read.value for read in reads if read.node is not None}
    return {
        "valid?": not errors and len(set(map(value_key, last.values()))) <= 1,
        "errors": errors,
        "final-reads": [read.value for read in reads],
        "acceptable": [list(each) for each in acceptable],
        **({"last-reads": last} if last else {}),
    }


def reachable(start: int, deltas: Iterable[int]) -> Ranges:
    """Return all sums of *start* and any selection of *deltas*, including none and all."""
    sums: Ranges = [(start, start)]
    # Small deltas first: they close the gaps between ranges, and fewer ranges mean less work.
    for delta, count in sorted(Counter(deltas).items(), key=lambda each: abs(each[0])):
        for times in _parts(count):
            sums = _union(sums, [(low + times * delta, high + times * delta) for low, high in sums])
    return sums


def _parts(count: int) -> Iterator[int]:
    """Yield a few numbers whose subset sums are exactly the numbers from 0 to *count*."""
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
    """Return the completions of the final reads that are ok, in order of completion."""
    reads = [each for each in history.operations("read") if each.invocation.final and each.outcome == "ok"]
    return sorted((each.completion for each in reads if each.completion is not None), key=lambda op: op.index)


def _is_in(value: Any, ranges: Ranges) -> bool:
    if type(value) is not int:
        return False
    after = bisect_right(ranges, value, key=lambda each: each[0])
    return after > 0 and value <= ranges[after - 1][1]
