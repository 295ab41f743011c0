"""The counter workloads: g-counter, which only grows, and pn-counter, which goes up and down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, ClassVar, final

from .._checkers import Results
from .._checkers.counters import counters
from .._explanation import Finding
from .._explanation.counters import explain as explain_counters
from .._explanation.scene import Scene
from .._records.history import History
from .adding import Adding
from .interface import Invocation, Reply
from .shapes import Shape


class _ReadOk(Reply, kw_only=True):
    value: int


class _Counter(Adding, abstract=True):
    """``add`` with a ``delta``, answered with ``add_ok``; ``read``, answered with the ``value``.

    Every error ends the operation as ``info``, even a read, as in Maelstrom.
    """

    replies: ClassVar[dict[str, type[Reply]]] = {"add": Reply, "read": _ReadOk}
    rules = (
        "Clients add numbers, each at one node. At the end, every node has to return the same sum: that of all numbers"
        " that a node has acknowledged, which means confirmed to a client. Numbers with an unknown outcome may count."
    )
    shapes: ClassVar[Mapping[str, Shape]] = {"add": Shape(begun=int), "read": Shape(ok=int)}
    errors_are_indefinite = True
    field = "delta"

    def values(self, random: Random) -> Iterator[Any]:
        """Yield deltas, uniformly distributed from -5 to 4; see `Adding.values`."""
        while True:
            yield random.randint(-5, 4)

    def check(self, history: History) -> Results:
        """Judge the history."""
        return counters(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the nodes, values and messages; see `Workload.explain`."""
        return explain_counters(results, scene)


@final
class GCounter(_Counter):
    """A counter that only grows: deltas from 0 to 4.

    The operations are those of pn-counter without additions of negative numbers. So one operation in three is an
    addition.
    """

    name = "g-counter"
    summary = "a counter that only grows"

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield the operations; see `Workload.invocations`."""
        return (each for each in super().invocations(random) if each[0] == "read" or each[1] >= 0)


@final
class PnCounter(_Counter):
    """A counter that goes up and down: deltas from -5 to 4."""

    name = "pn-counter"
    summary = "a counter that goes up and down"
