"""Workers: tasks that serve one request after another, and what a request finds and leaves in them."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Body, Node, Request, Stats
from trio_messenger._serving import workers
from trio_messenger._serving.workers import MAX_IDLE, Job, Workers
from trio_messenger.testing import Network, running

note: contextvars.ContextVar[str] = contextvars.ContextVar("note", default="clean")


class Thing:
    """Something that can be watched."""


@attrs.define
class Parcel:
    """A body that can be watched."""

    weight: int
    __weakref__: Any = attrs.field(init=False, repr=False, eq=False)


def job(async_fn: Callable[..., Awaitable[object]]) -> Job:
    """Return what runs *async_fn*, and lets whatever it raises leave the task."""
    return Job(async_fn, lambda *args: args[-1], lambda *_: async_fn.__name__)


class Desk:
    """Gives work to workers, and remembers which task did it."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.tasks: list[trio.lowlevel.Task] = []
        self.go = trio.Event()

    async def quick(self) -> None:
        """End at once."""
        self.tasks.append(trio.lowlevel.current_task())

    async def slow(self) -> None:
        """End when told."""
        self.tasks.append(trio.lowlevel.current_task())
        await self.go.wait()

    async def do(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Have it done, and wait until nothing goes on."""
        self.workers.start_soon(job(async_fn), *args)
        await wait_all_tasks_blocked()


# Tasks


async def test_an_idle_worker_takes_the_next_job() -> None:
    """Jobs that follow one another are done by one task, jobs at the same time by a task each."""
    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        for _ in range(3):
            await desk.do(desk.quick)
        assert len(set(desk.tasks)) == len(nursery.child_tasks) == 1
        for _ in range(3):
            await desk.do(desk.slow)
        assert len(set(desk.tasks)) == len(nursery.child_tasks) == 3
        desk.go.set()
        desk.workers.close()


async def test_closing_lets_idle_workers_end() -> None:
    """Whoever waits for work ends when there will be no more, and nobody else."""
    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        await desk.do(desk.slow)
        for _ in range(2):
            desk.workers.start_soon(job(desk.quick))
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 3
        desk.workers.close()
        await wait_all_tasks_blocked()
        assert nursery.child_tasks == {desk.tasks[0]}
        desk.go.set()
    assert len(desk.tasks) == 3


async def test_a_closed_pool_still_does_what_it_is_given() -> None:
    """A job that comes with or after the end is done all the same, and no worker waits for another."""
    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        await desk.do(desk.quick)
        desk.workers.start_soon(job(desk.quick))
        desk.workers.close()
        await desk.do(desk.quick)
        assert len(desk.tasks) == 3
        assert not nursery.child_tasks
        desk.workers.close()


async def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rush the workers that are too many end, and the others wait."""
    assert MAX_IDLE == 1000
    monkeypatch.setattr(workers, "MAX_IDLE", 3)
    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        for _ in range(10):
            desk.workers.start_soon(job(desk.slow))
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 10
        desk.go.set()
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 3
        desk.workers.close()


async def test_a_cancelled_worker_is_not_used_again() -> None:
    """When the nursery is cancelled its idle workers end, and what is started then has a task of its own."""
    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        await desk.do(desk.quick)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert not nursery.child_tasks
            await desk.do(desk.quick)
    assert len(set(desk.tasks)) == len(desk.tasks) == 2


# Contexts


async def test_a_job_does_not_see_what_another_has_set() -> None:
    """A context variable that one job sets is not set for the next one of the same task."""
    seen = []

    async def look_and_set() -> None:
        seen.append((note.get(), trio.lowlevel.current_task()))
        note.set("set by another job")

    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        for _ in range(3):
            await desk.do(look_and_set)
        desk.workers.close()
    assert [text for text, _ in seen] == ["clean"] * 3
    assert len({task for _, task in seen}) == 1


@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
async def test_a_job_does_not_see_what_its_starter_has_set(reused: bool) -> None:
    """A job begins with the context that the workers were made in, whoever starts it, in a new task or a used one."""
    seen = []

    async def look() -> None:
        seen.append(note.get())

    token = note.set("from the start")
    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        note.reset(token)
        if reused:
            await desk.do(desk.quick)
        note.set("set by the starter")
        await desk.do(look)
        desk.workers.close()
    assert seen == ["from the start"]


@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
async def test_a_handler_sees_no_other_requests_context(reused: bool) -> None:
    """What a plain or an async handler sets in its context no async handler sees, in a new task or a used one."""
    node = Node()

    @node.on("plain")
    def plain() -> Body:
        note.set("set by a plain handler")
        return {}

    @node.on("async")
    async def handle_async() -> Body:
        seen = note.get()
        note.set("set by an async handler")
        return {"seen": seen}

    async with running(node) as network:
        if reused:
            assert (await network.request("async"))["seen"] == "clean"
        await network.request("plain")
        for _ in range(2):
            assert (await network.request("async"))["seen"] == "clean"


# What is kept


async def test_an_idle_worker_keeps_no_argument() -> None:
    """Neither the first thing that a worker was given nor the last lives on while it waits."""
    gone = []

    async def take(thing: Thing) -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        desk = Desk(Workers(nursery, Stats(), lambda: None))
        for _ in range(3):
            thing = Thing()
            gone.append(weakref.ref(thing))
            desk.workers.start_soon(job(take), thing)
            del thing
            await wait_all_tasks_blocked()
            gc.collect()
            assert [ref() for ref in gone] == [None] * len(gone)
        assert len(nursery.child_tasks) == 1
        desk.workers.close()


async def test_a_busy_worker_keeps_what_it_was_given_only_as_long_as_its_job_does() -> None:
    """A job that lets go of its argument has let go of it for all."""

    async def take(things: list[Thing]) -> None:
        things.clear()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        thing = Thing()
        gone = weakref.ref(thing)
        things = [thing]
        del thing
        await Desk(Workers(nursery, Stats(), lambda: None)).do(take, things)
        assert gone() is None
        nursery.cancel_scope.cancel()


async def ask_at_once(network: Network, count: int) -> None:
    """Have *count* requests served at the same time."""
    for number in range(count):
        await network.send("c1", {"type": "take", "weight": number, "pad": ["padding of a request"]})
    await wait_all_tasks_blocked()


def bodies_alive() -> int:
    """Return how many bodies of such requests there are, by the lists in them, all of which Python keeps track of."""
    return sum(type(it) is list and len(it) == 1 and it[0] == "padding of a request" for it in gc.get_objects())


async def test_an_idle_node_keeps_no_request() -> None:
    """When the async handlers of many requests have ended, and of as many again, neither bodies nor records stay."""
    node = Node()
    gone: list[weakref.ref[Parcel]] = []
    go = trio.Event()

    @node.on("take")
    async def take(request: Request, parcel: Parcel) -> None:
        gone.append(weakref.ref(parcel))
        await go.wait()
        assert request.body["weight"] == parcel.weight

    @node.on("last")
    def last() -> Body:
        return {}

    async with running(node) as network:
        await ask_at_once(network, 5)
        assert sum(ref() is not None for ref in gone) == bodies_alive() == 5
        go.set()
        await network.request("last")
        assert bodies_alive() == 0
        await ask_at_once(network, 5)
        await network.request("last")
        assert [ref() for ref in gone] == [None] * 10
        assert bodies_alive() == 0
    assert node.stats.handler_failures == 0
