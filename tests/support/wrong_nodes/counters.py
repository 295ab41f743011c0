"""Counter nodes that are wrong; each counts up and down, so it serves both workloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio

from trio_messenger import LIN_KV, SEQ_KV, Body, KeyValue, Node, Request, RetriesExhausted
from trio_messenger.nodes import pn_counter


@attrs.frozen
class Add:
    """What to add."""

    delta: int


@attrs.frozen
class Value:
    """What another node believes its part of the counter, or all of it, to be."""

    value: int


def told_by_all(*, tell: Callable[[Node, str, dict[str, Any]], Any], counts: Callable[[int], bool]) -> Node:
    """Return a node that has every other node add what a client tells it to add.

    Args:
      tell: Has another node add something; async.
      counts: Whether a delta is added at all.
    """
    node = Node()
    total = 0

    @node.on("add")
    def add(body: Add) -> Body:
        learn(body)
        news.send_nowait(body.delta)
        return {}

    @node.on("told")
    def learn(body: Add) -> Body:
        nonlocal total
        total += body.delta if counts(body.delta) else 0
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": total}

    news, untold = trio.open_memory_channel[int](1000)

    @node.background
    async def spread() -> None:
        async with trio.open_nursery() as nursery:
            async for delta in untold:
                for peer in node.peers:
                    nursery.start_soon(tell, node, peer, {"type": "told", "delta": delta})

    return node


async def _send(node: Node, peer: str, body: dict[str, Any]) -> None:
    await node.send(peer, body)


async def _insist(node: Node, peer: str, body: dict[str, Any]) -> None:
    while True:
        try:
            await node.rpc_retry(peer, body, attempts=10, timeout=0.5)
        except RetriesExhausted:
            continue
        return


def adds_twice() -> Node:
    """Tells the others again when no acknowledgement comes, and they add it again."""
    return told_by_all(tell=_insist, counts=lambda _: True)


def tells_once() -> Node:
    """Tells the others once, so that what is lost on the way is lost for good, and a copy counts twice."""
    return told_by_all(tell=_send, counts=lambda _: True)


def only_grows() -> Node:
    """Ignores what is to be taken away."""
    return told_by_all(tell=_insist, counts=lambda delta: delta > 0)


def believes_the_last() -> Node:
    """Takes over whatever total it hears of, as if nobody else had added anything meanwhile."""
    node = Node()
    total = 0

    @node.on("add")
    def add(body: Add) -> Body:
        nonlocal total
        total += body.delta
        for peer in node.peers:
            node.send_nowait(peer, {"type": "total", "value": total})
        return {}

    @node.on("total")
    def learn(body: Value) -> None:
        nonlocal total
        total = body.value

    @node.on("read")
    def read() -> Body:
        return {"value": total}

    return node


def merges_by_the_greater() -> Node:
    """Keeps one number for each node, and takes the greater of two for the later, though it may have gone down."""
    node = Node()
    totals: dict[str, int] = {}

    @node.on("add")
    def add(body: Add) -> Body:
        totals[node.id] = totals.get(node.id, 0) + body.delta
        return {}

    @node.on("total")
    def learn(request: Request, body: Value) -> None:
        totals[request.src] = max(body.value, totals.get(request.src, body.value))

    @node.on("read")
    def read() -> Body:
        return {"value": sum(totals.values())}

    async def tell() -> None:
        for peer in node.peers:
            await node.send(peer, {"type": "total", "value": totals.get(node.id, 0)})

    node.every(1.0, tell)
    return node


def forgets() -> Node:
    """Keeps nothing of what it has acknowledged when it is killed."""
    return pn_counter.build()


def overwrites() -> Node:
    """Keeps the sum where all can see it, but reads it and writes it in two steps."""
    node = Node()
    kv = KeyValue(node, LIN_KV)

    @node.on("add")
    async def add(body: Add) -> Body:
        await kv.write("sum", body.delta + await kv.read("sum", default=0))
        return {}

    @node.on("read")
    async def read() -> Body:
        return {"value": await kv.read("sum", default=0)}

    return node


def reads_the_past() -> Node:
    """Reads from a store that is only sequentially consistent as if it were linearizable."""
    node = Node()
    kv = KeyValue(node, SEQ_KV)

    @node.on("add")
    async def add(body: Add) -> Body:
        await kv.update("sum", lambda total: (total or 0) + body.delta, attempts=100)
        return {}

    @node.on("read")
    async def read() -> Body:
        return {"value": await kv.read("sum", default=0)}

    return node
