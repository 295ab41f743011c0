"""Calls that are cancelled, at each of their checkpoints in turn: no record, task or channel of theirs stays behind."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import attrs
import pytest
import trio
from support.lines import line
from support.slow_reader import FILLERS, fill_outbox, slow_reader
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import (
    Backoff,
    Body,
    KeyValue,
    Message,
    Node,
    Request,
    RetriesExhausted,
    RpcError,
    TimestampOracle,
)
from trio_messenger.testing import assert_no_rpc_leaked, running
from trio_messenger.transports.memory import MemoryTransport

ASK: Final = {"type": "ask"}
OK: Final = {"type": "ask_ok"}
AFTER: Final = {"type": "after"}
BUSY: Final = {"type": "error", "code": 11, "text": "busy"}
CONFLICT: Final = {"type": "error", "code": 22, "text": "it is something else"}
STEADY: Final = Backoff(base=0.25, jitter=0)
LATE: Final = 0.625
"""After the timeout of 0.5 s, and in the first wait of STEADY."""

Call: TypeAlias = Callable[[Node], Awaitable[object]]
Say: TypeAlias = tuple[float, Body] | None
"""What the peers say to a request, and how many seconds later; None: nothing."""


@attrs.frozen
class Case:
    """A call, what the peers say to its requests in their order, and how many checkpoints it has at least."""

    call: Call
    script: Sequence[Say] = ()
    checkpoints: int = 1
    ends_with: type[Exception] | None = None


def request() -> Request:
    return Request("c1", "n1", "ask", 7, {"type": "ask", "msg_id": 7}, 0.0)


def ask(node: Node) -> Awaitable[object]:
    return node.rpc("n2", ASK, timeout=0.5)


def retry(node: Node) -> Awaitable[object]:
    return node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=3)


def ask_all(node: Node) -> Awaitable[object]:
    return node.rpc_all(["n2", "n3", "n4"], ASK, timeout=0.5)


def ask_quorum(node: Node) -> Awaitable[object]:
    return node.rpc_quorum(["n2", "n3", "n4"], ASK, need=2, timeout=0.5)


def store(node: Node) -> KeyValue:
    return KeyValue(node, timeout=0.5, backoff=STEADY)


VALUE: Final = (0.125, {"type": "read_ok", "value": 1})
DONE: Final = (0.125, OK)

CASES: Final = {
    "rpc": Case(ask, [DONE]),
    "rpc, refused": Case(ask, [(0, BUSY)], ends_with=RpcError),
    "rpc, silence": Case(ask, ends_with=RpcError),
    "rpc_retry, first": Case(retry, [DONE]),
    "rpc_retry, third": Case(retry, [None, (0.125, BUSY), DONE], 5),
    "rpc_retry, late in the wait": Case(retry, [(LATE, OK)], 2),
    "rpc_retry, late in an attempt": Case(retry, [(1.0, OK), None], 3),
    "rpc_retry, late refusals": Case(retry, [(LATE, BUSY), (LATE, BUSY), DONE], 7),
    "rpc_retry, silence": Case(retry, [], 5, RetriesExhausted),
    "rpc_retry, refused": Case(retry, [(0, BUSY)] * 3, 5, RetriesExhausted),
    "rpc_all": Case(ask_all, [(0.25, OK), (0.125, OK), (0.375, OK)], 3),
    "rpc_all, at once": Case(ask_all, [(0, OK)] * 3),
    "rpc_all, errors": Case(ask_all, [None, (0.125, BUSY), (0.25, OK)], 3),
    "rpc_quorum": Case(ask_quorum, [(0.25, OK), (0.125, OK), (0.375, OK)], 2),
    "rpc_quorum, missed": Case(ask_quorum, [(0.25, OK), (0.125, BUSY), (0.375, BUSY)], 3, RpcError),
    "send": Case(lambda node: node.send("n2", ASK)),
    "reply": Case(lambda node: node.reply(request(), {})),
    "reply, error": Case(lambda node: node.reply(request(), RpcError(22))),
    "wait_for_room": Case(lambda node: node.wait_for_room()),
    "read": Case(lambda node: store(node).read("k", as_=int), [VALUE]),
    "read, fresh": Case(lambda node: store(node).read("k", fresh=True), [DONE, VALUE], 2),
    "read, no such key": Case(lambda node: store(node).read("k", default=0), [(0.125, {"type": "error", "code": 20})]),
    "write": Case(lambda node: store(node).write("k", 1), [DONE]),
    "cas": Case(lambda node: store(node).cas("k", 1, 2, create=True), [DONE]),
    "cas, conflict": Case(lambda node: store(node).cas("k", 1, 2), [(0, CONFLICT)], ends_with=RpcError),
    "update": Case(
        lambda node: store(node).update("k", lambda value: value + 1), [VALUE, (0.125, CONFLICT), VALUE, DONE], 5
    ),
    "update, conflicts": Case(
        lambda node: store(node).update("k", lambda value: value + 1, attempts=2),
        [VALUE, (0.125, CONFLICT)] * 2,
        5,
        RetriesExhausted,
    ),
    "update, silence": Case(lambda node: store(node).update("k", lambda value: value), [VALUE], 2, RpcError),
    "ts": Case(lambda node: TimestampOracle(node).ts(), [(0.125, {"type": "ts_ok", "ts": 4})]),
}


class CancelAt(trio.abc.Instrument):
    """Cancels *scope* at the *number*-th checkpoint of the task that makes this object; the 0-th is before it begins.

    Args:
      woken: When the task has been woken from it, so that the cancellation meets it at the next; else when it has
        come to rest there.
    """

    def __init__(self, number: int, scope: trio.CancelScope, *, woken: bool) -> None:
        self.cancelled_at = trio.current_time()
        """When it did that, or when this object was made."""
        self._task = trio.lowlevel.current_task()
        self._left = number
        self._scope = scope
        self._woken = woken

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task and not self._woken:
            self._count()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task and self._woken:
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.cancelled_at = trio.current_time()
            self._scope.cancel()


async def cancel_at(number: int, call: Awaitable[object], ends_with: type[Exception] | None, *, woken: bool) -> bool:
    """Await *call*, cancelled as by `CancelAt`; tell whether it was. If not, it is to raise *ends_with*."""
    with trio.CancelScope() as scope:
        if number == 0:
            scope.cancel()
        canceller = CancelAt(number, scope, woken=woken)
        trio.lowlevel.add_instrument(canceller)
        try:
            await call
        except Exception as exc:
            if ends_with is None or not isinstance(exc, ends_with):
                raise
        else:
            assert ends_with is None
        finally:
            trio.lowlevel.remove_instrument(canceller)
    if scope.cancelled_caught:
        assert trio.current_time() == canceller.cancelled_at  # it waited for nothing more
    return scope.cancelled_caught


class Channels:
    """Stands for `trio.open_memory_channel`, and remembers what it opened."""

    def __init__(self) -> None:
        self._open: Any = trio.open_memory_channel
        self._opened: list[trio.MemoryReceiveChannel[Any]] = []

    def __getitem__(self, _: object) -> Channels:
        return self

    def __call__(self, size: float) -> tuple[trio.MemorySendChannel[Any], trio.MemoryReceiveChannel[Any]]:
        send_channel, receive_channel = self._open[Any](size)
        self._opened.append(receive_channel)
        return send_channel, receive_channel

    def assert_closed(self, spare: Collection[trio.MemoryReceiveChannel[Any]] = ()) -> None:
        """Assert that all channels are closed, but for the *spare* ones, which are to be empty."""
        for channel in self._opened:
            statistics = channel.statistics()
            ends = (statistics.open_send_channels, statistics.open_receive_channels)
            assert ends == ((1, 1) if channel in spare else (0, 0))
            if channel in spare:
                assert (statistics.current_buffer_used, statistics.tasks_waiting_receive) == (0, 0)


class Peers:
    """All that the node talks to. They read nothing in the first second if they are *slow*."""

    def __init__(self, here: MemoryTransport, script: Sequence[Say], *, slow: bool) -> None:
        self.asked: list[str] = []
        self._here = here
        self._script = iter(script)
        self._slow = slow

    async def play(self) -> None:
        if self._slow:
            await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            async for batch in self._here:
                for message in batch:
                    if message.body["type"] == "after":
                        nursery.start_soon(self._answer, message, (0.25, {"type": "after_ok"}))
                    elif message.body["type"] not in FILLERS:
                        self.asked.append(message.dest)
                        nursery.start_soon(self._answer, message, next(self._script, None))

    async def _answer(self, message: Message, say: Say) -> None:
        if say is not None:
            after, body = say
            await trio.sleep(after)
            reply = {**body, "in_reply_to": message.body["msg_id"]}
            await self._here.send_bytes(line(reply, src=message.dest))


@asynccontextmanager
async def serving(*, slow: bool) -> AsyncIterator[tuple[Node, MemoryTransport]]:
    """Serve a fresh node; if *slow*, with an outbox that is full as long as nobody reads."""
    node = Node(seed=1, outbox_limit=1 if slow else 1 << 20)
    async with slow_reader(node, batches=0 if slow else 16) as reader:
        if slow:
            await fill_outbox(node)
        yield node, reader.transport


async def cancelled_at_each_checkpoint(
    case: Case, monkeypatch: pytest.MonkeyPatch, *, slow: bool, woken: bool
) -> AsyncIterator[tuple[bool, Node, Peers]]:
    """Make the call of *case* on fresh nodes, cancelled before it begins, at its first checkpoint, its second, and so
    on until it ends by itself; after each assert that nothing of it is there any more.

    Args:
      case: The call and its peers.
      monkeypatch: To see the channels.
      slow: Begin with an outbox that is full, and stays so for a second.
      woken: Cancel as the task wakes from the checkpoint, not as it comes to rest there.
    """
    cancelled = True
    for number in itertools.count():
        async with serving(slow=slow) as (node, here):
            peers = Peers(here, case.script, slow=slow)
            sent = node.stats.sent
            await wait_all_tasks_blocked()
            tasks = trio.lowlevel.current_statistics().tasks_living
            async with trio.open_nursery() as playing:
                playing.start_soon(peers.play)
                channels = Channels()
                with monkeypatch.context() as patch:
                    patch.setattr(trio, "open_memory_channel", channels)
                    cancelled = await cancel_at(number, case.call(node), case.ends_with, woken=woken)
                assert_nothing_left(node)
                channels.assert_closed(spare=[receive_channel for _, receive_channel in node._service.calls._spare])
                sent = node.stats.sent - sent
                # What comes too late for the call must not meet the next one.
                await expect_after_ok(node)
                await trio.sleep(8)  # nothing comes after
                assert len(peers.asked) == sent
                assert_nothing_left(node)
                playing.cancel_scope.cancel()
            await wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living == tasks
            yield cancelled, node, peers
        if not cancelled:
            return


def assert_nothing_left(node: Node) -> None:
    """Assert that no RPC is pending or lingers, and that nobody waits for room."""
    assert_no_rpc_leaked(node)
    assert node._service.table._lingering == {}
    assert node._service.outbox._senders.statistics().tasks_waiting == 0


@pytest.mark.slow
@pytest.mark.parametrize("woken", [False, True], ids=["at rest", "woken"])
@pytest.mark.parametrize("slow", [False, True], ids=["", "full outbox"])
@pytest.mark.parametrize("name", CASES)
async def test_cancelled_call_leaves_nothing_behind(
    name: str, slow: bool, woken: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the call is cancelled, at once no RPC is pending or lingers, no channel is in use and no task is left;
    each RPC that it made is counted once, and the next RPC gets its own reply."""
    case = CASES[name]
    outcomes = []
    async for cancelled, _, _ in cancelled_at_each_checkpoint(case, monkeypatch, slow=slow, woken=woken):
        outcomes.append(cancelled)
    # The first was cancelled before it began; and a call that is woken from its last checkpoint gets through.
    assert len(outcomes) - 1 >= 1 + case.checkpoints - woken
    assert outcomes == [True] * (len(outcomes) - 1) + [False]


@pytest.mark.parametrize("slow", [False, True], ids=["", "full outbox"])
@pytest.mark.parametrize("name", ["send", "reply", "reply, error", "wait_for_room"])
async def test_cancelled_send_has_sent_nothing(
    name: str, slow: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever send() or reply() is cancelled, nothing leaves; uncancelled, one message does."""
    async for cancelled, _, peers in cancelled_at_each_checkpoint(CASES[name], monkeypatch, slow=slow, woken=False):
        assert len(peers.asked) == (0 if cancelled or name == "wait_for_room" else 1)


@pytest.mark.parametrize("slow", [False, True], ids=["", "full outbox"])
@pytest.mark.parametrize("name", ["rpc_all", "rpc_all, at once", "rpc_quorum", "rpc_quorum, missed"])
async def test_cancelled_gathering_has_asked_all_or_none(
    name: str, slow: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever rpc_all() or rpc_quorum() is cancelled, either every node was asked or none."""
    asked = []
    async for _, node, peers in cancelled_at_each_checkpoint(CASES[name], monkeypatch, slow=slow, woken=False):
        assert node.stats.rpcs == len(peers.asked) + 1  # the one that comes after
        asked.append(peers.asked)
    assert asked[0] == []
    assert asked[-1] == ["n2", "n3", "n4"]
    assert all(each in ([], ["n2", "n3", "n4"]) for each in asked)


@pytest.mark.parametrize("call", [ask, retry, ask_all], ids=["rpc", "rpc_retry", "rpc_all"])
async def test_reply_that_meets_the_cancellation_does_no_harm(call: Call, mock_clock: MockClock) -> None:
    """Whether a reply comes just before or just after the caller learns that it is cancelled, nothing of it stays
    behind, and the next call gets its own replies."""
    node = Node()
    async with running(node) as network:
        for _ in range(32):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancelled_after, 0.25, call, node)
                await wait_all_tasks_blocked()
                request = await network.receive()
                await network.reply(request, {"type": "stale"})
                mock_clock.jump(0.25)  # the caller and the router run next, in any order
            assert_nothing_left(node)
            for _ in range(2 * (call is ask_all)):
                await network.receive()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(expect_after_ok, node)
                await network.reply(await network.receive(), {"type": "after_ok"})
    assert_nothing_left(node)


async def cancelled_after(seconds: float, call: Call, node: Node) -> None:
    with trio.move_on_after(seconds):
        await call(node)


async def expect_after_ok(node: Node) -> None:
    assert (await node.rpc("n5", AFTER))["type"] == "after_ok"


async def test_closed_node_has_no_channel_left(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a node has ended, each channel that it opened for its RPCs is closed."""
    channels = Channels()
    async with serving(slow=False) as (node, here), trio.open_nursery() as playing:
        playing.start_soon(Peers(here, [DONE] * 3, slow=False).play)
        with monkeypatch.context() as patch:
            patch.setattr(trio, "open_memory_channel", channels)
            await ask(node)
            async with trio.open_nursery() as nursery:
                for call in (ask, ask, ask_all):
                    nursery.start_soon(call, node)
        playing.cancel_scope.cancel()
    channels.assert_closed()
