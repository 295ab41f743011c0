"""pn-counter: a counter that goes up and down. It consists of two counters that only grow: additions and subtractions.

Each of them works as in the g-counter node, which describes it. With a single number, the larger of two values would
not have to be the later one.
"""

from __future__ import annotations

import itertools
from collections.abc import MutableMapping
from typing import Any, Final

import attrs
import trio

from trio_messenger import Body, Node

LAP: Final = 4.0
"""Seconds in which a node sends its counts to each other node once. After that time, all nodes know an addition."""

GAP: Final = 0.5
"""The longest time between two messages, in seconds. It gives small clusters enough tries if many messages are lost."""


@attrs.frozen
class Add:
    """The number to add; a negative number is subtracted."""

    delta: int


@attrs.frozen
class Gossip:
    """The sender's knowledge of each node's two counts, up and down, one pair for each of its lives."""

    counts: dict[str, tuple[int, int]]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a pn-counter node that keeps its own counts in *store*.

    Example:
      >>> from trio_messenger.nodes import pn_counter
      >>> async def main():
      ...     store = {}
      ...     async with running(pn_counter.build(store), node_ids=["n1"]) as network:
      ...         await network.request("add", delta=3)
      ...     async with running(pn_counter.build(store), node_ids=["n1"]) as network:  # restarted
      ...         await network.request("add", delta=-4)
      ...         print((await network.request("read"))["value"])
      >>> trio.run(main)
      -1
    """
    kept: MutableMapping[str, Any] = {} if store is None else store
    counts: dict[str, tuple[int, int]] = {}
    own = ""  # the name of this node's counts
    node = Node()

    @node.on_init
    def begin() -> None:
        nonlocal own
        own = kept.setdefault("name", f"{node.id}-{node.random.getrandbits(64):016x}")
        counts[own] = kept.get("up", 0), kept.get("down", 0)

    @node.on("add")
    def add(body: Add) -> Body:
        up, down = counts[own]
        if body.delta >= 0:
            kept["up"] = up = up + body.delta
        else:
            kept["down"] = down = down - body.delta
        counts[own] = up, down
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": sum(up - down for up, down in counts.values())}

    @node.on("gossip")
    def learn(body: Gossip) -> None:
        for name, (up, down) in body.counts.items():
            known_up, known_down = counts.get(name, (0, 0))
            counts[name] = max(up, known_up), max(down, known_down)

    @node.background
    async def gossip() -> None:
        for peer in itertools.cycle(node.random.sample(node.peers, len(node.peers))):
            await trio.sleep(min(LAP / len(node.peers), GAP))
            await node.send(peer, {"type": "gossip", "counts": counts})

    return node
