"""g-counter: a counter that only grows. Its value is the sum of all nodes' counts, which the nodes tell each other.

Each node adds only to its own count, so the larger of two values of one count is the later one. Duplicates and old
values have no effect, and a lost value is sent again.

A node acknowledges an addition when it is in the store. Without a store, a node that is killed begins a new count under
a new name. So it never confuses the new count with the old one that other nodes still know. Only additions that it had
not told any other node are lost.
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
"""Seconds in which a node sends its counts to each other node once. After that time, all nodes know an addition."""

GAP: Final = 0.5
"""The longest time between two messages, in seconds. It gives small clusters enough tries if many messages are lost."""


@attrs.frozen
class Add:
    """The number to add, 0 or more."""

    delta: Annotated[int, msgspec.Meta(ge=0)]


@attrs.frozen
class Gossip:
    """The sender's knowledge of each node's count, one for each of its lives."""

    counts: dict[str, int]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a g-counter node that keeps its own count in *store*.

    Example:
      >>> from trio_messenger.nodes import g_counter
      >>> async def main():
      ...     store = {}
      ...     async with running(g_counter.build(store), node_ids=["n1"]) as network:
      ...         await network.request("add", delta=3)
      ...     async with running(g_counter.build(store), node_ids=["n1"]) as network:  # restarted
      ...         await network.request("add", delta=4)
      ...         print((await network.request("read"))["value"])
      >>> trio.run(main)
      7
    """
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
