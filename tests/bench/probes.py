"""A node that measures its own pending table: `trio-messenger node bench.probes:build`.

The RPCs go through the real node to the real stdout, and nobody ever answers them.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import attrs
import trio

from trio_messenger import Body, Node, PendingRpc, Stats
from trio_messenger._rpc.table import PendingTable
from trio_messenger._rpc.wheel import BUCKETS_PER_SECOND

REQUEST = {"type": "fwd", "value": 1}
FOREVER = 3600.0  # seconds; longer than any benchmark


@attrs.frozen
class Fill:
    """Open *count* RPCs that all expire *seconds* from now."""

    count: int
    seconds: float


@attrs.frozen
class Count:
    count: int


class Probe:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.due = 0.0
        self.ended = 0
        self.callback = self._count  # made once: `self._count` is a new object each time it is written

    def _count(self, _: Body | Exception) -> None:
        self.ended += 1

    async def fill(self, body: Fill) -> Body:
        """Open callback RPCs with one deadline; answer with the wall microseconds that each took."""
        begun = time.perf_counter()
        self.due = one_deadline(body.seconds)
        await self._open(body.count)
        return {"open_us": (time.perf_counter() - begun) / body.count * 1e6, "pending": len(self.node.pending)}

    async def _open(self, count: int) -> None:
        opened = 0
        while opened < count:
            # One timeout object for many RPCs, as programs have it; half a millisecond late stays in the same bucket.
            timeout = self.due - trio.current_time()
            try:
                for _ in range(min(100, count - opened)):
                    self.node.rpc_callback("n2", REQUEST, self.callback, timeout=timeout)
                    opened += 1
            except trio.WouldBlock:
                await trio.sleep(0.001)
            else:
                await trio.lowlevel.checkpoint()

    async def expire(self) -> Body:
        """Watch all that is pending expire; a stall is the thread's CPU time between two passes of the loop."""
        await trio.sleep_until(self.due - 0.05)
        total = len(self.node.pending)
        self.ended = 0
        stall = 0.0
        begun = before = time.thread_time()
        while self.ended < total:
            await trio.lowlevel.checkpoint()
            now = time.thread_time()
            if len(self.node.pending) == total:
                begun = now
            else:
                stall = max(stall, now - before)
            before = now
        return {"expired": total, "stall_ms": stall * 1e3, "expire_us": (before - begun) / total * 1e6}

    async def sweep(self) -> Body:
        """Time a sweep that finds nothing due."""
        times = []
        for _ in range(1000):
            begun = time.perf_counter()
            await self.node._service._reaper.sweep()
            times.append(time.perf_counter() - begun)
            await trio.lowlevel.checkpoint()
        return {"sweep_ms": statistics.median(times) * 1e3}

    def table(self, body: Count) -> Body:
        """Expire records in a table of their own: the reaper's share, without callbacks and without Trio."""
        send_channel, receive_channel = trio.open_memory_channel[PendingRpc](math.inf)
        table = PendingTable(Stats(), send_channel)
        due = one_deadline(FOREVER)
        for msg_id in range(body.count):
            table.open_callback(msg_id, "n2", due - trio.current_time(), self.callback)
        begun = time.thread_time()
        while table.expire_slice(due + 1):
            pass
        spent = time.thread_time() - begun
        send_channel.close()
        receive_channel.close()
        return {"table_us": spent / body.count * 1e6}

    async def trace_callbacks(self, body: Count) -> Body:
        """Count what the allocator holds for each callback RPC."""
        tracemalloc.start()
        self.due = one_deadline(FOREVER)
        before = await traced()
        await self._open(body.count)
        return {"bytes": (await traced() - before) / body.count}

    async def trace_channels(self, body: Count) -> Body:
        """Count what the allocator holds for each record that has a channel of its own, as an awaited RPC has."""
        tracemalloc.start()
        ended = trio.open_memory_channel[PendingRpc](math.inf)
        table = PendingTable(Stats(), ended[0])
        due = one_deadline(FOREVER)
        before = await traced()
        channels = []
        for msg_id in range(body.count):
            pair = trio.open_memory_channel[PendingRpc](1)
            channels.append(pair)
            table.open(msg_id, "n2", due - trio.current_time(), pair[0])
        each = (await traced() - before) / body.count
        for send_channel, receive_channel in channels:
            send_channel.close()
            receive_channel.close()
        return {"bytes": each}

    async def trace_awaited(self, body: Count) -> Body:
        """Count what awaiting an RPC adds to a task that would sleep instead."""
        tracemalloc.start()

        async def call() -> None:
            await self.node.rpc("n2", REQUEST, timeout=FOREVER)

        async def sleep() -> None:
            await trio.sleep_forever()

        return {"bytes": await self._in_tasks(call, body.count) - await self._in_tasks(sleep, body.count)}

    async def _in_tasks(self, async_fn: Callable[[], Awaitable[object]], count: int) -> float:
        before = await traced()
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(async_fn)
                if number % 500 == 0:
                    await trio.sleep(0.001)
            each = (await traced() - before) / count
            nursery.cancel_scope.cancel()
        return each


def one_deadline(seconds: float) -> float:
    """Return a time about *seconds* from now, in the middle of a bucket, so that no rounding splits its records."""
    return (math.floor((trio.current_time() + seconds) * BUCKETS_PER_SECOND) + 0.5) / BUCKETS_PER_SECOND


async def traced() -> int:
    """Return the bytes that are allocated once the outbox is empty and rubbish is collected."""
    await trio.sleep(0.3)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def build() -> Node:
    """Return the node with its probes as handlers."""
    node = Node()
    probe = Probe(node)
    for handler in (
        probe.fill,
        probe.expire,
        probe.sweep,
        probe.table,
        probe.trace_callbacks,
        probe.trace_channels,
        probe.trace_awaited,
    ):
        node.on(handler.__name__)(handler)
    return node
