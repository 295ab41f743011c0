"""Admission: when the router pauses, and when overload is shed."""

from __future__ import annotations

import pytest
import trio
from support.lines import INIT, line
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_messenger import Body, Message, Node
from trio_messenger._serving.admission import BURST, HANDLER_PATIENCE, MAX_HANDLERS, OUTBOX_LIMIT, Admission
from trio_messenger.transports import Transport
from trio_messenger.transports.memory import memory_transport_pair


def messages(count: int) -> list[Message]:
    return [Message("c1", "n1", {"type": "ask", "msg_id": n}) for n in range(count)]


class Routed:
    """Routes messages to handlers that do not end by themselves."""

    def __init__(self, admission: Admission) -> None:
        self.started = 0
        self.shed = 0
        self._admission = admission

    def route(self, _: Message) -> None:
        if self._admission.start_handler():
            self.started += 1
        else:
            self.shed += 1


def test_the_limits_by_default() -> None:
    """By default, an outbox is full from 1 MiB on and busy from a quarter of that on; 1,000 handlers run."""
    assert (OUTBOX_LIMIT, MAX_HANDLERS) == (1024 * 1024, 1000)
    outbox = Node()._service.outbox
    assert (outbox.limit, outbox.busy_from) == (1024 * 1024, 256 * 1024)


@pytest.mark.parametrize(("limit", "quarter"), [(1, 1), (4, 1), (5, 2), (100, 25)])
def test_the_outbox_is_busy_from_a_quarter_on(limit: int, quarter: int) -> None:
    """A quarter is rounded up, so that an empty outbox is never busy."""
    outbox = Admission(limit, max_handlers=1).outbox
    assert (outbox.limit, outbox.busy_from) == (limit, quarter)


async def test_it_pauses_for_a_busy_outbox() -> None:
    """What comes after the message that makes the outbox busy waits until the writer has taken everything."""
    admission = Admission(100, max_handlers=1)
    batch = messages(5)
    left = admission.route_until_pause(batch, lambda _: admission.outbox.put(b"x" * 10))
    assert left == batch[3:]
    with trio.move_on_after(0) as scope:
        await admission.pause()
    assert scope.cancelled_caught
    assert admission.route_until_pause(left, lambda _: None) == left
    await admission.outbox.take()
    with assert_checkpoints():
        await admission.pause()
    assert admission.route_until_pause(left, lambda _: None) == []


async def test_it_pauses_after_a_burst() -> None:
    """After 128 handlers were started in a row, they run before more are started, and none is shed."""
    admission = Admission(100, max_handlers=1000)
    routed = Routed(admission)
    left = messages(300)
    started = []
    while left := admission.route_until_pause(left, routed.route):
        started.append(routed.started)
        with assert_checkpoints():
            await admission.pause()
    assert started == [BURST, 2 * BURST]
    assert (routed.started, routed.shed, admission.running) == (300, 0, 300)


async def test_it_sheds_when_patience_is_over_and_is_patient_with_the_next_batch() -> None:
    """Handlers that are too many get eight passes in each batch to end; then what they leave no room for is shed."""
    admission = Admission(100, max_handlers=2)
    routed = Routed(admission)
    for shed in (3, 8):
        left = messages(5)
        passes = 0
        while left := admission.route_until_pause(left, routed.route):
            await admission.pause()
            passes += 1
        assert (passes, routed.started, routed.shed) == (HANDLER_PATIENCE, 2, shed)


async def test_a_handler_that_ends_makes_room() -> None:
    """A pass in which a handler ended takes no patience."""
    admission = Admission(100, max_handlers=1)
    routed = Routed(admission)
    left = messages(50)
    while left := admission.route_until_pause(left, routed.route):
        admission.end_handler()
        await admission.pause()
    assert (routed.started, routed.shed) == (50, 0)


async def test_patience_that_is_over_stays_over_for_the_batch() -> None:
    """If the outbox gets busy while requests are shed, the rest of the batch is still shed at once."""
    admission = Admission(100, max_handlers=1)
    routed = Routed(admission)

    def route(message: Message) -> None:
        routed.route(message)
        if routed.shed:
            admission.outbox.put(b"x" * 25)

    left = messages(20)
    passes = 0
    while left := admission.route_until_pause(left, route):
        if admission.outbox.is_busy:
            await admission.outbox.take()
        await admission.pause()
        passes += 1
    assert (routed.started, routed.shed, passes) == (1, 19, HANDLER_PATIENCE + 18)


class SendsNow(Transport):
    """Sends everything without waiting, as a pipe does while somebody reads it."""

    def __init__(self, transport: Transport) -> None:
        self.lines: list[bytes] = []
        self._transport = transport

    async def receive(self) -> list[Message]:
        return await self._transport.receive()

    def send_now(self, value: list[bytes]) -> list[bytes]:
        self.lines += value
        return []

    async def send(self, value: list[bytes]) -> None:
        await trio.lowlevel.checkpoint()
        self.lines += value

    async def aclose(self) -> None:
        await self._transport.aclose()


async def test_refusals_that_fill_the_outbox_do_not_keep_replies_from_being_read() -> None:
    """The refusals of one batch come to more than a quarter of the outbox: all leave, and then a reply is read."""
    node = Node(max_handlers=1, outbox_limit=400, wrap_transport=SendsNow)
    answered = []

    @node.on("ask")
    async def ask() -> Body:
        answered.append(await node.rpc("n2", {"type": "question"}))
        return {}

    there, here = memory_transport_pair()
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        await here.send_bytes(INIT)
        await here.send_bytes(line({"type": "ask", "msg_id": 2}))
        await wait_all_tasks_blocked()
        requests = b"".join(line({"type": "ask", "msg_id": n}) for n in range(3, 23))
        await here.send_bytes(requests + line({"type": "question_ok", "in_reply_to": 1}, src="n2"))
        for _ in range(200):
            await trio.lowlevel.checkpoint()
        assert (node.stats.shed, len(answered)) == (20, 1)
        here.send_eof()
