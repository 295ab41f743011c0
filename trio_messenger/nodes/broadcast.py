"""broadcast: each node tells its neighbours what they have not acknowledged yet, in batches, until they do.

What a node is told, by a client or a neighbour, it tells all other neighbours, so that it gets through any network
that is connected, sooner or later. Nothing is ever sent to a neighbour that is known to have it. Partitions and losses
only delay what goes round, and duplicates do nothing.

A message is acknowledged, to clients and neighbours, once it is in the store. Without one, a node that is killed
forgets everything, and its neighbours do not tell it again.
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
"""Seconds between batches. What goes round waits half of that at each node, and costs two messages a link each time."""

PATIENCE: Final = 1.0
"""Seconds for an acknowledgement to come before everything is sent again."""

ACKNOWLEDGED_WITHIN: Final = 10.0
"""Seconds for an acknowledgement to count: on slow links it is late, and to send everything for ever does not help."""


@attrs.frozen
class Broadcast:
    """A message for all."""

    message: int


@attrs.frozen
class Gossip:
    """Messages for all that a neighbour has."""

    messages: list[int]


@attrs.frozen
class Topology:
    """The neighbours of each node."""

    topology: dict[str, list[str]]


class Link:
    """What one neighbour has not acknowledged yet."""

    def __init__(self, messages: Iterable[int]) -> None:
        self.unacknowledged: dict[int, None] = dict.fromkeys(messages)
        self.silent_until: float = -math.inf  # on Trio's clock

    def acknowledge(self, messages: Iterable[int]) -> None:
        """Take note that the neighbour has *messages*."""
        for message in messages:
            self.unacknowledged.pop(message, None)

    def hear(self, messages: Iterable[int], outcome: Body | Exception) -> None:
        """Take note of what became of *messages*, which were sent."""
        if not isinstance(outcome, Exception):
            self.acknowledge(messages)
            self.silent_until = -math.inf


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a broadcast node that keeps its messages and neighbours in *store*."""
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
