"""g-counter: a counter that only grows: the sum of what each node has counted, which the nodes keep telling each other.

Only a node itself adds to its own count, so of two counts of one node the greater is the later one. To hear of a count
twice, or of an old one after a newer one, changes nothing; and one that is lost is told again.

An addition is acknowledged once it is in the store. Without one, a node that is killed begins a new count under a new
name, so that it never mistakes what it counts for what others still know of its life before; of that, only the
additions that it had told nobody yet are lost.
"""

from __future__ import annotations

import itertools
from collections.abc import MutableMapping
from typing import Annotated, Any, Final

import attrs
import msgspec
import trio

from trio_messenger import Body, Node

LAP: Final = 4.0
"""Seconds in which a node tells each other node once; within as many, an addition is known everywhere."""

GAP: Final = 0.5
"""Seconds between two messages at the most, so that few nodes have tries enough where many messages are lost."""


@attrs.frozen
class Add:
    """What to add; 0 or more."""

    delta: Annotated[int, msgspec.Meta(ge=0)]


@attrs.frozen
class Gossip:
    """What the sender knows each node to have counted, in each of its lives."""

    counts: dict[str, int]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a g-counter node that keeps its own count in *store*."""
    kept: MutableMapping[str, Any] = {} if store is None else store
    counts: dict[str, int] = {}
    own = ""  # the name of this node's count
    node = Node()

    @node.on_init
    def begin() -> None:
        nonlocal own
        own = kept.setdefault("name", f"{node.id}-{node.random.getrandbits(64):016x}")
        counts[own] = kept.get("count", 0)

    @node.on("add")
    def add(body: Add) -> Body:
        kept["count"] = counts[own] = counts[own] + body.delta
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": sum(counts.values())}

    @node.on("gossip")
    def learn(body: Gossip) -> None:
        for name, count in body.counts.items():
            counts[name] = max(count, counts.get(name, 0))

    @node.background
    async def gossip() -> None:
        for peer in itertools.cycle(node.random.sample(node.peers, len(node.peers))):
            await trio.sleep(min(LAP / len(node.peers), GAP))
            await node.send(peer, {"type": "gossip", "counts": counts})

    return node
