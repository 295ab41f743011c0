"""The counter workloads: g-counter, which only grows, and pn-counter, which goes both ways."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar, final

from ..checkers import Results
from ..checkers.counters import counters
from ..history import History
from .adding import Adding
from .base import Reply


class _ReadOk(Reply, kw_only=True):
    value: int


class _Counter(Adding):
    """``add`` with a ``delta``, answered by ``add_ok``; ``read``, answered with the ``value``.

    Every error ends as ``info``, also of reads, as Maelstrom has it.
    """

    replies: ClassVar[dict[str, type[Reply]]] = {"add": Reply, "read": _ReadOk}
    errors_are_indefinite = True
    field = "delta"
    least_delta: ClassVar[int]

    def values(self, random: Random) -> Iterator[Any]:
        """Yield deltas, evenly distributed up to 4; see `Adding.values`."""
        while True:
            yield random.randint(self.least_delta, 4)

    def check(self, history: History) -> Results:
        """Judge the history."""
        return counters(history)


@final
class GCounter(_Counter):
    """A counter that only grows: deltas from 0 to 4."""

    name = "g-counter"
    summary = "a counter that only grows"
    least_delta = 0


@final
class PnCounter(_Counter):
    """A counter that goes both ways: deltas from -5 to 4."""

    name = "pn-counter"
    summary = "a counter that goes up and down"
    least_delta = -5
