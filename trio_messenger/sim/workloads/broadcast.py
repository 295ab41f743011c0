"""The broadcast workload: what one node is told, all nodes know before long."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, ClassVar, final

from trio_messenger import Body

from ..checkers import Results
from ..checkers.set_full import set_full
from ..history import History
from .base import Invocation, Reply, Workload
from .topologies import Topology


class _ReadOk(Reply, kw_only=True):
    messages: list[Any]


@final
class Broadcast(Workload):
    """``broadcast`` with a number, answered by ``broadcast_ok``; ``read``, answered with all ``messages``.

    First of all each node is told the ``topology``: the neighbours of each node, which it may heed or not.
    """

    name = "broadcast"
    summary = "what one node is told, all nodes know before long"
    replies: ClassVar[dict[str, type[Reply]]] = {"broadcast": Reply, "read": _ReadOk}
    idempotent: ClassVar[frozenset[str]] = frozenset({"read"})

    def setup(self, node_ids: Sequence[str], topology: Topology) -> Body:
        """Return the topology; see `Workload.setup`."""
        return {"type": "topology", "topology": topology(node_ids)}

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield what clients do; see `Workload.invocations`."""
        numbers = itertools.count()
        while True:
            yield ("broadcast", next(numbers)) if random.random() < 0.5 else ("read", None)  # noqa: PLR2004 - even odds

    def final_invocation(self) -> Invocation:
        """Return a read; see `Workload.final_invocation`."""
        return "read", None

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, "message": value} if f == "broadcast" else {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return what was read, or was broadcast; see `Workload.completed`."""
        return reply.messages if f == "read" else value

    def check(self, history: History) -> Results:
        """Judge the history."""
        return set_full(history, add="broadcast", read="read")
