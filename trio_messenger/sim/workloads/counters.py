"""The counter workloads: g-counter, which only grows, and pn-counter, which goes both ways."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar, final

from trio_messenger import Body

from ..checkers import Results
from ..checkers.counters import counters
from ..history import History
from .base import Invocation, Reply, Workload


class _ReadOk(Reply, kw_only=True):
    value: int


class _Counter(Workload):
    """``add`` with a ``delta``, answered by ``add_ok``; ``read``, answered with the ``value``.

    Every error ends as ``info``, also of reads, as Maelstrom has it.
    """

    replies: ClassVar[dict[str, type[Reply]]] = {"add": Reply, "read": _ReadOk}
    errors_are_indefinite = True
    least_delta: ClassVar[int]

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield what clients do; see `Workload.invocations`."""
        while True:
            if random.random() < 0.5:  # noqa: PLR2004 - even odds
                yield "add", random.randint(self.least_delta, 4)
            else:
                yield "read", None

    def final_invocation(self) -> Invocation:
        """Return a read; see `Workload.final_invocation`."""
        return "read", None

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, "delta": value} if f == "add" else {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return what was read, or was added; see `Workload.completed`."""
        return reply.value if f == "read" else value

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
