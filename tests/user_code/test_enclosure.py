"""Cancel scopes that a handler and its like leave open: they are closed, and nobody else feels them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, TypeAlias

import outcome
import pytest
import trio
from support.left_open import STRAY, cancel_kept, expect_undisturbed, logged, slow_node, stray
from trio.testing import MockClock

from trio_messenger import AtMostOnce, Body, Node
from trio_messenger._user_code import enclosure
from trio_messenger.testing import running

Leave: TypeAlias = Callable[[list[Any]], object]
"""Leaves something open that would cancel or shield the task; puts what must stay in memory for that into the list."""

ADVICE: Final = "enter it using 'with', and do not yield inside it in a generator"
pytestmark = [  # generators that nobody runs to their ends
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def left_open(whose: str, count: int = 1) -> str:
    return f"{whose} left a cancel scope or a nursery open, and the node closed it ({count} so far); {ADVICE}"


# What can be left open


def enter_scope(kept: list[Any]) -> None:
    scope = trio.CancelScope(deadline=trio.current_time() + 1)
    scope.__enter__()


def enter_kept_scope(kept: list[Any]) -> None:
    kept.append(trio.CancelScope())
    kept[-1].__enter__()


def enter_shield(kept: list[Any]) -> None:
    trio.CancelScope(shield=True, deadline=trio.current_time() + 999).__enter__()


def in_generator(kept: list[Any]) -> None:
    def items() -> Iterator[int]:
        with trio.move_on_after(1):  # noqa: ASYNC100 - what waits is the handler
            yield from range(3)

    kept.append(items())
    next(kept[-1])


async def in_async_generator(kept: list[Any]) -> None:
    async def items() -> AsyncIterator[int]:
        with trio.fail_after(1):
            for number in range(3):
                yield number

    kept.append(items())
    await anext(kept[-1])


async def in_lost_generator(kept: list[Any]) -> None:
    things: list[Any] = []
    await in_async_generator(things)
    things.clear()


async def in_nursery(kept: list[Any]) -> None:
    async def items() -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_until_cancelled, kept)
            nursery.cancel_scope.deadline = trio.current_time() + 999
            yield 1

    kept.append(items())
    await anext(kept[-1])


async def in_lost_nursery(kept: list[Any]) -> None:
    async def items() -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_until_cancelled, kept)
            with trio.fail_after(999):
                yield 1

    async for _ in items():
        return


async def in_nursery_by_hand(kept: list[Any]) -> None:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(run_until_cancelled, kept)
    await trio.lowlevel.checkpoint()


async def run_until_cancelled(kept: list[Any]) -> None:
    try:
        await trio.sleep_forever()
    finally:
        kept.append("cancelled")


PLAIN: Final = (enter_scope, enter_kept_scope, enter_shield, in_generator)
NURSERIES: Final = (in_nursery, in_lost_nursery, in_nursery_by_hand)
ASYNC: Final = (in_async_generator, in_lost_generator, *NURSERIES)
plain_leaves = pytest.mark.parametrize("leave", PLAIN, ids=lambda leave: leave.__name__)
all_leaves = pytest.mark.parametrize("leave", [*PLAIN, *ASYNC], ids=lambda leave: leave.__name__)


async def do(leave: Leave, kept: list[Any]) -> None:
    result = leave(kept)
    if hasattr(result, "__await__"):
        await result


@pytest.mark.slow
@pytest.mark.every_python
@all_leaves
async def test_open_scope_of_an_async_handler_disturbs_nobody(
    leave: Leave, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever an async handler leaves open, it is answered; and neither is another one cancelled by it, nor the node
    kept from its end. The log says whose it was."""
    node, kept = slow_node(), list[Any]()

    @node.on("first")
    async def first() -> Body:
        await do(leave, kept)
        return {"done": True}

    async with running(node) as network:
        assert (await network.request("first"))["done"]
        await expect_undisturbed(network, kept)
    assert (node.stats.scopes_left_open, node.stats.handler_failures) == (1, 0)
    assert logged(caplog) == [left_open("the handler of 'first'")]
    assert kept.count("cancelled") == (leave in NURSERIES)  # its tasks end with it


@plain_leaves
@pytest.mark.parametrize("where", ["plain handler", "plain hook", "callback"])
async def test_open_scope_of_plain_code_disturbs_nobody(
    where: str, leave: Leave, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the reader nor the task of callbacks is cancelled by what a plain function leaves open, or shielded."""
    node, kept = slow_node(), list[Any]()
    text = "a plain handler, or a plain hook of on_init,"
    if where == "plain handler":
        node.on("first")(lambda: leave(kept))
    elif where == "plain hook":
        node.on_init(lambda: leave(kept))
    async with running(node) as network:
        if where == "plain handler":
            await network.send("c1", {"type": "first", "msg_id": 1})
        elif where == "callback":
            text = "a callback"
            for _ in range(2):
                node.rpc_callback("n2", {"type": "ask"}, lambda _: leave(kept), timeout=0.25)
                await network.receive()
        await trio.sleep(0.5)
        called: list[object] = []
        node.rpc_callback("n2", {"type": "ask"}, called.append, timeout=0.5)
        await network.receive()
        await expect_undisturbed(network, kept)
        assert len(called) == 1
    assert left_open(text) in logged(caplog)
    assert node.stats.handler_failures == 0


@all_leaves
async def test_open_scope_of_a_periodic_function_ends_no_series(
    leave: Leave, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A periodic function that leaves something open each time is called again each time, until the node closes."""
    node, kept = slow_node(), list[Any]()
    calls: list[float] = []

    def periodic() -> object:
        calls.append(trio.current_time())
        return do(leave, kept)

    start = trio.current_time()
    node.every(1.5, periodic)
    async with running(node) as network:
        await trio.sleep(4)
        cancel_kept(kept)
        await trio.sleep(1)
        before = trio.current_time()
        network.send_eof()
    assert trio.current_time() == before
    assert calls == [start + 1.5, start + 3.0, start + 4.5]
    assert logged(caplog) == [left_open(f"the periodic function {periodic!r}", n) for n in (1, 2, 3)]


async def test_open_scopes_are_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that leaves a scope open each time is logged the first ten times, and then at each power of two."""
    node = Node()

    @node.on("first")
    async def first() -> Body:
        enter_scope([])
        return {}

    async with running(node) as network:
        for _ in range(20):
            await network.request("first")
        await network.receive_nothing()
    assert node.stats.scopes_left_open == 20
    assert logged(caplog) == [left_open("the handler of 'first'", count) for count in (*range(1, 11), 16)]


async def sleep_in_open_scope() -> None:
    trio.move_on_after(1).__enter__()
    await trio.sleep(2)


async def raiser_of_another_cancellation(grouped: bool) -> Callable[..., None]:
    """Return a plain function that raises the Cancelled of a task that has ended, inside a scope that it cancels and
    leaves open."""
    with trio.CancelScope() as scope:
        scope.cancel()
        result = await outcome.acapture(trio.sleep, 1)
    assert isinstance(result, outcome.Error)

    def first(_: object = None) -> None:
        trio.CancelScope(deadline=-math.inf).__enter__()
        raise BaseExceptionGroup("grouped", [result.error]) if grouped else result.error

    return first


either_way = pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])


@either_way
@pytest.mark.parametrize("where", ["handler", "once", "hook"])
async def test_cancellation_of_another_task_fails_the_request_of_plain_code_that_raises_it(
    where: str, grouped: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain code cannot be cancelled, so a Cancelled that it raises is error 13, and the node goes on."""
    node, request = slow_node(), {"type": "first", "msg_id": 7}
    first = await raiser_of_another_cancellation(grouped)
    if where == "hook":
        node.on_init(first)
        request = {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1"]}
    else:
        node.on("first", at_most_once=AtMostOnce() if where == "once" else None)(first)
    async with running(node, init=where != "hook") as network:
        for _ in range(2):
            await network.send("c1", request)
            answer = (await network.receive()).body
            assert (answer["code"], answer["text"]) == (13, stray())
        if where != "hook":
            await expect_undisturbed(network, [])
    assert node.stats.handler_failures == (1 if where == "once" else 2)
    assert f"the handler of {request['type']!r} failed" in caplog.messages


@either_way
@pytest.mark.parametrize("where", ["callback", "periodic"])
async def test_cancellation_of_another_task_is_a_failure_of_plain_code_that_raises_it(
    where: str, grouped: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is one for a callback and a periodic function, too."""
    node = slow_node()
    first = await raiser_of_another_cancellation(grouped)
    what = "the callback of RPC 1 to 'n2'" if where == "callback" else f"background task {first!r}"
    if where == "periodic":
        node.every(1, first)
    async with running(node) as network:
        if where == "callback":
            node.rpc_callback("n2", {"type": "ask"}, first, timeout=0.25)
            await network.receive()
        await trio.sleep(2)
        await expect_undisturbed(network, [])
    assert node.stats.handler_failures == 1
    assert f"{what} failed" in caplog.messages
    assert STRAY.format("Cancelled") in caplog.text


@pytest.mark.parametrize("where", ["handler", "callback"])
async def test_plain_code_that_is_interrupted_ends_the_node(where: str, autojump_clock: MockClock) -> None:
    """KeyboardInterrupt in a plain handler or a callback is no failure of a request: it leaves serve()."""
    node = Node()

    def first(_: object = None) -> None:
        raise KeyboardInterrupt

    node.on("first")(first)
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(node) as network:
            if where == "handler":
                await network.send("c1", {"type": "first", "msg_id": 1})
            else:
                node.rpc_callback("n2", {"type": "ask"}, first, timeout=0.25)
            await trio.sleep_forever()
    assert node.stats.handler_failures == 0


async def fail_in_open_nursery() -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    trio.move_on_after(1).__enter__()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize("where", ["handler", "once", "hook", "background"])
async def test_cancellation_that_the_node_did_not_send_ends_what_it_hits_alone(
    where: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A scope that a handler left open and that cancels it is its failure: error 13, counted, logged. So it is for an
    init hook and a background task; the node goes on."""
    node = slow_node()
    what = "the handler of 'first'"
    if where == "hook":
        what = "the handler of 'init'"
        node.on_init(sleep_in_open_scope)
    elif where == "background":
        what = f"background task {sleep_in_open_scope!r}"
        node.background(sleep_in_open_scope)
    else:
        node.on("first", at_most_once=AtMostOnce() if where == "once" else None)(sleep_in_open_scope)
    async with running(node, init=where != "hook") as network:
        if where == "hook":
            await network.send("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1"]})
            answer = (await network.receive()).body
            assert (answer["code"], answer["text"]) == (13, stray())
        elif where == "background":
            await trio.sleep(3)
        else:
            answers = []
            for _ in range(2):
                await network.send("c1", {"type": "first", "msg_id": 7})
            answers = [(await network.receive()).body for _ in range(2)]
            assert [answer["code"] for answer in answers] == [13, 13]
            assert answers[0]["text"] == stray()
        if where != "hook":
            await expect_undisturbed(network, [])
    assert node.stats.handler_failures == (2 if where == "handler" else 1)
    assert f"{what} failed" in caplog.messages
    assert "in sleep_in_open_scope" in caplog.text  # where it was cancelled


async def test_failure_on_the_way_out_of_an_open_scope_is_the_one_that_is_told(autojump_clock: MockClock) -> None:
    """If a task of a handler fails as such a scope cancels it, the request is answered once, with that failure."""
    node = slow_node()
    node.on("first")(fail_in_open_nursery)
    async with running(node) as network:
        answer = await network.request("first")
        assert (answer["code"], answer["text"]) == (13, "ValueError: on the way out")
        await expect_undisturbed(network, [])
    assert node.stats.handler_failures == 1


@pytest.mark.parametrize("where", ["handler", "background"])
async def test_strict_mode_lets_a_stray_cancellation_leave(where: str, autojump_clock: MockClock) -> None:
    """In strict mode it leaves serve() as an error, not as a cancellation that nobody would see."""
    node = slow_node(strict=True)
    if where == "handler":
        node.on("first")(sleep_in_open_scope)
    else:
        node.background(sleep_in_open_scope)
    with pytest.RaisesGroup(RuntimeError, flatten_subgroups=True):
        async with running(node) as network:
            await network.send("c1", {"type": "first", "msg_id": 1})
            await trio.sleep_forever()
    assert node.stats.handler_failures == 1


async def test_more_than_an_exception_in_an_open_scope_leaves_without_its_cancellation(
    autojump_clock: MockClock,
) -> None:
    """KeyboardInterrupt goes on its way, whatever else comes with it."""

    async def interrupt() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    async def first() -> None:
        trio.move_on_after(1).__enter__()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
            nursery.start_soon(trio.sleep_forever)

    node = Node()
    node.on("first")(first)
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(node) as network:
            await network.send("c1", {"type": "first", "msg_id": 1})
            await trio.sleep_forever()


@pytest.mark.parametrize("leave", [*PLAIN, *ASYNC[:3]], ids=lambda leave: leave.__name__)
async def test_trio_that_does_not_tell_what_is_open_is_served_as_well(
    leave: Leave, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Trio does not show what is open, each handler has a task of its own, and what it leaves open is closed."""
    monkeypatch.setattr(enclosure, "TELLS", False)
    node, kept, tasks = slow_node(), list[Any](), list[trio.lowlevel.Task]()

    @node.on("first")
    async def first() -> Body:
        tasks.append(trio.lowlevel.current_task())
        await do(leave, kept)
        return {}

    @node.on("quick")
    async def quick() -> Body:
        tasks.append(trio.lowlevel.current_task())
        return {}

    async with running(node) as network:
        for kind in ("first", "echo", "quick", "echo", "quick", "echo"):
            await network.request(kind)
        await expect_undisturbed(network, kept)
    assert len(set(tasks)) == 3
    assert logged(caplog) == [left_open("the handler of 'first'")]
