"""Nurseries that user code leaves open, and what becomes of them and of their tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from support.left_open import expect_undisturbed, logged, slow_node, stray
from trio.testing import MockClock

from trio_messenger import Body, Node
from trio_messenger.testing import running

Leave: TypeAlias = Callable[[list[Any]], Any]
"""Ends the use of the one generator in the list."""

pytestmark = [  # generators that nobody runs to their ends
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def drop_generator(generators: list[AsyncIterator[int]]) -> None:
    generators.clear()


async def close_generator(generators: list[Any]) -> None:
    await generators.pop().aclose()


async def exhaust_generator(generators: list[AsyncIterator[int]]) -> None:
    assert [item async for item in generators.pop()] == [2]


@pytest.mark.parametrize("leave", [drop_generator, close_generator, exhaust_generator])
async def test_open_nursery_may_be_left_by_any_task_later(leave: Leave, autojump_clock: MockClock) -> None:
    """Trio, or another handler, may close or finish the generator of an open nursery long after the first handler
    ended, while a task in it still cleans up. Only a handler that closes it gets the GeneratorExit that Trio raises."""
    node, generators, events = slow_node(), list[AsyncIterator[int]](), list[str]()

    async def clean_up_slowly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            events.append("cleaned up")

    async def items() -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clean_up_slowly)
            yield 1
            yield 2
        events.append("left")

    @node.on("first")
    async def first() -> Body:
        generators.append(items())
        return {"item": await anext(generators[0])}

    @node.on("leave")
    async def leave_nursery() -> Body:
        async with trio.open_nursery():
            await leave(generators)
        return {}

    async with running(node) as network:
        await network.request("first")
        await trio.sleep(0.5)
        answer = await network.request("leave")
        assert answer.get("text") == (stray("GeneratorExit") if leave is close_generator else None)
        await expect_undisturbed(network, [])
    assert events == (["cleaned up", "left"] if leave is exhaust_generator else ["cleaned up"])
    assert node.stats.handler_failures == (leave is close_generator)


async def test_node_ends_after_the_tasks_of_an_open_nursery(autojump_clock: MockClock) -> None:
    """A task of a nursery that was left open may need time to clean up: the node does not end without it."""
    node, ended_at = Node(), list[float]()

    async def clean_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
            ended_at.append(trio.current_time())

    @node.on("first")
    async def first() -> Body:
        nursery = await trio.open_nursery().__aenter__()
        nursery.start_soon(clean_up)
        await trio.lowlevel.checkpoint()
        return {}

    start = trio.current_time()
    async with running(node) as network:
        await network.request("first")
        network.send_eof()
    assert ended_at == [start + 5] == [trio.current_time()]


async def test_failure_in_an_open_nursery_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody may ever leave such a nursery, so the log has what its tasks raise on their way out."""
    node = slow_node()

    @node.on("first")
    async def first() -> Body:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("on the way out")

        nursery = await trio.open_nursery().__aenter__()
        nursery.start_soon(fail)
        await trio.lowlevel.checkpoint()
        return {}

    async with running(node) as network:
        await network.request("first")
        await expect_undisturbed(network, [])
    assert "a task of a nursery that the handler of 'first' left open failed" in logged(caplog)
    assert "ValueError: on the way out" in caplog.text


async def test_open_nursery_takes_no_new_task(autojump_clock: MockClock) -> None:
    """Code that kept such a nursery cannot start a task there, where nobody would wait for it."""
    node, kept = slow_node(), list[trio.Nursery]()

    @node.on("first")
    async def first() -> Body:
        kept.append(await trio.open_nursery().__aenter__())
        return {}

    node.on("start")(lambda: kept[0].start_soon(trio.sleep_forever))
    async with running(node) as network:
        await network.request("first")
        answer = await network.request("start")
        assert (answer["code"], answer["text"]) == (13, "RuntimeError: Nursery is closed to new arrivals")
        await expect_undisturbed(network, [])


async def test_task_that_is_being_started_in_an_open_nursery_is_cancelled(autojump_clock: MockClock) -> None:
    """Another handler may be starting a task there as the nursery is left open. Its call ends as usual."""
    node, kept, events = slow_node(), list[trio.Nursery](), list[str]()

    async def start_slowly(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.sleep(1)
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            events.append("cancelled")

    @node.on("first")
    async def first() -> Body:
        kept.append(await trio.open_nursery().__aenter__())
        await trio.sleep(0.5)
        return {}

    @node.on("start")
    async def start() -> Body:
        await kept[0].start(start_slowly)
        return {}

    async with running(node) as network:
        for msg_id, kind in enumerate(("first", "start"), start=1):
            await network.send("c1", {"type": kind, "msg_id": msg_id})
            await trio.testing.wait_all_tasks_blocked()
        assert [(await network.receive()).body["type"] for _ in range(2)] == ["first_ok", "start_ok"]
        await expect_undisturbed(network, [])
    assert events == ["cancelled"]
    assert node.stats.handler_failures == 0
