"""What ends, ends at once: with the garbage collector off nothing stays in memory of a request or an RPC."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeAlias

import attrs
import pytest
import trio
from support.lines import INIT, line
from support.stage import Stage, staged
from trio.testing import MockClock

from trio_messenger import AtMostOnce, Backoff, Body, KeyValue, Node, Request, RpcError
from trio_messenger.sim._cluster.clients import Clients
from trio_messenger.testing import Network, running
from trio_messenger.transports.memory import memory_transport_pair

ROUNDS: Final = 5
"""How often each is done: what stays once, such as a cache, is no leak."""

ASK: Final = {"type": "ask"}
WORK: Final = {"type": "work", "msg_id": 7}
QUICK: Final = Backoff(base=0.25, jitter=0)

Ending: TypeAlias = Callable[[Node], Awaitable[Any]]
"""What an async handler does; it is given its node."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let pytest keep no log records, for they keep the errors that they are about."""
    logger = logging.getLogger("trio_messenger")
    handlers = logging.getLogger().handlers[:]
    logging.getLogger().handlers.clear()
    logger.addHandler(null := logging.NullHandler())
    yield
    logger.removeHandler(null)
    logging.getLogger().handlers[:] = handlers


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """See that nothing that becomes unreachable inside has to wait for the garbage collector.

    A cancel scope that was never left is one thing with what Trio knows of it. These pairs do not count: they hold
    nothing else.

    Raises:
      AssertionError: with what has to wait.
    """
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        open_scopes = any(type(it).__name__ == "CancelStatus" for it in gc.garbage)
        parts = {"CancelScope", "CancelStatus", "CancelReason", "set"} if open_scopes else set()
        left = [f"{type(it).__name__} {it!r:.80}" for it in gc.garbage if type(it).__name__ not in parts]
        if any(type(it).__name__ == "Runner" for it in gc.garbage):
            left = []  # of another test: a former run of Trio, which a library had kept until now
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []


# How an async handler can end


async def reply(node: Node) -> Body:
    await trio.lowlevel.checkpoint()
    return {}


async def nothing(node: Node) -> None:
    await trio.lowlevel.checkpoint()


async def rpc_error(node: Node) -> None:
    raise RpcError(22, "no")


async def bug(node: Node) -> None:
    raise KeyError("no such key")


async def kept_bug(node: Node) -> None:
    error = KeyError("no such key")
    kept = [error]
    raise kept[0]


async def bad_reply(node: Node) -> Body:
    return {"x": float("nan")}


async def group(node: Node) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bug, node)
        nursery.start_soon(trio.sleep_forever)


async def group_of_rpc_errors(node: Node) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rpc_error, node)
        nursery.start_soon(rpc_error, node)


async def timeout(node: Node) -> Body:
    return await node.rpc("silent", ASK, timeout=0.5)


async def caught_timeout(node: Node) -> Body:
    with contextlib.suppress(RpcError):
        await node.rpc("silent", ASK, timeout=0.5)
    return {}


async def error_reply(node: Node) -> Body:
    return await node.rpc("refuses", ASK)


async def caught_error_reply(node: Node) -> Body:
    with contextlib.suppress(RpcError):
        await node.rpc("refuses", ASK)
    return {}


async def scope(node: Node) -> Body:
    with trio.move_on_after(0.5):
        await node.rpc("silent", ASK)
    return {}


async def retries(node: Node) -> None:
    await node.rpc_retry("silent", ASK, attempts=2, timeout=0.5, backoff=QUICK)


async def refused_retry(node: Node) -> None:
    await node.rpc_retry("refuses", ASK, attempts=2, backoff=QUICK)


async def everyone(node: Node) -> Body:
    await node.rpc_all(["silent", "refuses", "answers"], ASK, timeout=0.5)
    return {}


async def no_quorum(node: Node) -> None:
    await node.rpc_quorum(["silent", "refuses", "answers"], ASK, need=2, timeout=0.5)


async def conflicts(node: Node) -> None:
    await KeyValue(node, "conflicts", backoff=QUICK).update("k", lambda value: value, attempts=2)


async def not_sent(node: Node) -> None:
    await node.rpc("n2", {"type": "ask", "x": float("nan")})


async def stray_cancellation(node: Node) -> None:
    trio.move_on_after(0.5).__enter__()
    await trio.sleep(1)


async def open_scope(node: Node) -> Body:
    trio.move_on_after(0.5).__enter__()
    return {}


async def open_nursery(node: Node) -> Body:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(node.rpc, "silent", ASK)
    nursery.start_soon(bug, node)
    await trio.lowlevel.checkpoint()
    return {}


ENDINGS: Final = (
    *(reply, nothing, rpc_error, bug, kept_bug, bad_reply, group, group_of_rpc_errors, timeout, caught_timeout),
    *(error_reply, caught_error_reply, scope, retries, refused_retry, everyone, no_quorum, conflicts, not_sent),
    *(stray_cancellation, open_scope, open_nursery),
)
every_ending = pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)


@attrs.frozen
class Work:
    """The body of a request for work."""

    weight: int = 1


def serve_async(node: Node, ending: Ending) -> None:
    @node.on("work")
    async def work() -> Any:
        return await ending(node)


def serve_async_body(node: Node, ending: Ending) -> None:
    @node.on("work")
    async def work(request: Request, body: Work) -> Any:
        return await ending(node)


def serve_once(node: Node, ending: Ending) -> None:
    @node.on("work", at_most_once=AtMostOnce(capacity=1))
    async def work(request: Request) -> Any:
        return await ending(node)


def serve_in_nursery(node: Node, ending: Ending) -> None:
    """Let both tasks of a nursery end so."""

    @node.on("work")
    async def work(request: Request) -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ending, node)
            nursery.start_soon(ending, node)


async def answer_others(network: Network) -> None:
    """Play all other nodes: one is silent, one refuses, one answers, one is a store in which others come between."""
    while True:
        message = await network.receive()
        if message.dest == "refuses":
            await network.reply(message, RpcError(30, "no"))
        elif message.dest == "answers" or message.body["type"] == "read":
            await network.reply(message, {"type": "ask_ok", "value": 1})
        elif message.dest == "conflicts":
            await network.reply(message, RpcError(22, "it is something else"))


@every_ending
@pytest.mark.parametrize("serve", [serve_async, serve_async_body, serve_once, serve_in_nursery])
async def test_async_handler_leaves_no_garbage(
    serve: Callable[[Node, Ending], None], ending: Ending, autojump_clock: MockClock
) -> None:
    """However the async handler of a request ends, request and frames go with it; those of its duplicates, too."""
    node = Node()
    serve(node, ending)
    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(answer_others, network)
        with no_garbage():
            for _ in range(ROUNDS):
                await network.send("c1", WORK)
                await network.send("c1", WORK)
                await trio.sleep(8)
        nursery.cancel_scope.cancel()


# Plain handlers


def plain_reply() -> Body:
    return {}


def plain_rpc_error() -> None:
    raise RpcError(22, "no")


def plain_bug() -> None:
    raise KeyError("no such key")


def plain_kept_bug() -> None:
    error = KeyError("no such key")
    raise error


def plain_bad_reply() -> Body:
    return {"x": float("nan")}


def plain_body(body: Work) -> Body:
    return {}


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("once", [False, True], ids=["", "at most once"])
@pytest.mark.parametrize(
    "handler", [plain_reply, plain_rpc_error, plain_bug, plain_kept_bug, plain_bad_reply, plain_body]
)
@pytest.mark.parametrize("weight", [1, "much"], ids=["fits", "does not fit"])
async def test_plain_handler_leaves_no_garbage(handler: Callable[..., Any], once: bool, weight: object) -> None:
    """However a plain handler ends, nothing of its request stays."""
    node = Node()
    node.on("work", at_most_once=AtMostOnce(capacity=1) if once else None)(handler)
    async with running(node) as network:
        with no_garbage():
            for _ in range(ROUNDS):
                await network.send("c1", {**WORK, "weight": weight})
                await network.send("c1", {**WORK, "weight": weight})
                await network.receive()
                await network.receive()


async def test_shed_and_refused_requests_leave_no_garbage() -> None:
    """Requests that are refused, for whatever reason, go at once."""
    node = Node(max_handlers=1)
    go = trio.Event()
    node.on("work")(go.wait)
    async with running(node) as network:
        await network.send("c1", WORK)
        await network.receive_nothing()
        with no_garbage():
            for _ in range(ROUNDS):
                for body in (WORK, {"type": "unknown", "msg_id": 1}, {"type": 5, "msg_id": 1}):
                    await network.send("c1", body)
                    assert (await network.receive()).body["code"] in (10, 11, 12)
        assert node.stats.shed == ROUNDS
        go.set()


# Callbacks


@pytest.mark.parametrize("raises", [False, True], ids=["", "raises what it is given"])
@pytest.mark.parametrize("dest", ["silent", "refuses", "answers"])
async def test_callback_leaves_no_garbage(dest: str, raises: bool, autojump_clock: MockClock) -> None:
    """Whatever a callback is told, and whether it raises that or not, nothing of its RPC stays."""
    node = Node()

    def called(outcome: Body | Exception) -> None:
        if raises:
            raise outcome if isinstance(outcome, Exception) else KeyError("no such key")

    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(answer_others, network)
        with no_garbage():
            for _ in range(ROUNDS):
                node.rpc_callback(dest, ASK, called, timeout=0.5)
                await trio.sleep(1)
        nursery.cancel_scope.cancel()


# Whole lives, for what happens once in each


@every_ending
@pytest.mark.parametrize("kind", ["background", "on_init", "every"])
async def test_background_task_hook_and_periodic_function_leave_no_garbage(
    kind: str, ending: Ending, autojump_clock: MockClock
) -> None:
    """However a background task, an init hook or a periodic function ends, nothing of it stays."""
    node = Node()
    begin = trio.Event()

    async def work() -> None:
        await begin.wait()
        await ending(node)

    if kind == "every":
        node.every(1, work)
    elif kind == "on_init":
        node.on_init(work)
    else:
        node.background(work)
    async with running(node, init=False) as network, trio.open_nursery() as nursery:
        nursery.start_soon(answer_others, network)
        await network.send("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1"]})
        await trio.sleep(1)
        with no_garbage():
            begin.set()
            await trio.sleep(8)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", ["eof", "cancel"])
@pytest.mark.parametrize("wait", ["rpc", "sleep", "shielded rpc"])
async def test_handler_that_the_end_of_the_node_ends_leaves_no_garbage(
    end: str, wait: str, autojump_clock: MockClock
) -> None:
    """Handlers that are closed, cancelled, or refused an RPC while they are, leave nothing but the node."""
    node = Node()

    @node.on("work")
    async def work() -> None:
        if wait == "rpc":
            await node.rpc("silent", ASK, timeout=60)
        try:
            await trio.sleep_forever()
        finally:
            if wait == "shielded rpc":
                with trio.CancelScope(shield=True):
                    await node.rpc("silent", ASK)

    there, here = memory_transport_pair()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def serve() -> None:
            with scope:
                await node.serve(there)

        nursery.start_soon(serve)
        await here.send_bytes(INIT + line(WORK) * 2)
        await trio.sleep(1)
        with no_garbage():
            scope.cancel() if end == "cancel" else here.send_eof()
            await trio.sleep(4)
        del serve
    await here.aclose()


def test_simulated_client_leaves_no_garbage() -> None:
    """An operation of the simulator that nobody answers leaves nothing of its request."""

    async def script(stage: Stage) -> None:
        client = Clients(stage.network).open()
        with no_garbage():
            for _ in range(ROUNDS):
                with contextlib.suppress(RpcError):
                    await client.rpc("silent", ASK, timeout=0.5)
        client.close()

    staged(script, members=["silent"])
