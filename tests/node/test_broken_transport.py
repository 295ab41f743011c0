"""A transport that breaks: the node ends, and says so."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.echo_node import ASK, echo_node
from support.lines import INIT, line
from support.slow_reader import fill_outbox
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Message
from trio_messenger.testing import assert_no_rpc_leaked
from trio_messenger.transports import Transport
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair


class BreakingTransport(Transport):
    """A transport in memory whose way in or out breaks when told to."""

    def __init__(self, inner: MemoryTransport) -> None:
        self._inner = inner
        self.broken_in = False
        self.broken_out = False
        self.may_send = trio.Event()
        self.may_send.set()
        self.closed = False

    async def receive(self) -> list[Message]:
        try:
            return await self._inner.receive()
        except trio.EndOfChannel:
            if self.broken_in:
                raise trio.BrokenResourceError("the way in is broken") from None
            raise

    async def send(self, value: list[bytes]) -> None:
        await self.may_send.wait()
        if self.broken_out:
            raise trio.BrokenResourceError("the way out is broken")
        await self._inner.send(value)

    async def aclose(self) -> None:
        self.closed = True
        await self._inner.aclose()


async def test_broken_input_answers_what_came_before(autojump_clock: MockClock) -> None:
    """When the way in breaks, what was taken is answered, with grace for handlers, and then serve() raises it."""
    node = echo_node()

    @node.on("work")
    async def work() -> Body:
        await trio.sleep(0.5)
        return {}

    there, here = memory_transport_pair()
    transport = BreakingTransport(there)
    transport.broken_in = True
    async with here:
        await here.send_bytes(
            INIT + line({"type": "echo", "msg_id": 2, "echo": 1}) + line({"type": "work", "msg_id": 3})
        )
        here.send_eof()
        with pytest.raises(trio.BrokenResourceError, match=r"^the way in is broken$"):
            await node.serve(transport)
        assert transport.closed
        types = []
        async for batch in here:
            types += [message.body["type"] for message in batch]
        assert types == ["init_ok", "echo_ok", "work_ok"]


async def test_broken_output_ends_the_node(autojump_clock: MockClock) -> None:
    """When nobody can be sent to any more, handlers are cancelled at once, callbacks called, and serve() raises it."""
    node = echo_node()
    outcomes: list[Any] = []
    cancelled: list[float] = []

    @node.on("work")
    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    there, here = memory_transport_pair()
    transport = BreakingTransport(there)
    start = trio.current_time()

    async def drive() -> None:
        await here.send_bytes(INIT)
        await here.receive()
        node.rpc_callback("n2", ASK, outcomes.append)
        await here.receive()
        await here.send_bytes(line({"type": "work", "msg_id": 2}))
        await wait_all_tasks_blocked()
        transport.broken_out = True
        await here.send_bytes(line({"type": "echo", "msg_id": 3, "echo": 1}))

    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(drive)
        with pytest.raises(trio.BrokenResourceError, match=r"^the way out is broken$"):
            await node.serve(transport)
    assert cancelled == [start]
    assert [type(outcome) for outcome in outcomes] == [trio.ClosedResourceError]
    assert transport.closed
    assert_no_rpc_leaked(node)


async def test_node_whose_output_broke_does_not_call_for_patience() -> None:
    """With its outbox full when the output breaks, the closed node says that it is closed, not that it is full."""
    node = echo_node(outbox_limit=1)
    there, here = memory_transport_pair()
    transport = BreakingTransport(there)
    async with here, trio.open_nursery() as nursery:

        async def serve() -> None:
            with pytest.raises(trio.BrokenResourceError, match=r"^the way out is broken$"):
                await node.serve(transport)
            node_ended.set()

        node_ended = trio.Event()
        nursery.start_soon(serve)
        await here.send_bytes(INIT)
        await here.receive()
        transport.may_send = trio.Event()
        await fill_outbox(node)
        transport.broken_out = True
        transport.may_send.set()
        await node_ended.wait()
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends nothing more$"):
        node.send_nowait("n2", ASK)
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends nothing more$"):
        await node.send("n2", ASK)
