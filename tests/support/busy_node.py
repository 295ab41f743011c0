"""A node that does everything a node can do, so that a run depends on all there is; what it answers is nonsense."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, final

import trio

from trio_messenger import (
    LWW_KV,
    SEQ_KV,
    AtMostOnce,
    Backoff,
    Body,
    KeyValue,
    Node,
    QuorumNotReached,
    Request,
    RetriesExhausted,
    RpcError,
    TimestampOracle,
)


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a node for the counter workloads: handlers of both kinds, services, every kind of RPC, cancellations."""
    node = Node(rpc_timeout=0.5, max_handlers=5)
    busy = _Busy(node, {} if store is None else store)
    node.on_init(busy.begin)
    node.on("add")(busy.add)
    node.on("read")(busy.read)
    node.on("spread", at_most_once=AtMostOnce())(busy.hear)
    node.on("wait")(busy.wait)
    node.on("count")(lambda: {"heard": len(busy.heard)})
    node.background(busy.linger)
    node.every(0.5, busy.tell, jitter=0.2)
    return node


@final
class _Busy:
    def __init__(self, node: Node, kept: MutableMapping[str, Any]) -> None:
        self.heard: list[object] = []
        self._node = node
        self._kept = kept
        self._rang = trio.Event()
        self._seq, self._lww, self._lin = KeyValue(node, SEQ_KV), KeyValue(node, LWW_KV), KeyValue(node)

    async def begin(self) -> None:
        with trio.move_on_after(0.3):
            self._kept["life"] = await TimestampOracle(self._node).ts()

    async def add(self, request: Request) -> Body:
        delta = request.body["delta"]
        self._kept["last"] = delta
        self._rang.set()
        self._rang = trio.Event()
        news = {"type": "spread", "delta": delta, "at": self._node.wall_time()}
        with trio.move_on_after(self._node.random.uniform(0.05, 0.6)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._try, self._seq.update, "sum", lambda value: (value or 0) + delta)
                nursery.start_soon(self._try, self._lww.write, f"by {self._node.id}", delta)
                nursery.start_soon(self._try, self._spread, news)
        return {}

    async def read(self) -> Body:
        with trio.move_on_after(0.4):
            return {"value": await self._seq.read("sum", default=0, fresh=self._node.random.random() < 0.5)}
        return {"value": len(self.heard)}

    async def hear(self, request: Request) -> Body:
        self.heard.append(request.body["delta"])
        await trio.sleep(self._node.random.expovariate(20))
        return {"heard": len(self.heard)}

    async def wait(self) -> Body:
        await self._rang.wait()
        return {"last": self._kept.get("last")}

    async def linger(self) -> None:
        while True:
            with trio.move_on_after(1.0):
                await self._try(self._node.rpc, self._node.random.choice(self._node.peers), {"type": "wait"})
            await self._try(self._lin.cas, "turn", None, self._node.id)

    def tell(self) -> None:
        peer = self._node.random.choice(self._node.peers)
        self._node.rpc_callback(peer, {"type": "count"}, lambda outcome: self.heard.append(str(outcome)), timeout=0.25)
        for peer in self._node.peers[:2]:
            self._node.send_nowait(peer, {"type": "whisper", "heard": self.heard[-1:], "life": self._kept.get("life")})

    async def _spread(self, news: Body) -> None:
        peers = self._node.random.sample(self._node.peers, 3)
        await self._node.rpc_all(peers, news, timeout=0.2)
        await self._node.rpc_quorum(self._node.peers, news, need=len(self._node.peers) // 2 + 1)
        await self._node.rpc_retry(peers[0], news, attempts=3, backoff=Backoff(base=0.01, jitter=1.0))

    async def _try(self, async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
        try:
            self.heard.append(str(await async_fn(*args)))
        except (RpcError, RetriesExhausted, QuorumNotReached) as exc:
            self.heard.append(str(exc))
