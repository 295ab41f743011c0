"""RPCs: what they return and raise, and that every way out of one leaves nothing behind."""

from __future__ import annotations

import functools
import gc
import math
import re
import weakref
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from support.lines import INIT, line
from support.slow_reader import fill_outbox, slow_reader
from support.steps import cancel_at_each_checkpoint
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, LocalProtocolError, MessengerError, Node, Request, RpcError, RpcTimeout
from trio_messenger._rpc import calls
from trio_messenger.testing import Network, assert_no_rpc_leaked, running
from trio_messenger.transports.memory import memory_transport_pair

ASK = {"type": "ask"}


@attrs.frozen
class Question:
    type: str
    about: str


class Recorder:
    """A callback that remembers each outcome and its time."""

    def __init__(self) -> None:
        self.outcomes: list[Body | Exception] = []
        self.times: list[float] = []

    def __call__(self, outcome: Body | Exception) -> None:
        self.outcomes.append(outcome)
        self.times.append(trio.current_time())


async def record_rpc(node: Node, recorder: Recorder, **kwargs: Any) -> None:
    """Await an RPC and record its outcome as a callback would get it."""
    try:
        recorder(await node.rpc("n2", ASK, **kwargs))
    except (MessengerError, trio.ClosedResourceError) as exc:
        recorder(exc)


async def start_rpc(network: Network, recorder: Recorder, *, callback: bool, **kwargs: Any) -> None:
    """Have the node send ``ask`` to n2, in a system task or with a callback, and let it leave."""
    if callback:
        network.node.rpc_callback("n2", ASK, recorder, **kwargs)
    else:
        trio.lowlevel.spawn_system_task(functools.partial(record_rpc, network.node, recorder, **kwargs))
    await wait_all_tasks_blocked()


both_ways = pytest.mark.parametrize("callback", [False, True], ids=["awaited", "callback"])


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
    ("n2", {"type": "ask", "x": math.nan}, "JSON has no number nan, found at body.x; send null or a string instead"),
    ("n2", {"x": 1}, "a body needs a 'type' that is a string: {'x': 1}"),
    ("n2", {"type": None}, "a body needs a 'type' that is a string: {'type': None}"),
    ("n2", "ask", "a body is a dict or an attrs record, not str: 'ask'"),
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


@pytest.mark.every_python
@pytest.mark.unmeasured
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


# Replies that match nothing


async def test_stray_replies_are_counted_apart_and_dropped(autojump_clock: MockClock) -> None:
    """A late reply, a second one, and one to nothing each move a counter of their own, and none is answered."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        node.rpc_callback("n2", ASK, recorder)
        request = await network.receive()
        await trio.sleep(2.5)
        await network.reply(request, {"type": "ask_ok", "msg_id": 5})
        node.rpc_callback("n2", ASK, recorder)
        request = await network.receive()
        for _ in range(3):
            await network.reply(request, {"type": "ask_ok", "msg_id": 6})
        for number in (0, -1, 99, 10**30):
            await network.send("n2", {"type": "ask_ok", "in_reply_to": number, "msg_id": 7})
        await network.send("n2", {"type": "error", "code": 10, "in_reply_to": 99, "msg_id": 8})
        await network.receive_nothing()
    assert node.stats.late_replies == 1
    assert node.stats.duplicate_replies == 2
    assert node.stats.unknown_replies == 5
    assert node.stats.stray_errors == 0
    assert len(recorder.outcomes) == 2
    assert_no_rpc_leaked(node)


# Replies from whoever was not asked


@both_ways
async def test_a_reply_from_another_node_is_dropped_and_the_right_one_taken(
    callback: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A reply from a node that was not asked has a counter of its own; the RPC waits for the one from who was."""
    node = Node()
    async with running(node) as network:
        recorder = Recorder()
        await start_rpc(network, recorder, callback=callback)
        for src in ("n3", "n1", "c1", "N2", "n2 "):
            await network.send(src, {"type": "ask_ok", "whose": src, "in_reply_to": 1, "msg_id": 7})
        for _ in range(6):
            await network.send("n3", {"type": "error", "code": 10, "in_reply_to": 1, "msg_id": 8})
        await wait_all_tasks_blocked()
        assert (len(node.pending), recorder.outcomes) == (1, [])
        await network.send("n2", {"type": "ask_ok", "whose": "n2", "in_reply_to": 1, "msg_id": 9})
        await wait_all_tasks_blocked()
        assert [outcome["whose"] for outcome in recorder.outcomes if isinstance(outcome, dict)] == ["n2"]
        await network.send("n3", {"type": "ask_ok", "in_reply_to": 1, "msg_id": 10})
        await wait_all_tasks_blocked()
    assert node.stats.counters() == {
        "received": 14,
        "sent": 2,
        "rpcs": 1,
        "answered": 1,
        "foreign_replies": 11,
        "duplicate_replies": 1,  # whom an RPC was sent to is forgotten when it has ended
    }
    assert "dropped a reply to msg_id 1 from 'n3', which had been sent to 'n2' (1 so far)" in caplog.text
    assert caplog.text.count("which had been sent to") == 10  # and then ever more rarely
    assert_no_rpc_leaked(node)


@both_ways
async def test_a_reply_from_another_node_does_not_keep_an_rpc_from_expiring(
    callback: bool, autojump_clock: MockClock
) -> None:
    """If the right reply never comes, the RPC ends at its deadline, whatever others have said."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        await start_rpc(network, recorder, callback=callback)
        await network.send("n3", {"type": "ask_ok", "in_reply_to": 1})
        await trio.sleep(3)
    assert [type(outcome) for outcome in recorder.outcomes] == [RpcTimeout]
    assert recorder.times == [2.0]
    assert (node.stats.reaped, node.stats.foreign_replies) == (1, 1)
    assert_no_rpc_leaked(node)


async def test_a_node_may_ask_itself() -> None:
    """A reply that a node sends to itself comes from the node that was asked."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        node.rpc_callback("n1", ASK, recorder)
        await network.reply(await network.receive(), {"type": "ask_ok"})
        await wait_all_tasks_blocked()
    assert recorder.outcomes == [{"type": "ask_ok", "in_reply_to": 1}]


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


# A full outbox


async def test_full_outbox_refuses_what_cannot_wait() -> None:
    """Past the limit send_nowait, rpc_callback and reply_nowait raise WouldBlock; nothing is sent or kept."""
    node = Node(outbox_limit=1)
    requests: list[Request] = []
    node.on("keep")(requests.append)
    recorder = Recorder()
    async with running(node) as network:
        await network.send("c1", {"type": "keep", "msg_id": 1})
        await network.receive_nothing()
        node.send_nowait("n2", {"type": "filler"})
        text = r"^the outbox holds its limit of 1 bytes; use a form that is awaited instead$"
        with pytest.raises(trio.WouldBlock, match=text):
            node.send_nowait("n2", ASK)
        with pytest.raises(trio.WouldBlock, match=text):
            node.rpc_callback("n2", ASK, recorder)
        with pytest.raises(trio.WouldBlock, match=text):
            node.reply_nowait(requests[0], {})
        assert len(node.pending) == 0
        assert node.stats.rpcs == 0
        assert (await network.receive()).body == {"type": "filler", "msg_id": 1}
        await network.receive_nothing()
        node.reply_nowait(requests[0], {})
        assert (await network.receive()).body == {"type": "keep_ok", "in_reply_to": 1, "msg_id": 2}
    assert recorder.outcomes == []


async def test_senders_wait_for_room() -> None:
    """send(), rpc() and reply() wait while the outbox is full, and go on in turn as the peer reads."""
    node = Node(outbox_limit=1)
    requests: list[Request] = []
    node.on("keep")(requests.append)
    async with slow_reader(node) as reader:
        await reader.send(line({"type": "keep", "msg_id": 1}))
        await wait_all_tasks_blocked()
        await fill_outbox(node)
        reader.nursery.start_soon(node.send, "n2", {"type": "news"})
        reader.nursery.start_soon(node.rpc, "n2", ASK)
        reader.nursery.start_soon(node.reply, requests[0], {})
        await wait_all_tasks_blocked()
        assert node.stats.sent == 3  # init_ok, and what fills the outbox
        assert node.stats.rpcs == 0
        types = [(await reader.receive())[0].body["type"] for _ in range(5)]
        assert types[:2] == ["first", "second"]
        assert sorted(types[2:]) == ["ask", "keep_ok", "news"]
        await reader.send(line({"type": "ask_ok", "in_reply_to": next(iter(node.pending)).msg_id}, src="n2"))
        await wait_all_tasks_blocked()
        assert await reader.receive_rest() == []
    assert_no_rpc_leaked(node)


async def test_peer_that_does_not_read_stops_the_node_from_taking_more() -> None:
    """While nobody reads what the node sends, it stops taking requests, and the sender waits; when the reader goes
    on, every request is answered, in order."""
    node = Node(outbox_limit=1000)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    total = 2000
    sent = 0
    answers: list[int] = []
    async with slow_reader(node, batches=1) as reader:

        async def flood() -> None:
            nonlocal sent
            for n in range(total):
                await reader.send(line({"type": "echo", "msg_id": n, "echo": n}))
                sent = n + 1
            reader.send_eof()

        reader.nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        assert sent < 50
        assert node.stats.received < 50
        async for batch in reader.transport:
            answers += [message.body["echo"] for message in batch]
    assert answers == list(range(total))
    assert node.stats.sent == total + 1
