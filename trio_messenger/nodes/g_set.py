"""g-set: a set that only grows. Each node asks the others, in turn, for missing elements.

Each node has a log of the elements that clients added to it. A node also keeps copies of the other nodes' logs, as far
as it knows them. It sends the lengths of its copies to ask for the rest. So nodes send missing elements only, and no
node has to remember what the others know. A node asks in the same way after a partition or lost messages.

Guarantees: totally available: a node always answers its clients itself. All nodes that can exchange messages, directly
or through others, eventually have every acknowledged element, and every element that a client has read. A node
acknowledges an element when it is safe in the store, and shows it only then.

Limits: a read may lack the elements of the last seconds. Without a store, a node that is killed begins a new log. Of
its old log, only the elements remain that other nodes had asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from trio_messenger import Body, DurableStore, Node

LAP: Final = 4.0
"""Seconds in which a node asks each other node once. After that time, all nodes have a new element."""

GAP: Final = 0.5
"""The longest time between two messages, in seconds. It gives small clusters enough tries if many messages are lost."""

ANSWERED_WITHIN: Final = 10.0
"""Seconds to wait for an answer. On slow links it comes late, but is still useful."""


@attrs.frozen
class Add:
    """An element for the set."""

    element: int


@attrs.frozen
class Ask:
    """The lengths of the copies of logs that the sender has."""

    lengths: dict[str, int]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a g-set node that keeps its log in *store*.

    Example:
      >>> from trio_messenger.nodes import g_set
      >>> async def main():
      ...     store = {}
      ...     async with running(g_set.build(store), node_ids=["n1"]) as network:
      ...         await network.request("add", element=7)
      ...     async with running(g_set.build(store), node_ids=["n1"]) as network:  # restarted
      ...         print((await network.request("read"))["value"])
      >>> trio.run(main)
      [7]
    """
    kept: MutableMapping[str, Any] = {} if store is None else store
    sync = kept.sync if isinstance(kept, DurableStore) else trio.lowlevel.checkpoint
    written = [kept[f"element {number}"] for number in range(kept.get("length", 0))]  # its end may not be safe yet
    own = list(written)
    elements = dict.fromkeys(own)
    logs: dict[str, list[int]] = {}
    node = Node()

    @node.on_init
    def begin() -> None:
        name = kept.setdefault("log", f"{node.id}-{node.random.getrandbits(64):016x}")
        logs[name] = own

    @node.on("add")
    async def add(body: Add) -> Body:
        kept[f"element {len(written)}"] = body.element
        kept["length"] = end = len(written) + 1
        written.append(body.element)
        await sync()
        safe = written[len(own) : end]
        own.extend(safe)  # only now may others see them
        elements.update(dict.fromkeys(safe))
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
            return  # the node asks again in the next lap
        for name, news in outcome["news"].items():
            log = logs.setdefault(name, [])
            fresh = news[len(log) - lengths.get(name, 0) :]  # other nodes may have sent a part of it meanwhile
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
