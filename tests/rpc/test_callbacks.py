"""RPCs with a callback: it is called once, whatever ends the RPC, and what it raises hurts nobody."""

from __future__ import annotations

import functools
import gc
import math
import re
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.lines import INIT, line
from support.rpc_recorder import ASK, Recorder
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Node, RpcTimeout
from trio_messenger.testing import assert_no_rpc_leaked, running
from trio_messenger.transports.memory import memory_transport_pair

# Ways out


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize("end", ["reply", "expiry", "closing"])
async def test_callback_is_let_go_when_it_has_been_called(end: str, autojump_clock: MockClock) -> None:
    """Once its RPC has ended, nothing in the node holds the callback any more."""
    node = Node()
    async with running(node) as network:
        recorder = Recorder()
        gone = weakref.ref(recorder)
        node.rpc_callback("n2", ASK, recorder)
        del recorder
        gc.collect()
        assert gone() is not None
        if end == "reply":
            await network.reply(await network.receive(), {"type": "ask_ok"})
        elif end == "expiry":
            await trio.sleep(3)
        else:
            network.send_eof()
        await wait_all_tasks_blocked()
        gc.collect()
        assert gone() is None


# Callbacks


async def test_callback_that_raises_is_logged_and_the_next_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    """What a callback raises is logged with its traceback and counted, and costs no other callback its outcome."""
    node = Node()
    recorder = Recorder()

    def fail(outcome: object) -> None:
        raise ValueError("bad luck")

    async with running(node) as network:
        for callback in (fail, recorder, fail, recorder):
            node.rpc_callback("n2", ASK, callback)
        for _ in range(4):
            await network.reply(await network.receive(), {"type": "ask_ok"})
        await network.receive_nothing()
        assert len(recorder.outcomes) == 2
        assert len(node.pending) == 0
    assert caplog.messages == ["the callback of RPC 1 to 'n2' failed", "the callback of RPC 3 to 'n2' failed"]
    assert "ValueError: bad luck" in caplog.text
    assert node.stats.handler_failures == 2


async def test_callbacks_that_raise_are_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Of 40 callbacks that raise, the first ten, the 16th and the 32nd are logged, and all are counted."""
    node = Node()

    def fail(outcome: object) -> None:
        raise ValueError("bad luck")

    async with running(node):
        for _ in range(40):
            node.rpc_callback("n2", ASK, fail)
    assert len(caplog.messages) == 12
    assert node.stats.handler_failures == 40


class AsyncCallable:
    async def __call__(self, outcome: object) -> None: ...


async def async_callback(outcome: object) -> None: ...


@pytest.mark.parametrize(
    "callback",
    [async_callback, functools.partial(async_callback), AsyncCallable()],
    ids=["function", "partial", "object"],
)
async def test_async_callback_is_refused(callback: Callable[[object], Any]) -> None:
    """A callback that would never be awaited is a TypeError at the call, and nothing is sent."""
    node = Node()
    async with running(node) as network:
        with pytest.raises(TypeError) as caught:
            node.rpc_callback("n2", ASK, callback)
        await network.receive_nothing()
    assert (
        str(caught.value) == f"a callback is a plain function, and {callback!r} is async; await rpc() in a task instead"
    )
    assert_no_rpc_leaked(node)


@pytest.mark.parametrize("callback", [None, {"type": "ask"}])
async def test_callback_that_cannot_be_called_is_refused(callback: Any) -> None:
    """What is no function is a TypeError where it is given, before anything is sent."""
    node = Node()
    text = re.escape(f"a callback is a function of one argument, not {callback!r}")
    async with running(node) as network:
        with pytest.raises(TypeError, match=f"^{text}$"):
            node.rpc_callback("n2", ASK, callback)
        await network.receive_nothing()
    assert node.stats.rpcs == 0


async def test_callback_may_make_the_next_rpc() -> None:
    """A callback can send the next request of a chain."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        node.rpc_callback("n2", {"type": "one"}, lambda _: node.rpc_callback("n3", {"type": "two"}, recorder))
        await network.reply(await network.receive(), {"type": "one_ok"})
        await network.reply(await network.receive(), {"type": "two_ok"})
        await network.receive_nothing()
        assert recorder.outcomes == [{"type": "two_ok", "in_reply_to": 2}]
    assert_no_rpc_leaked(node)


async def test_callbacks_that_closing_ends_can_all_still_send() -> None:
    """However many callbacks the end of input calls, what they send still leaves."""
    node = Node()
    async with running(node) as network:
        for _ in range(2000):
            node.rpc_callback("n2", ASK, lambda _: node.send_nowait("c1", {"type": "farewell"}))
        network.send_eof()
        types = [(await network.receive()).body["type"] for _ in range(4000)]
    assert types == ["ask"] * 2000 + ["farewell"] * 2000
    assert node.stats.handler_failures == 0


@pytest.mark.parametrize("end", ["expiry", "closing", "cancellation"])
async def test_many_callbacks_are_each_called_once(
    end: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 2,000 callback RPCs that end at one moment, each callback is called exactly once; a sweep logs one line."""
    node = Node()
    recorders = [Recorder() for _ in range(2000)]
    there, here = memory_transport_pair(batches=math.inf)
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        await here.send_bytes(INIT)
        await here.receive()
        for recorder in recorders:
            node.rpc_callback("n2", ASK, recorder)
        assert len(node.pending) == 2000
        await wait_all_tasks_blocked()
        if end == "closing":
            here.send_eof()
        elif end == "cancellation":
            nursery.cancel_scope.cancel()
        else:
            start = trio.current_time()
            await trio.sleep(3)
            assert {time for recorder in recorders for time in recorder.times} == {start + 2.0}
            here.send_eof()
    assert {len(recorder.outcomes) for recorder in recorders} == {1}
    assert caplog.messages == (["RPCs reaped without reply: 2000; still pending: 0"] if end == "expiry" else [])
    kind = RpcTimeout if end == "expiry" else trio.ClosedResourceError
    assert all(isinstance(recorder.outcomes[0], kind) for recorder in recorders)
    assert_no_rpc_leaked(node)


async def test_flood_of_callbacks_lets_other_tasks_run() -> None:
    """Between a thousand callbacks other tasks get their turn."""
    node = Node(rpc_timeout=600)
    order: list[str] = []
    async with running(node) as network:
        for _ in range(3000):
            node.rpc_callback("n2", ASK, lambda _: order.append("callback"))
        replies = []
        for _ in range(3000):
            request = await network.receive()
            replies.append(line({"type": "ask_ok", "in_reply_to": request.body["msg_id"]}, src="n2"))

        async def other() -> None:
            while len(order) < 3000:
                order.append("other")
                await trio.lowlevel.checkpoint()

        await network.send_bytes(b"".join(replies))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
    middle = order[order.index("callback") : -1]
    assert "other" in middle
    assert_no_rpc_leaked(node)


async def test_callback_that_sends_when_the_node_closes_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks that closing ends may still send; a new RPC is refused, which is logged like any failure."""
    node = Node()

    def callback(outcome: Body | Exception) -> None:
        node.send_nowait("c1", {"type": "farewell", "why": type(outcome).__name__})
        node.rpc_callback("n2", ASK, callback)

    async with running(node) as network:
        node.rpc_callback("n2", ASK, callback)
        node.rpc_callback("n2", ASK, callback)
        await network.receive()
        await network.receive()
        network.send_eof()
        for _ in range(2):
            farewell = await network.receive()
            assert farewell.body["why"] == "ClosedResourceError"
    assert len(caplog.messages) == 2
    assert node.stats.handler_failures == 2
    assert_no_rpc_leaked(node)


async def test_reply_nested_as_deep_as_can_be_decoded_ends_its_rpc() -> None:
    """However deep the error reply of a peer is nested, it ends the RPC once, with an error, and not the node."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        for depth in range(900, 1000):
            node.rpc_callback("n2", ASK, recorder, timeout=math.inf)
            number = (await network.receive()).body["msg_id"]
            body = f'{{"type": "error", "in_reply_to": {number}, "code": {"[" * depth + "]" * depth}}}'
            await network.send_bytes(f'{{"src": "n2", "dest": "n1", "body": {body}}}\n'.encode())
    assert len(recorder.outcomes) == 100
    assert node.stats.handler_failures == 0
    assert_no_rpc_leaked(node)
