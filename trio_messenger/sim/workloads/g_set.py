"""The g-set workload: a set that only grows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar, final

from trio_messenger import Body

from ..checkers import Results
from ..checkers.set_full import set_full
from ..history import History
from .base import Invocation, Reply, Workload


class _ReadOk(Reply, kw_only=True):
    value: list[Any]


@final
class GSet(Workload):
    """``add`` with an ``element``, answered by ``add_ok``; ``read``, answered with the set as a list, ``value``.

    No element is added twice. Every error ends as ``info``, also of reads, as Maelstrom has it.
    """

    name = "g-set"
    summary = "a set that only grows"
    replies: ClassVar[dict[str, type[Reply]]] = {"add": Reply, "read": _ReadOk}
    errors_are_indefinite = True

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield what clients do; see `Workload.invocations`."""
        elements = itertools.count()
        while True:
            yield ("add", next(elements)) if random.random() < 0.5 else ("read", None)  # noqa: PLR2004 - even odds

    def final_invocation(self) -> Invocation:
        """Return a read; see `Workload.final_invocation`."""
        return "read", None

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, "element": value} if f == "add" else {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return what was read, or was added; see `Workload.completed`."""
        return reply.value if f == "read" else value

    def check(self, history: History) -> Results:
        """Judge the history."""
        return set_full(history, add="add", read="read")
