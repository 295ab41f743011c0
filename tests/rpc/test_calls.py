"""RPCs that a task waits for: what they return and raise, and that every way out of one leaves nothing behind."""

from __future__ import annotations

import functools
import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from support.lines import INIT
from support.rpc_recorder import ASK, Recorder, both_ways, start_rpc
from support.slow_reader import fill_outbox, slow_reader
from support.steps import cancel_at_each_checkpoint
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, LocalProtocolError, Node, Request, RpcError, RpcTimeout
from trio_messenger._rpc import calls
from trio_messenger.testing import assert_no_rpc_leaked, running


@attrs.frozen
class Question:
    type: str
    about: str


# Outcomes


async def test_rpc_sends_its_body_and_returns_the_whole_reply() -> None:
    """The request leaves with the node's src and number, and the reply's body comes back, reserved keys included."""
    node = Node()
    async with running(node) as network:
        recorder = Recorder()
        await start_rpc(network, recorder, callback=False)
        request = await network.receive()
        assert (request.src, request.dest) == ("n1", "n2")
        assert list(request.body.items()) == [("type", "ask"), ("msg_id", 1)]
        assert [rpc.dest for rpc in node.pending] == ["n2"]
        await network.send("n2", {"type": "ask_ok", "x": None, "in_reply_to": 1, "msg_id": 40})
        await network.receive_nothing()
        assert recorder.outcomes == [{"type": "ask_ok", "x": None, "in_reply_to": 1, "msg_id": 40}]
        assert_no_rpc_leaked(node)
        assert node.stats.answered == 1


async def test_request_is_not_edited_and_brings_no_reserved_keys() -> None:
    """The caller's dict stays as it is; msg_id and in_reply_to in it are left out; an attrs record does as well."""
    node = Node()
    body = {"x": 1, "msg_id": 70, "type": "ask", "in_reply_to": 71}
    async with running(node) as network:
        node.rpc_callback("n2", body, Recorder())
        node.send_nowait("n2", body)
        node.send_nowait("n2", Question("ask", "weather"))
        sent = [list((await network.receive()).body.items()) for _ in range(3)]
    assert sent == [
        [("type", "ask"), ("x", 1), ("msg_id", 1)],
        [("type", "ask"), ("x", 1), ("msg_id", 2)],
        [("type", "ask"), ("about", "weather"), ("msg_id", 3)],
    ]
    assert list(body.items()) == [("x", 1), ("msg_id", 70), ("type", "ask"), ("in_reply_to", 71)]


@both_ways
@pytest.mark.parametrize(
    ("error", "code", "text", "definite"),
    [
        ({"code": 20, "text": "no such key"}, 20, "no such key", True),
        ({"code": 13, "text": "crashed"}, 13, "crashed", False),
        ({"code": 1001}, 1001, "", True),
        ({"code": 1002}, 1002, "", False),
        ({"text": "?"}, 13, "the code of an error reply is None, not an integer: ?", False),
    ],
)
async def test_error_reply_is_raised(callback: bool, error: Body, code: int, text: str, definite: bool) -> None:
    """An ``error`` reply becomes a RpcError with its code and text, definite as the protocol or the node says."""
    node = Node(definite_codes=[1001])
    recorder = Recorder()
    async with running(node) as network:
        await start_rpc(network, recorder, callback=callback)
        await network.reply(await network.receive(), {"type": "error", **error})
        await network.receive_nothing()
    (outcome,) = recorder.outcomes
    assert type(outcome) is RpcError
    assert (outcome.code, outcome.text, outcome.definite) == (code, text, definite)
    assert_no_rpc_leaked(node)


@both_ways
@pytest.mark.parametrize(
    ("rpc_timeout", "asked", "seconds"),
    [(None, None, 2.0), (None, 0.5, 0.5), (0.25, None, 0.25), (0.25, 4.0, 4.0), (None, 0.0, 0.0)],
)
async def test_rpc_times_out_at_its_deadline(
    callback: bool, rpc_timeout: float | None, asked: float | None, seconds: float, autojump_clock: MockClock
) -> None:
    """Without a reply the outcome is RpcTimeout, exactly as many seconds after sending: the call's, or the node's."""
    node = Node() if rpc_timeout is None else Node(rpc_timeout=rpc_timeout)
    recorder = Recorder()
    async with running(node) as network:
        await trio.sleep(0.125)
        start = trio.current_time()
        await start_rpc(network, recorder, callback=callback, timeout=asked)
        await trio.sleep(seconds + 0.5)
        assert recorder.times == [start + seconds]
        assert_no_rpc_leaked(node)
    (outcome,) = recorder.outcomes
    assert isinstance(outcome, RpcTimeout)
    assert (outcome.dest, outcome.msg_id, outcome.seconds, outcome.definite) == ("n2", 1, seconds, False)
    assert node.stats.reaped == 1


@both_ways
async def test_rpc_stays_pending_until_its_deadline(
    callback: bool, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A moment before the deadline nothing has happened; at the deadline the reaper closes the RPC and says so."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        await start_rpc(network, recorder, callback=callback)
        mock_clock.jump(2.0 - 1 / 1024)
        await wait_all_tasks_blocked()
        assert recorder.outcomes == []
        assert len(node.pending) == 1
        assert caplog.messages == []
        mock_clock.jump(1 / 1024)
        await wait_all_tasks_blocked()
        assert len(recorder.outcomes) == 1
        assert len(node.pending) == 0
    assert caplog.messages == ["RPCs reaped without reply: 1; still pending: 0"]


@both_ways
async def test_a_closing_node_logs_what_the_reaper_held_back(
    callback: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that closes logs the RPCs that were reaped since the last line, before those that closing ends."""
    caplog.set_level("INFO", "trio_messenger")
    node = Node()
    async with running(node) as network:
        for timeout in (0.25, 0.5, 0.75, 9.0):
            await start_rpc(network, Recorder(), callback=callback, timeout=timeout)
        await trio.sleep(1.0)
    assert node.stats.reaped == 3
    assert caplog.messages == [
        "RPCs reaped without reply: 1; still pending: 3",
        "RPCs reaped without reply: 2; still pending: 1",
        "RPCs closed without reply, as the node ends: 1",
    ]


@both_ways
async def test_infinite_timeout_waits_for_ever(callback: bool, mock_clock: MockClock) -> None:
    """With math.inf no time is too long, and a reply still ends the RPC."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        await start_rpc(network, recorder, callback=callback, timeout=math.inf)
        mock_clock.jump(1e9)
        await wait_all_tasks_blocked()
        assert recorder.outcomes == []
        await network.reply(await network.receive(), {"type": "ask_ok"})
        await network.receive_nothing()
        assert recorder.outcomes == [{"type": "ask_ok", "in_reply_to": 1}]
        assert_no_rpc_leaked(node)


async def test_earlier_deadline_overtakes_a_later_one(autojump_clock: MockClock) -> None:
    """RPCs expire in the order of their deadlines, not of their sending."""
    node = Node()
    start = trio.current_time()
    recorder = Recorder()
    async with running(node):
        for timeout in (8.0, 1.0, 0.5, 4.0):
            node.rpc_callback("n2", ASK, recorder, timeout=timeout)
            await wait_all_tasks_blocked()
        await trio.sleep(9)
    assert recorder.times == [start + 0.5, start + 1.0, start + 4.0, start + 8.0]


async def test_concurrent_rpcs_get_their_own_replies() -> None:
    """Replies that come in the reverse order of the requests each reach the task that asked."""
    node = Node()
    answers: dict[int, Any] = {}

    async def ask(n: int) -> None:
        answers[n] = (await node.rpc("n2", {"type": "ask", "n": n}))["answer"]

    async with running(node) as network, trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(ask, n)
        requests = [await network.receive() for _ in range(50)]
        for request in reversed(requests):
            await network.reply(request, {"type": "ask_ok", "answer": request.body["n"] ** 2})
    assert answers == {n: n * n for n in range(50)}
    assert_no_rpc_leaked(node)


async def test_rush_of_rpcs_keeps_few_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the channels of RPCs that were awaited at once some are kept for later ones, and no more than that."""
    monkeypatch.setattr(calls, "_SPARE_CHANNELS", 3)
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        for _ in range(2):
            for _ in range(5):
                await start_rpc(network, recorder, callback=False)
            for _ in range(5):
                await network.reply(await network.receive(), {"type": "ask_ok"})
            await network.receive_nothing()
            assert len(node._service.calls._spare) == 3
    assert sorted(outcome["in_reply_to"] for outcome in recorder.outcomes if isinstance(outcome, dict)) == [
        *range(1, 11)
    ]
    assert_no_rpc_leaked(node)


@both_ways
async def test_reply_to_number_0_finds_its_rpc(callback: bool) -> None:
    """The first message a node sends has number 0; when that is an RPC, the reply to 0 ends it."""
    node = Node()
    recorder = Recorder()

    @node.on_init
    async def hook() -> None:
        if callback:
            node.rpc_callback("n2", ASK, recorder)
        else:
            recorder(await node.rpc("n2", ASK))

    async with running(node, init=False) as network:
        await network.send_bytes(INIT)
        request = await network.receive()
        if callback:
            request = request if request.dest == "n2" else await network.receive()
        assert request.body == {"type": "ask", "msg_id": 0}
        await network.reply(request, {"type": "ask_ok"})
        await wait_all_tasks_blocked()
        assert recorder.outcomes == [{"type": "ask_ok", "in_reply_to": 0}]
    assert_no_rpc_leaked(node)


# Ways out


@pytest.mark.parametrize("answered", [False, True])
async def test_cancelled_rpc_leaves_no_record(answered: bool, autojump_clock: MockClock) -> None:
    """Wherever an awaited RPC is cancelled, also with its reply on the way, it leaves no record, and the reply that
    comes too late is counted and dropped."""
    node = Node()
    calls = cancelled_ones = 0
    async with running(node) as network:

        async def peer() -> None:
            while True:
                await network.reply(await network.receive(), {"type": "ask_ok"})

        async with trio.open_nursery() as nursery:
            if answered:
                nursery.start_soon(peer)

            async def call() -> None:
                if answered:
                    assert (await node.rpc("n2", ASK))["type"] == "ask_ok"
                else:
                    with pytest.raises(RpcTimeout):
                        await node.rpc("n2", ASK)

            async for cancelled in cancel_at_each_checkpoint(call):
                assert_no_rpc_leaked(node)
                calls += 1
                cancelled_ones += cancelled
                await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert calls > 2
    assert cancelled_ones == calls - 1
    assert node.stats.abandoned > 0
    assert node.stats.late_replies == (node.stats.abandoned if answered else 0)


async def test_send_and_reply_can_be_cancelled_at_any_checkpoint() -> None:
    """A cancelled send() or rpc() that waits for room has sent nothing and leaves nothing behind."""
    node = Node(outbox_limit=1)
    async with slow_reader(node) as reader:
        await fill_outbox(node)
        for wait in (functools.partial(node.send, "n2", {"type": "third"}), functools.partial(node.rpc, "n2", ASK)):
            with trio.CancelScope() as scope:
                reader.nursery.start_soon(cancel_when_blocked, scope)
                await wait()
            assert scope.cancelled_caught
        assert (node.stats.rpcs, node.stats.sent) == (0, 3)
        assert [message.body["type"] for message in await reader.receive(2)] == ["first", "second"]
        assert await reader.receive_rest() == []


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_rpc_goes_when_the_nursery_of_its_caller_goes() -> None:
    """RPCs of tasks whose nursery ends with an error leave no record."""
    node = Node()
    async with running(node) as network:
        with pytest.RaisesGroup(KeyError):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(node.rpc, "n2", ASK)
                for _ in range(3):
                    await network.receive()
                assert len(node.pending) == 3
                raise KeyError
        assert len(node.pending) == 0
    assert node.stats.abandoned == 3
    assert_no_rpc_leaked(node)


@both_ways
async def test_closing_ends_pending_rpcs(callback: bool, mock_clock: MockClock) -> None:
    """When the input ends, a pending RPC ends at once with ClosedResourceError, exactly once."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        await start_rpc(network, recorder, callback=callback, timeout=math.inf)
        network.send_eof()
        await wait_all_tasks_blocked()
        (outcome,) = recorder.outcomes
        assert isinstance(outcome, trio.ClosedResourceError)
        assert str(outcome) == "the node closed before 'n2' replied to msg_id 1"
        assert_no_rpc_leaked(node)
    assert len(recorder.outcomes) == 1
    assert node.stats.closed == 1


async def test_handlers_that_closing_ended_are_freed() -> None:
    """What a handler held that waited for an RPC when the node closed is garbage like anything else."""
    node = Node()
    held = []

    @node.on("ask")
    async def ask() -> None:
        recorder = Recorder()
        held.append(weakref.ref(recorder))
        await node.rpc("n2", ASK, timeout=math.inf)
        recorder({})

    async with running(node) as network:
        for number in range(5):
            await network.send("c1", {"type": "ask", "msg_id": number})
        await wait_all_tasks_blocked()
        assert sum(ref() is not None for ref in held) == node.stats.rpcs == 5
    gc.collect()
    assert [ref() for ref in held] == [None] * 5
    assert_no_rpc_leaked(node)


async def test_closed_node_sends_nothing_more() -> None:
    """After closing, whatever sends raises ClosedResourceError, and no callback is kept."""
    node = Node()
    requests: list[Request] = []
    node.on("keep")(requests.append)
    async with running(node) as network:
        await network.send("c1", {"type": "keep", "msg_id": 1})
    recorder = Recorder()
    text = r"^the node is closed and sends nothing more$"
    with pytest.raises(trio.ClosedResourceError, match=text):
        await node.send("n2", ASK)
    with pytest.raises(trio.ClosedResourceError, match=text):
        node.send_nowait("n2", ASK)
    with pytest.raises(trio.ClosedResourceError, match=text):
        await node.reply(requests[0], {})
    with pytest.raises(trio.ClosedResourceError, match=text):
        node.reply_nowait(requests[0], {})
    text = r"^the node is closed and sends no more RPCs$"
    with pytest.raises(trio.ClosedResourceError, match=text):
        await node.rpc("n2", ASK)
    with pytest.raises(trio.ClosedResourceError, match=text):
        node.rpc_callback("n2", ASK, recorder)
    assert recorder.outcomes == []
    assert_no_rpc_leaked(node)


BAD_CALLS = [
    ("n2", {"type": "ask", "x": math.nan}, "JSON has no number nan, found at body.x; use null or a string instead"),
    ("n2", {"x": 1}, "a body needs a 'type' that is a string: {'x': 1}"),
    ("n2", {"type": None}, "a body needs a 'type' that is a string: {'type': None}"),
    ("n2", "ask", "a body is a dict or a record, not str: 'ask'"),
    (7, ASK, "dest is the id of a node, a string, not 7"),
    (None, ASK, "dest is the id of a node, a string, not None"),
    (
        "n\ud800",
        ASK,
        r"dest 'n\ud800' is not valid text: 'utf-8' codec can't encode character '\ud800' in position 1: "
        "surrogates not allowed",
    ),
]


@pytest.mark.parametrize(("dest", "body", "text"), BAD_CALLS)
async def test_what_cannot_be_sent_fails_where_it_is_sent(dest: Any, body: object, text: str) -> None:
    """A body that JSON cannot carry raises LocalProtocolError in each way of sending; no record stays, no callback
    is called, and no number is used up."""
    node = Node()
    recorder = Recorder()
    calls: list[Callable[[], Any]] = [
        functools.partial(node.rpc, dest, body),
        functools.partial(node.send, dest, body),
    ]
    async with running(node) as network:
        for call in calls:
            with pytest.raises(LocalProtocolError) as caught:
                await call()
            assert str(caught.value) == text
        with pytest.raises(LocalProtocolError) as caught:
            node.rpc_callback(dest, body, recorder)
        assert str(caught.value) == text
        with pytest.raises(LocalProtocolError) as caught:
            node.send_nowait(dest, body)
        assert str(caught.value) == text
        assert len(node.pending) == 0
        assert recorder.outcomes == []
        await node.send("n2", {"type": "next"})
        assert (await network.receive()).body == {"type": "next", "msg_id": 1}
    assert_no_rpc_leaked(node)
    assert node.stats.abandoned == 2


@pytest.mark.parametrize("seconds", [-1.0, math.nan, "2"])
async def test_timeout_that_is_none_is_refused(seconds: Any) -> None:
    """A negative timeout, or one that is not a number, is a ValueError, and nothing is sent."""
    node = Node()
    async with running(node) as network:
        text = rf"^the timeout of an RPC is {seconds!r} s; give 0 or more, or math.inf to wait forever$"
        with pytest.raises(ValueError, match=text):
            await node.rpc("n2", ASK, timeout=seconds)
        with pytest.raises(ValueError, match=text):
            node.rpc_callback("n2", ASK, Recorder(), timeout=seconds)
        await network.receive_nothing()
    assert_no_rpc_leaked(node)


async def test_nothing_can_be_sent_before_init() -> None:
    """Before init a node has no id to send from: sending raises RuntimeError and leaves no record."""
    node = Node()
    text = r"^the node has no id before 'init'; send from a handler, on_init or background$"
    async with running(node, init=False) as network:
        with pytest.raises(RuntimeError, match=text):
            await node.rpc("n2", ASK)
        with pytest.raises(RuntimeError, match=text):
            node.rpc_callback("n2", ASK, Recorder())
        with pytest.raises(RuntimeError, match=text):
            await node.send("n2", ASK)
        with pytest.raises(RuntimeError, match=text):
            node.send_nowait("n2", ASK)
        await network.receive_nothing()
    assert_no_rpc_leaked(node)
