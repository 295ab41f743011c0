"""The end of input and `Node.shutdown`: who is still answered, who is cancelled, and when."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from support.echo_node import ASK, INIT_BODY, INIT_OK, echo_node, error, fail_when_cancelled, receive_until_end
from support.lines import INIT, line
from support.slow_reader import slow_reader
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Node, RpcError
from trio_messenger.testing import Network, assert_no_rpc_leaked, running
from trio_messenger.transports.memory import memory_transport_pair

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
