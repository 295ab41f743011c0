"""The broadcast workload: every message sent to one node soon reaches all nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, final

from trio_messenger import Body

from .._checkers import Results
from .._checkers.set_full import set_full
from .._explanation import Finding
from .._explanation.scene import Scene
from .._explanation.sets import explain as explain_sets
from .._records.history import History
from .adding import Adding
from .interface import Reply
from .shapes import A_LIST, Shape
from .topologies import Topology


class _ReadOk(Reply, kw_only=True):
    messages: list[Any] | None


@final
class Broadcast(Adding):
    """``broadcast`` with a number, answered with ``broadcast_ok``; ``read``, answered with all ``messages``.

    Before that, each node gets the ``topology``: the neighbours of every node. A node may ignore it.
    """

    name = "broadcast"
    summary = "every message sent to one node soon reaches all nodes"
    rules = (
        "Clients send each value to one node. The nodes have to tell each other: at the end, every node has to have"
        " each value that a node has acknowledged, which means confirmed to a client."
    )
    replies: ClassVar[dict[str, type[Reply]]] = {"broadcast": Reply, "read": _ReadOk}
    shapes: ClassVar[Mapping[str, Shape]] = {"read": A_LIST}
    add = "broadcast"
    field = "message"
    read_field = "messages"

    def setup(self, node_ids: Sequence[str], topology: Topology) -> Body:
        """Return the topology; see `Workload.setup`."""
        return {"type": "topology", "topology": topology(node_ids)}

    def values(self, random: Random) -> Iterator[Any]:  # noqa: ARG002 - nothing is random
        """Yield 0, 1, 2 and so on; see `Adding.values`."""
        return itertools.count()

    def check(self, history: History) -> Results:
        """Judge the history."""
        return set_full(history, add="broadcast", read="read")

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the nodes, values and messages; see `Workload.explain`."""
        return explain_sets(results, scene, add="broadcast", read="read")
