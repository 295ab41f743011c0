"""The life of a node: init, background tasks, the ends of input and output, and what is left behind."""

from __future__ import annotations

import gc
import math
import random
import re
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from support.far_away import FarAway
from support.lines import INIT, line
from support.slow_reader import fill_outbox, slow_reader
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Identity, Message, Node, Request, RpcError, RpcTimeout
from trio_messenger.testing import Network, assert_no_rpc_leaked, running
from trio_messenger.transports import Transport
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair

INIT_BODY = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n3", "n1", "n2"]}
INIT_OK = {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}
ASK = {"type": "ask"}


def echo_node(**kwargs: Any) -> Node:
    node = Node(**kwargs)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    return node


def error(code: int, text: str, in_reply_to: int, msg_id: int) -> Body:
    return {"type": "error", "code": code, "text": text, "in_reply_to": in_reply_to, "msg_id": msg_id}


async def receive_until_end(network: Network) -> list[Body]:
    bodies = []
    while True:
        try:
            bodies.append((await network.receive()).body)
        except trio.EndOfChannel:
            return bodies


# init


async def test_node_learns_who_it_is() -> None:
    """init tells the id and the peers, the node's own id left out, in the order of the message."""
    node = Node()
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        message = await network.receive()
        assert (message.src, message.dest, message.body) == ("n1", "c0", INIT_OK)
        assert node.id == "n1"
        assert node.peers == ("n3", "n2")
        assert node.identity == Identity("n1", ("n3", "n1", "n2"))


async def test_node_does_not_know_itself_before_init() -> None:
    """id, peers and identity raise RuntimeError before init, and nothing is pending."""
    node = Node()
    text = r"^the node has no id before 'init'; use on_init to act as soon as it has one$"
    async with running(node, init=False) as network:
        await network.receive_nothing()
        with pytest.raises(RuntimeError, match=text):
            _ = node.id
        with pytest.raises(RuntimeError, match=text):
            _ = node.peers
        with pytest.raises(RuntimeError, match=text):
            _ = node.identity
    assert len(node.pending) == 0


def test_random_numbers_are_seeded() -> None:
    """Two nodes with one seed draw the same numbers, and those of ``random.Random`` with that seed."""
    drawn = [Node(seed=7).random.random() for _ in range(2)]
    assert drawn == [random.Random(7).random()] * 2
    assert Node().random.random() != Node().random.random()


async def test_pending_shows_the_records() -> None:
    """node.pending is a collection of the records, oldest first, with destination, number and times."""
    node = Node()
    async with running(node):
        now = trio.current_time()
        node.rpc_callback("n2", ASK, lambda _: None, timeout=math.inf)
        node.rpc_callback("n3", ASK, lambda _: None, timeout=math.inf)
        first, second = node.pending
        assert (first.dest, first.msg_id, first.deadline) == ("n2", 1, math.inf)
        assert (second.dest, second.msg_id) == ("n3", 2)
        assert first.sent_at >= now
        assert first in node.pending


async def test_init_ok_waits_for_async_hooks_to_end() -> None:
    """Hooks, plain and async, run in order; they know the id, and may make RPCs; init_ok leaves after the last."""
    node = echo_node()
    order: list[Any] = []

    @node.on_init
    def first() -> None:
        order.append(("first", node.id, node.peers))

    @node.on_init
    async def second() -> None:
        order.append(await node.rpc("lin-kv", {"type": "read"}))

    @node.on_init
    def third() -> None:
        order.append("third")

    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        read = await network.receive()
        assert (read.dest, read.body) == ("lin-kv", {"type": "read", "msg_id": 0})
        await network.receive_nothing()
        assert order == [("first", "n1", ("n3", "n2"))]
        await network.reply(read, {"type": "read_ok"})
        assert (await network.receive()).body == {"type": "init_ok", "in_reply_to": 1, "msg_id": 1}
        assert order[1:] == [{"type": "read_ok", "in_reply_to": 0}, "third"]
        assert (await network.request("echo", echo=1))["echo"] == 1


async def test_plain_hooks_run_before_init_ok() -> None:
    """What a plain hook sends leaves before init_ok."""
    node = Node()
    node.on_init(lambda: node.send_nowait("n2", {"type": "hello"}))
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == {"type": "hello", "msg_id": 0}
        assert (await network.receive()).body == {"type": "init_ok", "in_reply_to": 1, "msg_id": 1}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [(ValueError("no disk"), 13, "ValueError: no disk"), (RpcError(20, "no key"), 20, "no key")],
)
async def test_hook_that_fails_fails_init_which_can_be_tried_again(
    is_async: bool, failure: Exception, code: int, text: str
) -> None:
    """init is answered with the error of its hook; the node then has no id and serves nothing, and the next init,
    even one with another id, starts over."""
    node = echo_node()
    failures = [failure]

    def hook() -> None:
        while failures:
            raise failures.pop()

    async def hook_in_task() -> None:
        await trio.lowlevel.checkpoint()
        hook()

    node.on_init(hook_in_task if is_async else hook)
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == error(code, text, 1, 0)
        with pytest.raises(RuntimeError, match=r"^the node has no id before 'init'; use on_init"):
            _ = node.id
        with pytest.raises(RuntimeError, match=r"^the node has no id before 'init'; send from"):
            node.send_nowait("n2", ASK)
        await network.send("c1", {"type": "echo", "msg_id": 2, "echo": 1})
        assert (await network.receive()).body["code"] == 11
        await network.send("c0", {**INIT_BODY, "msg_id": 3, "node_id": "n2"}, dest="n2")
        message = await network.receive()
        assert (message.src, message.body) == ("n2", {"type": "init_ok", "in_reply_to": 3, "msg_id": 2})
        assert node.id == "n2"


async def test_same_init_again_is_acknowledged_again() -> None:
    """A second init that says the same gets a second init_ok, and hooks do not run again."""
    node = Node()
    runs: list[int] = []
    node.on_init(lambda: runs.append(1))
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        await network.send("c0", {**INIT_BODY, "msg_id": 2})
        assert (await network.receive()).body == INIT_OK
        assert (await network.receive()).body == {"type": "init_ok", "in_reply_to": 2, "msg_id": 1}
    assert runs == [1]


@pytest.mark.parametrize("change", [{"node_id": "n2"}, {"node_ids": ["n1"]}])
async def test_different_init_is_refused(change: Body) -> None:
    """A second init that says something else is error 22, and the node stays who it is."""
    node = Node()
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == INIT_OK
        await network.send("c0", {**INIT_BODY, "msg_id": 2, **change})
        text = "this node is 'n1' of ['n3', 'n1', 'n2'] already; restart it to change that"
        assert (await network.receive()).body == error(22, text, 2, 1)
        assert (node.id, node.peers) == ("n1", ("n3", "n2"))


@pytest.mark.parametrize("fails", [False, True])
async def test_init_again_while_hooks_run_gets_the_same_answer(fails: bool) -> None:
    """The same init, sent again while hooks run, is answered when they have ended, as the first one; a different
    one is refused at once."""
    node = Node()
    go = trio.Event()
    runs = []

    @node.on_init
    async def hook() -> None:
        runs.append(1)
        await go.wait()
        if fails:
            raise RpcError(20, "no key")

    async with running(node, init=False) as network:
        for msg_id in (1, 2, 3):
            await network.send("c0", {**INIT_BODY, "msg_id": msg_id})
        await network.receive_nothing()
        await network.send("c0", {**INIT_BODY, "msg_id": 4, "node_ids": []})
        assert (await network.receive()).body["code"] == 22
        go.set()
        answers = [(await network.receive()).body for _ in range(3)]
        if fails:
            assert answers == [error(20, "no key", n, n) for n in (1, 2, 3)]
        else:
            assert answers == [{"type": "init_ok", "in_reply_to": n, "msg_id": n} for n in (1, 2, 3)]
        await network.receive_nothing()
        assert runs == [1]
        await network.send("c0", {**INIT_BODY, "msg_id": 9})
        assert (await network.receive()).body["in_reply_to"] == 9
        await network.receive_nothing()


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_hook_that_refuses_is_logged(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A RpcError of a hook is an answer, and said in the log, as the node then serves nothing; it is no crash."""
    node = Node()

    def hook() -> None:
        raise RpcError(20, "no key")

    async def hook_in_task() -> None:
        await trio.lowlevel.checkpoint()
        hook()

    node.on_init(hook_in_task if is_async else hook)
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == error(20, "no key", 1, 0)
    text = "on_init failed, so the node serves nothing: key-does-not-exist (20): no key"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("ERROR", text)]
    assert node.stats.handler_failures == 0


async def test_hook_whose_tasks_fail_is_logged_as_it_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Of several RPC errors that come out of a nursery of the hook the least definite is said, here and there."""
    node = Node()

    @node.on_init
    async def hook() -> None:
        await trio.lowlevel.checkpoint()
        raise ExceptionGroup("tasks", [RpcError(20, "no key"), RpcError(0, "late")])

    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == error(0, "late", 1, 0)
    assert caplog.messages == ["on_init failed, so the node serves nothing: timeout (0): late"]
    assert node.stats.handler_failures == 0


async def test_hook_whose_task_refuses_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A RpcError that comes out of a nursery of the hook is that error, in the log as in the answer."""
    node = Node()

    async def refuse() -> None:
        raise RpcError(20, "no key")

    @node.on_init
    async def hook() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)

    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == error(20, "no key", 1, 0)
    assert caplog.messages == ["on_init failed, so the node serves nothing: key-does-not-exist (20): no key"]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_hook_that_crashes_is_logged_once(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What else a hook raises is logged with its traceback, as that of a handler, and not twice."""
    node = Node()

    def hook() -> None:
        raise ValueError("no disk")

    async def hook_in_task() -> None:
        await trio.lowlevel.checkpoint()
        hook()

    node.on_init(hook_in_task if is_async else hook)
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == error(13, "ValueError: no disk", 1, 0)
    assert caplog.messages == ["the handler of 'init' failed"]
    assert node.stats.handler_failures == 1


async def test_init_for_another_id_is_answered_by_the_node() -> None:
    """init says who the node is, whatever address it came by; its answer, and that to the next, come from that id."""
    node = Node()
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY, dest="n0")
        message = await network.receive()
        assert (message.src, message.dest, message.body) == ("n1", "c0", INIT_OK)
        await network.send("c0", {**INIT_BODY, "msg_id": 2})
        message = await network.receive()
        assert (message.src, message.body) == ("n1", {"type": "init_ok", "in_reply_to": 2, "msg_id": 1})


async def test_no_more_than_a_hundred_inits_wait(autojump_clock: MockClock) -> None:
    """Of the inits that come again while hooks run a hundred are kept; more get error 11, which is definite."""
    node = Node()
    go = trio.Event()
    node.on_init(go.wait)
    async with running(node, init=False) as network:
        for msg_id in range(103):
            await network.send("c0", {**INIT_BODY, "msg_id": msg_id})
        text = "100 'init' requests wait already, which is the limit; wait for init_ok"
        with trio.fail_after(1.0):
            refusals = [(await network.receive()).body for _ in range(2)]
        assert refusals == [error(11, text, 101, 0), error(11, text, 102, 1)]
        await network.receive_nothing()
        go.set()
        answers = [(await network.receive()).body for _ in range(101)]
        assert answers == [{"type": "init_ok", "in_reply_to": n, "msg_id": n + 2} for n in range(101)]
        await network.receive_nothing()
        await network.send("c0", {**INIT_BODY, "msg_id": 200})
        assert (await network.receive()).body == {"type": "init_ok", "in_reply_to": 200, "msg_id": 103}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"node_id": ""}, "malformed 'init' request: node_id is empty"),
        ({"node_id": 1}, "malformed 'init' request: Expected `str`, got `int` - at `body.node_id`"),
        ({"node_ids": "n1"}, "malformed 'init' request: Expected `array`, got `str` - at `body.node_ids`"),
        ({"node_ids": ["n1", None]}, "malformed 'init' request: Expected `str`, got `null` - at `body.node_ids[1]`"),
    ],
)
async def test_mistyped_init_is_refused_and_can_be_tried_again(fields: Body, text: str) -> None:
    """An init that does not fit is error 12 with the field and what was expected; a good one then works."""
    node = Node()
    async with running(node, init=False) as network:
        await network.send("c0", {**INIT_BODY, **fields})
        assert (await network.receive()).body == error(12, text, 1, 0)
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == {**INIT_OK, "msg_id": 1}


async def test_init_without_its_fields_names_the_first() -> None:
    """An init with no node_id says that it is missing."""
    async with running(Node(), init=False) as network:
        await network.send("c0", {"type": "init", "msg_id": 5})
        text = "malformed 'init' request: Object missing required field `node_id`"
        assert (await network.receive()).body == error(12, text, 5, 0)


async def test_what_comes_before_init_is_refused_or_dropped() -> None:
    """Before init a request gets error 11; what wants no reply is dropped; both are counted; init then works."""
    node = echo_node()
    async with running(node, init=False) as network:
        await network.send("c1", {"type": "echo", "msg_id": 1, "echo": 1})
        text = "this node is not initialised; send 'init' first and wait for init_ok"
        message = await network.receive()
        assert (message.src, message.dest, message.body) == ("n1", "c1", error(11, text, 1, 0))
        await network.send("c1", {"type": "echo", "echo": 1})
        await network.receive_nothing()
        assert node.stats.early == 2
        await network.send("c1", {"type": "echo_ok", "in_reply_to": 0})
        await network.send("c1", {"type": "error", "code": 11, "msg_id": 3})
        await network.receive_nothing()
        assert (node.stats.early, node.stats.unknown_replies, node.stats.stray_errors) == (2, 1, 1)
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == {**INIT_OK, "msg_id": 1}


async def test_requests_while_hooks_run_are_early() -> None:
    """Until the hooks have ended a request gets error 11, and its handler is not called."""
    node = echo_node()
    go = trio.Event()
    node.on_init(go.wait)
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        await network.send("c1", {"type": "echo", "msg_id": 1, "echo": 1})
        assert (await network.receive()).body["code"] == 11
        await network.send("c1", {"type": "echo", "msg_id": 2, "echo": 1}, dest="n2")
        await network.receive_nothing()
        assert (node.stats.early, node.stats.misdirected) == (1, 1)
        go.set()
        assert (await network.receive()).body["type"] == "init_ok"


# Unknown, misdirected and stray messages


async def test_unknown_type_is_refused_with_what_there_is(caplog: pytest.LogCaptureFixture) -> None:
    """A type that nobody handles is error 10, which lists the types that are handled; it is counted and logged."""
    node = echo_node()
    node.on("add")(lambda: None)
    async with running(node) as network:
        text = "this node does not handle 'ecco'; it handles add, echo, init"
        assert await network.request("ecco") == error(10, text, 1, 1)
        await network.send("c1", {"type": "ecco"})
        await network.receive_nothing()
    assert node.stats.unsupported == 2
    assert caplog.messages == [f"refused 'ecco' from 'c1': {text} ({n} so far)" for n in (1, 2)]


async def test_misdirected_message_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """A message for another node is counted, logged and dropped, replies included."""
    node = echo_node()
    async with running(node) as network:
        await network.send("c1", {"type": "echo", "msg_id": 1, "echo": 1}, dest="n2")
        await network.send("c1", {"type": "echo_ok", "in_reply_to": 1}, dest="n2")
        await network.receive_nothing()
    assert node.stats.misdirected == 2
    assert node.stats.unknown_replies == 0
    assert caplog.messages == [
        "dropped a 'echo' message for 'n2': this is 'n1' (1 so far)",
        "dropped a 'echo_ok' message for 'n2': this is 'n1' (2 so far)",
    ]


async def test_stray_error_is_never_answered(caplog: pytest.LogCaptureFixture) -> None:
    """An error that replies to nothing is dropped and counted, even if it asks for a reply."""
    node = echo_node()
    async with running(node) as network:
        await network.send("n2", {"type": "error", "code": 13, "text": "x", "msg_id": 5})
        await network.receive_nothing()
    assert node.stats.stray_errors == 1
    body = "{'type': 'error', 'code': 13, 'text': 'x', 'msg_id': 5}"
    assert caplog.messages == [f"dropped a stray error from 'n2': {body} (1 so far)"]


# Background tasks


async def test_background_tasks_live_from_init_to_the_end() -> None:
    """A background task starts after init, not before, may send, and is cancelled when the input ends."""
    node = Node()
    life: list[str] = []

    @node.background
    async def tell() -> None:
        life.append(node.id)
        await node.send("n2", {"type": "hello"})
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            life.append("cancelled")
            raise

    async with running(node, init=False) as network:
        await network.receive_nothing()
        assert life == []
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == INIT_OK
        assert (await network.receive()).body == {"type": "hello", "msg_id": 1}
        assert life == ["n1"]
        network.send_eof()
        assert await receive_until_end(network) == []
    assert life == ["n1", "cancelled"]


async def test_background_task_of_a_running_node_starts_at_once() -> None:
    """Registered after init, a background task starts without more ado; registered after the end, it is refused."""
    node = Node()
    runs: list[str] = []

    async def early() -> None:
        runs.append("early")

    async def late() -> None:
        runs.append("late")

    async with running(node) as network:
        node.background(early)
        await network.receive_nothing()
        assert runs == ["early"]
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and starts no more background tasks$"):
        node.background(late)
    assert runs == ["early"]


@pytest.mark.parametrize("how", ["eof", "shutdown", "cancelled", "broken", "before_init"])
async def test_background_raises_the_same_however_the_node_closes(how: str, autojump_clock: MockClock) -> None:
    """From the end of the input on, `background` and `every` raise ClosedResourceError: in handlers that still work,
    in callbacks, and afterwards."""
    node = Node(grace=5)
    told: list[str] = []

    async def late() -> None:
        told.append("runs")

    def try_both(_: object = None) -> None:
        for register in (node.background, partial(node.every, 1)):
            try:
                register(late)
            except Exception as exc:  # noqa: BLE001 - what it is, is compared
                told.append(f"{type(exc).__name__}: {exc}")

    @node.on("work")
    async def work() -> Body:
        await trio.sleep(1)  # a node that is cancelled, or whose output breaks, does not wait for it
        try_both()
        return {}

    there, here = memory_transport_pair()
    with suppress(ExceptionGroup):  # of a broken transport
        async with here, trio.open_nursery() as nursery:
            nursery.start_soon(node.serve, there)
            if how != "before_init":
                await here.send_bytes(INIT + line({"type": "work", "msg_id": 2}))
                await wait_all_tasks_blocked()
                node.rpc_callback("n2", ASK, try_both)
            if how == "shutdown":
                node.shutdown()
            elif how == "cancelled":
                nursery.cancel_scope.cancel()
            elif how == "broken":
                await here.aclose()
            else:
                here.send_eof()
    try_both()
    calls = {"before_init": 2, "cancelled": 4, "broken": 4}.get(how, 6)
    assert told == ["ClosedResourceError: the node is closed and starts no more background tasks"] * calls


async def test_background_task_that_fails_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """What a background task raises is logged with its traceback and counted; the node and the other tasks go on."""
    node = echo_node()

    async def fail() -> None:
        raise ValueError("out of ideas")

    async def tell() -> None:
        await node.send("n2", {"type": "hello"})
        await trio.sleep_forever()

    node.background(fail)
    node.background(tell)
    async with running(node) as network:
        assert (await network.receive()).body["type"] == "hello"
        assert (await network.request("echo", echo=1))["echo"] == 1
    assert node.stats.handler_failures == 1
    assert caplog.messages == [f"background task {fail!r} failed"]
    assert "ValueError: out of ideas" in caplog.text


async def fail_when_cancelled() -> None:
    """Fail in one task of two on the way out."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        nursery.start_soon(trio.sleep_forever)


async def test_background_task_that_fails_when_cancelled_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a background task raises while it is cancelled at the end does not keep the node from its end."""
    node = echo_node()
    node.background(fail_when_cancelled)
    async with running(node) as network:
        await network.receive_nothing()
    assert node.stats.handler_failures == 1
    assert caplog.messages == [f"background task {fail_when_cancelled!r} failed"]


def test_background_takes_async_functions_only() -> None:
    """A plain function as background task is a TypeError at registration."""

    def plain() -> Any: ...

    with pytest.raises(TypeError) as caught:
        Node().background(plain)
    assert str(caught.value) == f"background() takes an async function without arguments, not {plain!r}"


def with_arguments(request: object) -> None: ...


async def async_with_arguments(request: object) -> None: ...


TAKERS: list[tuple[str, Callable[[Node, Any], object]]] = [
    ("on_init", lambda node, it: node.on_init(it)),
    ("background", lambda node, it: node.background(it)),
    ("every", lambda node, it: node.every(1.0, it)),
]


@pytest.mark.parametrize(("taker", "register"), TAKERS, ids=[name for name, _ in TAKERS])
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (None, ""),
        ("hook", ""),
        (with_arguments, ": missing a required argument: 'request'"),
        (async_with_arguments, ": missing a required argument: 'request'"),
    ],
)
def test_what_cannot_be_called_without_arguments_is_refused(
    taker: str, register: Callable[[Node, Any], object], function: Any, reason: str
) -> None:
    """Hooks, background tasks and periodic functions are called without arguments, and what cannot be is a TypeError
    where it is registered."""
    text = f"{taker}() takes a function without arguments, not {function!r:.80}{reason}"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        register(Node(), function)


async def test_function_that_tells_nothing_of_its_parameters_is_taken() -> None:
    """What is built in may tell nothing of its parameters; it is tried."""
    node = Node()
    assert node.on_init(dict) is dict
    async with running(node):
        pass


async def test_parameters_with_defaults_are_the_authors() -> None:
    """A hook whose parameters all have defaults can be called without arguments."""
    node = Node()
    ran: list[int] = []
    node.on_init(lambda number=7: ran.append(number))
    async with running(node):
        assert ran == [7]


# The end of input, or shutdown

ends = pytest.mark.parametrize("end", ["eof", "shutdown"])


def end_now(network: Network, end: str) -> None:
    if end == "eof":
        network.send_eof()
    else:
        network.node.shutdown()


@ends
async def test_handler_that_waits_for_an_rpc_ends_without_answering(
    end: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end a handler whose RPC is closed sends nothing, is no failure, and costs no time."""
    node = Node(strict=True)

    @node.on("ask")
    async def ask() -> Body:
        return await node.rpc("n2", ASK, timeout=math.inf)

    @node.on("ask_twice")
    async def ask_twice() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.rpc, "n2", ASK)

    start = trio.current_time()
    async with running(node) as network:
        await network.send("c1", {"type": "ask", "msg_id": 1})
        await network.send("c1", {"type": "ask_twice", "msg_id": 2})
        await network.receive()
        await network.receive()
        end_now(network, end)
        assert await receive_until_end(network) == []
    assert trio.current_time() == start
    assert node.stats.closed == 2
    assert caplog.messages == []
    assert_no_rpc_leaked(node)


@ends
async def test_handler_that_waits_for_several_rpcs_ends_without_answering(
    end: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that waits for two RPCs at once, in a nursery of its own, ends as quietly as one that waits for one."""
    node = Node()

    @node.on("ask_both")
    async def ask_both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.rpc, "n2", ASK)
            nursery.start_soon(node.rpc, "n3", ASK)

    async with running(node) as network:
        await network.send("c1", {"type": "ask_both", "msg_id": 1})
        await network.receive()
        await network.receive()
        end_now(network, end)
        assert await receive_until_end(network) == []
    assert node.stats.handler_failures == 0
    assert caplog.messages == []


@pytest.mark.parametrize("code", [0, 20])
async def test_rpc_that_is_closed_beside_one_that_failed_is_not_answered(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end nobody knows what became of an RPC that was closed, so the error of another is no answer for both."""
    node = Node()

    @node.on("ask_both")
    async def ask_both() -> None:
        try:
            await node.rpc("n2", ASK)
        except trio.ClosedResourceError as exc:
            raise ExceptionGroup("tasks", [exc, RpcError(code)]) from None

    async with running(node) as network:
        await network.send("c1", {"type": "ask_both", "msg_id": 1})
        await network.receive()
        network.send_eof()
        assert await receive_until_end(network) == []
    assert node.stats.handler_failures == 0
    assert caplog.messages == []


async def test_handler_whose_rpcs_had_failed_is_answered_at_the_end_too() -> None:
    """While the node ends, a group of nothing but RPC errors is answered as at any other time."""
    node, go = Node(), trio.Event()

    @node.on("fail")
    async def fail() -> None:
        await go.wait()
        raise ExceptionGroup("tasks", [RpcError(20, "no k"), RpcError(0, "late")])

    async with running(node) as network:
        await network.send("c1", {"type": "fail", "msg_id": 1})
        await network.receive_nothing()
        network.send_eof()
        await network.receive_nothing()
        go.set()
        (answer,) = await receive_until_end(network)
        assert (answer["code"], answer["text"]) == (0, "late")


async def test_closed_resource_of_another_kind_is_a_failure() -> None:
    """While the node runs, a ClosedResourceError in a handler is the handler's own and answered with error 13."""
    node = Node()

    @node.on("fail")
    def fail() -> None:
        raise trio.ClosedResourceError("my file")

    async with running(node) as network:
        text = "trio.ClosedResourceError: my file"
        assert await network.request("fail") == error(13, text, 1, 1)


@ends
async def test_handler_at_work_has_the_grace_to_answer(
    end: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that ends within the grace answers, and the node ends with it."""
    node = Node(grace=4.0)

    @node.on("work")
    async def work() -> Body:
        await trio.sleep(3.5)
        return {"done": True}

    start = trio.current_time()
    async with running(node) as network:
        await network.send("c1", {"type": "work", "msg_id": 1})
        await network.receive_nothing()
        end_now(network, end)
        assert await receive_until_end(network) == [{"type": "work_ok", "done": True, "in_reply_to": 1, "msg_id": 1}]
        assert trio.current_time() == start + 3.5
    assert caplog.messages == []


@ends
@pytest.mark.parametrize(("grace", "seconds"), [(None, 1.0), (0.25, 0.25), (0.0, 0.0)])
async def test_handler_is_cancelled_after_the_grace(
    end: str, grace: float | None, seconds: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler still at work when the grace is over is cancelled, at that moment, and the log says so."""
    node = Node() if grace is None else Node(grace=grace)

    @node.on("work")
    async def work() -> Body:
        await trio.sleep_forever()
        raise AssertionError

    start = trio.current_time()
    async with running(node) as network:
        await network.send("c1", {"type": "work", "msg_id": 1})
        await network.receive_nothing()
        end_now(network, end)
        assert await receive_until_end(network) == []
        assert trio.current_time() == start + seconds
    assert caplog.messages == [f"cancelled the handlers that had not ended {seconds:g} s after the last message"]
    assert node.stats.handler_failures == 0


async def test_handler_that_fails_when_cancelled_is_answered(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler whose own task fails while it is cancelled is answered with error 13, and the node ends well."""
    node = Node()
    node.on("work")(fail_when_cancelled)
    async with running(node) as network:
        await network.send("c1", {"type": "work", "msg_id": 1})
        await network.receive_nothing()
        network.send_eof()
        (answer,) = await receive_until_end(network)
        assert (answer["type"], answer["code"]) == ("error", 13)
    assert node.stats.handler_failures == 1
    assert caplog.messages == [
        "the handler of 'work' failed",
        "cancelled the handlers that had not ended 1 s after the last message",
    ]


async def test_init_hook_that_fails_when_cancelled_does_not_break_the_end(autojump_clock: MockClock) -> None:
    """A hook whose own task fails while it is cancelled is answered with an error, and the node ends well."""
    node = Node()
    node.on_init(fail_when_cancelled)
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        await network.receive_nothing()
        network.send_eof()
        (answer,) = await receive_until_end(network)
        assert (answer["type"], answer["code"]) == ("error", 13)
    assert node.stats.handler_failures == 1


@pytest.mark.parametrize("where", ["handler", "background", "hook"])
async def test_what_is_more_than_an_exception_ends_the_node(where: str) -> None:
    """KeyboardInterrupt and its like are nobody's to answer: they leave serve(), in groups too."""
    node = Node()

    async def interrupt() -> None:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])

    if where == "handler":
        node.on("interrupt")(interrupt)
    elif where == "background":
        node.background(interrupt)
    else:
        node.on_init(interrupt)
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(node) as network:
            await network.send("c1", {"type": "interrupt", "msg_id": 1})
            await trio.sleep_forever()


async def test_handler_may_still_send_during_the_grace(autojump_clock: MockClock) -> None:
    """In the grace a handler may send, while a new RPC is refused at once, for no reply could come."""
    node = Node()

    @node.on("work")
    async def work() -> Body:
        await trio.sleep(0.5)
        await node.send("n2", {"type": "news"})
        with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends no more RPCs$"):
            await node.rpc("n2", ASK)
        return {}

    async with running(node) as network:
        await network.send("c1", {"type": "work", "msg_id": 1})
        await network.receive_nothing()
        network.send_eof()
        assert [body["type"] for body in await receive_until_end(network)] == ["news", "work_ok"]


async def test_init_hook_that_waits_at_the_end_answers_in_the_grace(autojump_clock: MockClock) -> None:
    """When the input ends while hooks run, init is answered if they end in time, and no background task starts."""
    node = Node()
    runs: list[str] = []

    @node.on_init
    async def hook() -> None:
        await trio.sleep(0.5)

    @node.background
    async def background() -> None:
        runs.append("background")

    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        await network.receive_nothing()
        network.send_eof()
        assert await receive_until_end(network) == [INIT_OK]
    assert runs == []


@ends
async def test_everything_taken_is_answered_and_flushed(end: str) -> None:
    """However slowly the peer reads, all that was taken before the end is answered, and serve() waits for it."""
    node = echo_node(outbox_limit=100)
    answers: list[int] = []
    sent = 0
    async with slow_reader(node, batches=1) as reader:

        async def flood() -> None:
            nonlocal sent
            try:
                for n in range(100):
                    await reader.send(line({"type": "echo", "msg_id": n, "echo": n}))
                    sent = n + 1
            except trio.BrokenResourceError:
                assert end == "shutdown"
            reader.send_eof()

        reader.nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        taken = sent - 1  # one waits in the transport
        if end == "shutdown":
            node.shutdown()
            await wait_all_tasks_blocked()
        assert not reader.node_ended.is_set()
        async for batch in reader.transport:
            answers += [message.body["echo"] for message in batch]
    assert reader.node_ended.is_set()
    assert answers == list(range(taken if end == "shutdown" else 100))


async def test_shutdown_before_serve_ends_it_at_once() -> None:
    """A node that was told to shut down before it serves takes nothing and returns."""
    node = Node()
    node.shutdown()
    there, here = memory_transport_pair()
    async with here:
        await here.send_bytes(INIT)
        await node.serve(there)
        with pytest.raises(trio.EndOfChannel):
            await here.receive()
    assert node.stats.received == 0


async def test_shutdown_twice_is_shutdown() -> None:
    """Calling shutdown() again, even after the end, does nothing more."""
    node = Node()
    async with running(node):
        node.shutdown()
        node.shutdown()
    node.shutdown()


async def test_node_serves_once() -> None:
    """A second serve() is a RuntimeError, while the first runs and after it."""
    node = Node()
    text = r"^this node has served already; make a new node, as a restarted process does$"
    there, here = memory_transport_pair()
    async with there, here:
        async with running(node) as network:
            with pytest.raises(RuntimeError, match=text):
                await node.serve(there)
            await network.receive_nothing()
        with pytest.raises(RuntimeError, match=text):
            await node.serve(there)


async def test_cancelled_serve_closes_everything() -> None:
    """Cancelled from outside, serve() ends RPCs and calls their callbacks, stops all tasks, closes the transport."""
    node = Node()
    outcomes: list[Any] = []
    ended: list[str] = []

    async def forever(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(name)

    node.background(lambda_async(forever, "background"))
    node.on("work")(lambda_async(forever, "handler"))
    there, here = memory_transport_pair()
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        await here.send_bytes(INIT + line({"type": "work", "msg_id": 2}))
        await here.receive()
        node.rpc_callback("n2", ASK, outcomes.append)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    (outcome,) = outcomes
    assert isinstance(outcome, trio.ClosedResourceError)
    assert sorted(ended) == ["background", "handler"]
    assert_no_rpc_leaked(node)
    with pytest.raises(trio.ClosedResourceError):
        await there.send([b"{}"])
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends nothing more$"):
        node.send_nowait("n2", ASK)


def lambda_async(async_fn: Callable[[str], Awaitable[None]], name: str) -> Callable[[], Awaitable[None]]:
    async def call() -> None:
        await async_fn(name)

    return call


# The time of day


async def test_time_of_day_is_that_of_the_transport(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's before the node serves; from then on that of the transport, and of the one put around it."""
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    node, there_too = Node(), Node(wrap_transport=FarAway)
    assert (node.wall_time(), there_too.wall_time()) == (1234.5, 1234.5)
    transport, _ = memory_transport_pair()
    world = FarAway(transport)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, world)
        await trio.sleep(0.5)
        assert node.wall_time() == FarAway.MIDNIGHT + 0.5
        world.ahead = -3600.0
        assert node.wall_time() == FarAway.MIDNIGHT + 0.5 - 3600.0
        node.shutdown()
    async with running(there_too):
        assert there_too.wall_time() == FarAway.MIDNIGHT + 0.5
    assert there_too.wall_time() == FarAway.MIDNIGHT + 0.5


async def test_time_of_day_is_this_machines_unless_the_transport_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A transport that knows nothing of clocks has that of the machine."""
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    node = Node()
    async with running(node):
        assert node.wall_time() == 1234.5


# A transport that breaks


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


# Strict mode at the end


async def test_strict_callbacks_that_raise_do_not_keep_others_from_being_called() -> None:
    """In strict mode, too, closing calls each callback exactly once, and closes the node, whatever they raise."""
    node = Node(strict=True)
    called: list[int] = []

    def callback_of(n: int) -> Callable[[object], None]:
        def callback(outcome: object) -> None:
            called.append(n)
            raise ValueError(n)

        return callback

    async def serve_and_leave() -> None:
        async with running(node):
            for n in range(4):
                node.rpc_callback("n2", ASK, callback_of(n))

    with pytest.raises(ExceptionGroup) as caught:
        await serve_and_leave()
    assert caught.value.split(ValueError)[1] is None
    assert sorted(called) == [0, 1, 2, 3]
    with pytest.raises(trio.ClosedResourceError):
        node.send_nowait("n2", ASK)


# Nothing left behind


async def test_node_leaves_no_warning_behind() -> None:
    """A node that never served, and one that did, go without a ResourceWarning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Node()
        node = echo_node()
        async with running(node) as network:
            node.rpc_callback("n2", ASK, lambda _: None)
            await network.receive()
        del node, network
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_idle_node_never_wakes(autojump_clock: MockClock) -> None:
    """With nothing pending no task of the node runs, however long: virtual time gets there in one jump."""
    woken: list[str] = []

    class Watch(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            woken.append(task.name)

    async with running(Node()):
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(watch := Watch())
        await trio.sleep(3600)
        trio.lowlevel.remove_instrument(watch)
    assert woken == [trio.lowlevel.current_task().name]


async def test_handler_that_lets_a_timeout_pass_answers_error_0(autojump_clock: MockClock) -> None:
    """The RpcTimeout of a handler's RPC is relayed as error 0 with its text, at the deadline."""
    node = Node()

    @node.on("ask")
    async def ask(request: Request) -> Body:
        with pytest.raises(RpcTimeout):
            await node.rpc("n3", ASK, timeout=0.25)
        return await node.rpc("n2", ASK, timeout=0.5)

    async with running(node) as network:
        start = trio.current_time()
        await network.send("c1", {"type": "ask", "msg_id": 1})
        await network.receive()
        await network.receive()
        assert (await network.receive()).body == error(0, "no reply from 'n2' to msg_id 2 within 0.5 s", 1, 3)
        assert trio.current_time() == start + 0.75
