"""g-set: a set that only grows; each node keeps asking the others, in turn, for what it lacks.

What clients add to a node is its log. A node has copies of all logs, up to where it knows them, and asks for the rest
by saying how long its copies are. So only what is missing is sent; a node that was cut off, or whose messages were
lost, asks like any other; and nobody has to remember what others know.

An element is acknowledged once it is in the store. Without one, a node that is killed begins a new log, and of its old
one only that is left which others had asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from trio_messenger import Body, Node

LAP: Final = 4.0
"""Seconds in which a node asks each other node once; within as many, what is added is everywhere."""

GAP: Final = 0.5
"""Seconds between two messages at the most, so that few nodes have tries enough where many messages are lost."""

ANSWERED_WITHIN: Final = 10.0
"""Seconds for an answer to come: on slow links it is late, but as good as ever."""


@attrs.frozen
class Add:
    """An element for the set."""

    element: int


@attrs.frozen
class Ask:
    """How long the copies of the logs are that the asker has."""

    lengths: dict[str, int]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a g-set node that keeps its log in *store*."""
    kept: MutableMapping[str, Any] = {} if store is None else store
    own = [kept[f"element {number}"] for number in range(kept.get("length", 0))]
    elements = dict.fromkeys(own)
    logs: dict[str, list[int]] = {}
    node = Node()

    @node.on_init
    def begin() -> None:
        name = kept.setdefault("log", f"{node.id}-{node.random.getrandbits(64):016x}")
        logs[name] = own

    @node.on("add")
    def add(body: Add) -> Body:
        kept[f"element {len(own)}"] = body.element
        kept["length"] = len(own) + 1
        own.append(body.element)
        elements[body.element] = None
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": list(elements)}

    @node.on("ask")
    def tell(body: Ask) -> Body:
        news = {name: log[body.lengths.get(name, 0) :] for name, log in logs.items()}
        return {"news": {name: log for name, log in news.items() if log}}

    def learn(lengths: Mapping[str, int], outcome: Body | Exception) -> None:
        if isinstance(outcome, Exception):
            return  # asked again in the next lap
        for name, news in outcome["news"].items():
            log = logs.setdefault(name, [])
            fresh = news[len(log) - lengths.get(name, 0) :]  # others may have told some of it meanwhile
            log += fresh
            elements.update(dict.fromkeys(fresh))

    @node.background
    async def gossip() -> None:
        for peer in itertools.cycle(node.random.sample(node.peers, len(node.peers))):
            await trio.sleep(min(LAP / len(node.peers), GAP))
            await node.wait_for_room()
            lengths = {name: len(log) for name, log in logs.items()}
            body = {"type": "ask", "lengths": lengths}
            node.rpc_callback(peer, body, partial(learn, lengths), timeout=ANSWERED_WITHIN)

    return node
