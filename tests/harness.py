"""What the tests share: a network of one in memory, and node executables behind real pipes."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from trio_messenger import Body, MalformedMessage, Message, Node
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair


class Network:
    """The network as the one node *n1* sees it: clients, peers and services are all played by the test."""

    def __init__(self, node: Node, transport: MemoryTransport) -> None:
        self.node = node
        self._transport = transport
        self._sent_by_node, self._received = trio.open_memory_channel[Message](math.inf)
        self._next_msg_id = 1

    async def collect(self) -> None:
        """Take whatever the node sends, until it closes."""
        with self._sent_by_node:
            async for batch in self._transport:
                for message in batch:
                    self._sent_by_node.send_nowait(message)

    async def send(self, src: str, body: Body, dest: str = "n1") -> None:
        """Send *body* to the node as *src*."""
        await self.send_bytes(json.dumps({"src": src, "dest": dest, "body": body}).encode() + b"\n")

    async def send_bytes(self, data: bytes) -> None:
        """Send any bytes to the node."""
        await self._transport.send_bytes(data)

    async def receive(self) -> Message:
        """Wait for the next message that the node sends; `trio.EndOfChannel` once it has closed."""
        message = await self._received.receive()
        assert not isinstance(message, MalformedMessage)
        return message

    async def request(self, type_: str, **fields: Any) -> Body:
        """Send a request as *c1* and return the body of the next message, which is to be its reply."""
        msg_id = self._next_msg_id
        self._next_msg_id += 1
        await self.send("c1", {"type": type_, **fields, "msg_id": msg_id})
        reply = await self.receive()
        assert (reply.src, reply.dest, reply.body["in_reply_to"]) == ("n1", "c1", msg_id)
        return reply.body

    async def reply(self, request: Message, body: Body) -> None:
        """Answer *request*, which the node sent, as the node that it was sent to."""
        await self.send(request.dest, {**body, "in_reply_to": request.body["msg_id"]})

    async def receive_nothing(self) -> None:
        """Assert that the node, left alone until every task waits, has sent nothing more."""
        await trio.testing.wait_all_tasks_blocked()
        assert self._received.statistics().current_buffer_used == 0, self._received.receive_nowait()

    def close(self) -> None:
        """Forget what the node sent."""
        self._received.close()

    def send_eof(self) -> None:
        """Tell the node that no message will ever come again."""
        self._transport.send_eof()


@asynccontextmanager
async def running(node: Node, *, init: bool = True) -> AsyncIterator[Network]:
    """Serve *node* as n1 of n1, n2 and n3; on leaving, end its input and wait for it to end."""
    there, here = memory_transport_pair()
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        network = Network(node, here)
        nursery.start_soon(network.collect)
        if init:
            await network.send("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1", "n2", "n3"]})
            assert (await network.receive()).body == {"type": "init_ok", "in_reply_to": 0, "msg_id": 0}
        yield network
        network.send_eof()
    network.close()


def assert_no_rpc_leaked(node: Node) -> None:
    """Assert that no RPC is pending, and that each one is counted among those that ended, once."""
    stats = node.stats
    assert list(node.pending) == []
    assert stats.rpcs == stats.answered + stats.reaped + stats.abandoned + stats.closed


async def cancel_at_each_checkpoint(call: Callable[[], Awaitable[object]]) -> AsyncIterator[bool]:
    """Make *call* again and again, cancelled at its first checkpoint, at its second, and so on until it gets through.

    Yields after each one: True if it was cancelled, and at last False.
    """
    cancelled = True
    allowed = 0
    while cancelled:
        with trio.CancelScope() as scope:
            if allowed == 0:
                scope.cancel()
            canceller = _CancelAfterSteps(trio.lowlevel.current_task(), allowed, scope)
            trio.lowlevel.add_instrument(canceller)
            try:
                await call()
            finally:
                trio.lowlevel.remove_instrument(canceller)
        cancelled = scope.cancelled_caught
        allowed += 1
        yield cancelled


class _CancelAfterSteps(trio.abc.Instrument):
    def __init__(self, task: trio.lowlevel.Task, steps: int, scope: trio.CancelScope) -> None:
        self._task = task
        self._steps = steps
        self._scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps -= 1
            if self._steps == 0:
                self._scope.cancel()


def line(body: Body, src: str = "c1", dest: str = "n1") -> bytes:
    """Return one line of input."""
    return msgspec.json.encode({"src": src, "dest": dest, "body": body}) + b"\n"


INIT = line({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2"]}, src="c0")
