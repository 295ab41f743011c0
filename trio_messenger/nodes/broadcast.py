"""broadcast: each node sends messages in batches to its neighbours until they acknowledge them.

A node that receives a message from a client or a neighbour sends it to its other neighbours. So every message
eventually reaches every node of a connected network. A node never sends a message to a neighbour that is known to have
it. Partitions and losses only delay messages, and duplicates have no effect.

A node acknowledges a message, to clients and neighbours, when it is in the store. Without a store, a node that is
killed forgets all messages, and its neighbours do not send them again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from trio_messenger import Body, Node, Request

PERIOD: Final = 0.25
"""Seconds between batches. A message waits half of that on average at each node; a batch costs two messages a link."""

PATIENCE: Final = 1.0
"""Seconds to wait for an acknowledgement before the node sends everything again."""

ACKNOWLEDGED_WITHIN: Final = 10.0
"""Seconds for which an acknowledgement counts. On slow links it comes late, and sending everything forever does not
help."""


@attrs.frozen
class Broadcast:
    """A message for all nodes."""

    message: int


@attrs.frozen
class Gossip:
    """Messages for all nodes, from a neighbour."""

    messages: list[int]


@attrs.frozen
class Topology:
    """The neighbours of each node."""

    topology: dict[str, list[str]]


class Link:
    """The messages that one neighbour has not acknowledged yet."""

    def __init__(self, messages: Iterable[int]) -> None:
        self.unacknowledged: dict[int, None] = dict.fromkeys(messages)
        self.silent_until: float = -math.inf  # on Trio's clock

    def acknowledge(self, messages: Iterable[int]) -> None:
        """Note that the neighbour has *messages*."""
        for message in messages:
            self.unacknowledged.pop(message, None)

    def hear(self, messages: Iterable[int], outcome: Body | Exception) -> None:
        """Note the outcome of sending *messages*."""
        if not isinstance(outcome, Exception):
            self.acknowledge(messages)
            self.silent_until = -math.inf


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a broadcast node that keeps its messages and neighbours in *store*.

    Example:
      >>> from trio_messenger.nodes import broadcast
      >>> async def main():
      ...     store = {}
      ...     async with running(broadcast.build(store), node_ids=["n1"]) as network:
      ...         await network.request("broadcast", message=7)
      ...     async with running(broadcast.build(store), node_ids=["n1"]) as network:  # restarted
      ...         print((await network.request("read"))["messages"])
      >>> trio.run(main)
      [7]
    """
    kept: MutableMapping[str, Any] = {} if store is None else store
    messages = dict.fromkeys(value for key, value in kept.items() if key.startswith("message "))
    links: dict[str, Link] = {}  # by neighbour
    node = Node()

    @node.on_init
    def begin() -> None:
        for neighbour in kept.get("neighbours", node.peers):
            links[neighbour] = Link(messages)

    @node.on("topology")
    def topology(body: Topology) -> Body:
        kept["neighbours"] = list(body.topology.get(node.id, node.peers))
        before = dict(links)
        links.clear()
        for neighbour in kept["neighbours"]:
            links[neighbour] = before.get(neighbour) or Link(messages)
        return {}

    @node.on("broadcast")
    def broadcast(body: Broadcast) -> Body:
        learn([body.message])
        return {}

    @node.on("read")
    def read() -> Body:
        return {"messages": list(messages)}

    @node.on("gossip")
    def gossip(request: Request, body: Gossip) -> Body:
        learn(body.messages)
        if request.src in links:
            links[request.src].acknowledge(body.messages)
        return {}

    def learn(heard: Iterable[int]) -> None:
        for message in heard:
            if message not in messages:
                kept[f"message {message}"] = message
                messages[message] = None
                for link in links.values():
                    link.unacknowledged[message] = None

    async def tell() -> None:
        for neighbour, link in list(links.items()):
            if link.unacknowledged and link.silent_until <= trio.current_time():
                batch = list(link.unacknowledged)
                link.silent_until = trio.current_time() + PATIENCE
                await node.wait_for_room()
                body = {"type": "gossip", "messages": batch}
                node.rpc_callback(neighbour, body, partial(link.hear, batch), timeout=ACKNOWLEDGED_WITHIN)

    node.every(PERIOD, tell)
    return node
