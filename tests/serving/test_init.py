"""``init``: hooks, repetition, refusal, and what comes before."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.echo_node import ASK, INIT_BODY, INIT_OK, echo_node, error
from support.lines import INIT
from trio.testing import MockClock

from trio_messenger import Body, Node, RpcError
from trio_messenger.testing import running
from trio_messenger.transports.memory import memory_transport_pair


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


async def test_plain_hook_that_is_interrupted_ends_the_node() -> None:
    """KeyboardInterrupt in a hook is no failure of ``init``: it leaves serve(), and nothing is answered."""
    node = Node()

    @node.on_init
    def hook() -> None:
        raise KeyboardInterrupt

    there, here = memory_transport_pair()
    async with here:
        await here.send_bytes(INIT)
        with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
            await node.serve(there)
        with pytest.raises(trio.EndOfChannel):
            await here.receive()


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
