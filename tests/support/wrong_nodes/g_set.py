"""G-set nodes that are wrong."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from trio_messenger import LIN_KV, LWW_KV, Body, KeyValue, Node
from trio_messenger.nodes import g_set


@attrs.frozen
class Add:
    """An element for the set."""

    element: int


@attrs.frozen
class Gossip:
    """What another node has."""

    elements: list[int]


def gossiping(
    *, says: Callable[[list[int]], list[int]] = lambda elements: elements, every: float = 1.0, shows: bool = True
) -> Node:
    """Return a node that tells all others what it has, over and over again.

    Args:
      says: What of all elements, in the order in which they came, it tells.
      every: Seconds in between.
      shows: Whether it shows the elements that it has now, or those of the first read.
    """
    node = Node()
    elements: dict[int, None] = {}
    shown: list[int] = []

    @node.on("add")
    def add(body: Add) -> Body:
        elements[body.element] = None
        return {}

    @node.on("gossip")
    def learn(body: Gossip) -> None:
        elements.update(dict.fromkeys(body.elements))

    @node.on("read")
    def read() -> Body:
        if shows or not shown:
            shown[:] = elements
        return {"value": shown}

    async def tell() -> None:
        for peer in node.peers:
            await node.send(peer, {"type": "gossip", "elements": says(list(elements))})

    node.every(every, tell)
    return node


def reads_stale() -> Node:
    """Answers all reads as it did the first that found anything."""
    return gossiping(shows=False)


def keeps_to_itself() -> Node:
    """Tells nobody anything."""
    return gossiping(says=lambda _: [])


def tells_the_latest() -> Node:
    """Tells only the last few elements, which is enough unless it is cut off for a while."""
    return gossiping(says=lambda elements: elements[-10:])


def forgets() -> Node:
    """Keeps nothing of what it has acknowledged when it is killed."""
    return g_set.build()


def overwrites() -> Node:
    """Keeps the set where all can see it, but reads it and writes it in two steps."""
    return _shared(LIN_KV, is_atomic=False)


def trusts_the_last_write() -> Node:
    """Keeps the set where acknowledged writes can vanish, even if the replicas of the service merge."""
    return _shared(LWW_KV, is_atomic=True)


def _shared(service: str, *, is_atomic: bool) -> Node:
    node = Node()
    kv = KeyValue(node, service)

    @node.on_init
    async def begin() -> None:
        if node.id == "n1":
            await kv.write("set", [])

    @node.on("add")
    async def add(body: Add) -> Body:
        if is_atomic:
            await kv.update("set", lambda elements: [*(elements or []), body.element])
        else:
            await kv.write("set", [*await kv.read("set", default=[]), body.element])
        return {}

    @node.on("read")
    async def read() -> Body:
        return {"value": await kv.read("set", default=[])}

    return node
