"""AtMostOnce: what is remembered, how much of it, and for how long."""

from __future__ import annotations

import contextlib
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.counted_handlers import Counted, Gate, ask, plain_and_async
from support.lines import INIT, line
from trio.testing import wait_all_tasks_blocked

from trio_messenger import AtMostOnce, Body, ErrorCode, Node, Request, RpcError
from trio_messenger._serving.handlers import make_handler
from trio_messenger.testing import running
from trio_messenger.transports.memory import memory_transport_pair


@plain_and_async
@pytest.mark.parametrize("depth", [1, 600])
async def test_deep_answer_is_remembered(depth: int, is_async: bool) -> None:
    """However deeply an answer is nested, as long as it can be sent, duplicates get it, too."""
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    node, once = Node(), AtMostOnce()
    handler = Counted(lambda n: {"n": n, "nested": nested}).register(node, once, is_async=is_async)
    async with running(node) as network:
        first = await ask(network, 1)
        assert first == {"type": "add_ok", "n": 1, "nested": nested}
        assert await ask(network, 1) == first
    assert (handler.calls, len(once), node.stats.handler_failures) == (1, 1, 0)


@plain_and_async
async def test_answer_asked_for_least_recently_is_forgotten(is_async: bool) -> None:
    """Past the capacity the answer goes that was asked for least recently, by a duplicate or at first; its request is
    served again."""
    node, once = Node(), AtMostOnce(capacity=2)
    Counted().register(node, once, is_async=is_async)
    async with running(node) as network:
        assert [(await ask(network, msg_id))["n"] for msg_id in (1, 2, 1)] == [1, 2, 1]
        assert (await ask(network, 3))["n"] == 3  # forgets 2
        assert (await ask(network, 1))["n"] == 1
        assert (await ask(network, 2))["n"] == 4  # forgets 3
        assert (await ask(network, 1))["n"] == 1
        assert (await ask(network, 3))["n"] == 5
    assert len(once) == 2


@plain_and_async
async def test_memory_is_bounded(is_async: bool) -> None:
    """However many requests come, no more than the capacity are remembered, and no fewer."""
    node, once = Node(), AtMostOnce(capacity=3)
    Counted().register(node, once, is_async=is_async)
    async with running(node) as network:
        lengths = []
        for msg_id in range(6):
            await ask(network, msg_id)
            lengths.append(len(once))
    assert lengths == [1, 2, 3, 3, 3, 3]


async def test_request_being_served_is_not_forgotten() -> None:
    """Whatever else comes, a request that is still being served is remembered, and its duplicates join it; what is
    done goes instead."""
    node, once = Node(), AtMostOnce(capacity=1)
    gate = Gate(node, once)
    handler = Counted().register(node, once, is_async=False)
    async with running(node) as network:
        await network.send("c1", {"type": "wait", "msg_id": 1})
        await wait_all_tasks_blocked()
        for msg_id in (2, 3):
            await ask(network, msg_id)
        await network.send("c1", {"type": "wait", "msg_id": 1})
        await network.receive_nothing()
        assert gate.calls == [1]
        gate.open.set()
        assert [(await network.receive()).body["calls"] for _ in range(2)] == [1, 1]
    assert handler.calls == 2


async def test_memory_shrinks_again_after_many_at_once() -> None:
    """Requests served at once may be more than the capacity; once they are done the memory is within it again."""
    node, once = Node(), AtMostOnce(capacity=2)
    gate = Gate(node, once)
    Counted().register(node, once, is_async=False)
    async with running(node) as network:
        for msg_id in range(10):
            await network.send("c1", {"type": "wait", "msg_id": msg_id})
        await wait_all_tasks_blocked()
        assert len(once) == 10
        gate.open.set()
        for _ in range(10):
            await network.receive()
        await ask(network, 10)
        assert len(once) <= 2


async def test_default_capacity_is_a_thousand() -> None:
    """Without a capacity a thousand answers are remembered."""
    once = AtMostOnce()
    handler = once.wrap(make_handler(lambda: {}, {}))
    for msg_id in range(1100):
        handler.call(Request("c1", "n1", "add", msg_id, {}, 0.0))
    assert len(once) == 1000


KIB = 1024


def asked(once: AtMostOnce, answer: Callable[[Request], object]) -> Callable[..., Any]:
    """Return a function that asks a handler with that memory, without a node around it."""
    handler = once.wrap(make_handler(answer, {}))
    return lambda msg_id, src="c1": handler.call(Request(src, "n1", "add", msg_id, {}, 0.0))


@plain_and_async
async def test_answers_are_bounded_by_bytes_as_well(is_async: bool) -> None:
    """Few large answers make the memory full as many small ones do; those asked for least recently go, and are
    counted."""
    node, once = Node(), AtMostOnce(max_bytes=35 * KIB)
    Counted(lambda n: {"n": n, "large": "x" * 10 * KIB}).register(node, once, is_async=is_async)
    async with running(node) as network:
        assert [(await ask(network, msg_id))["n"] for msg_id in (1, 2, 3, 1)] == [1, 2, 3, 1]
        assert (len(once), once.forgotten) == (3, 0)
        assert 30 * KIB < once.size <= 35 * KIB
        assert (await ask(network, 4))["n"] == 4  # forgets 2
        assert [(await ask(network, msg_id))["n"] for msg_id in (1, 3, 4)] == [1, 3, 4]
        assert (await ask(network, 2))["n"] == 5
    assert (len(once), once.forgotten) == (3, 2)
    assert once.size <= 35 * KIB


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["body", "error", "sender", "list"])
def test_whatever_a_peer_can_make_large_counts(kind: str) -> None:
    """Bodies, texts of errors and names of senders all count, so that a thousand requests cannot fill the memory."""

    def answer(request: Request) -> Body:
        if kind == "error":
            raise RpcError(ErrorCode.ABORT, "x" * 100 * KIB)
        return {"body": "x" * 100 * KIB if kind == "body" else [{}] * 33 * KIB if kind == "list" else ""}

    once = AtMostOnce(max_bytes=1000 * KIB)
    call = asked(once, answer)
    tracemalloc.start()
    try:
        for msg_id in range(40):
            with contextlib.suppress(RpcError):
                call(msg_id, f"c{msg_id}{'x' * 100 * KIB if kind == 'sender' else ''}")
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 8 <= len(once) <= 10
    assert 0 < once.size <= 1000 * KIB
    assert once.forgotten == 40 - len(once)
    assert used < 1200 * KIB


def test_an_answer_that_is_too_large_by_itself_is_remembered_until_the_next_request() -> None:
    """The latest request is known again whatever its answer, and the memory is within its limit after the next one."""
    once = AtMostOnce(max_bytes=KIB)
    calls: list[int] = []

    def answer(request: Request) -> Body:
        calls.append(request.msg_id or 0)
        return {"large": "x" * 10 * KIB * (request.msg_id == 1)}

    call = asked(once, answer)
    for msg_id in (1, 1, 2, 1):
        call(msg_id)
    assert calls == [1, 2, 1]
    call(3)
    assert once.size < KIB


async def test_requests_without_a_number_take_no_memory() -> None:
    """What is not remembered does not count."""
    once = AtMostOnce(max_bytes=KIB)
    call = asked(once, lambda _: {"large": "x" * 10 * KIB})
    for _ in range(3):
        call(None)
    assert (len(once), once.size, once.forgotten) == (0, 0, 0)


@pytest.mark.parametrize("value", [2**70, 1e22, -0.0, [None, True, {"1": "\u00e9\U0001f600"}], {1: 2}, (1, 2)])
async def test_an_answer_is_the_same_on_the_wire_each_time(value: Any) -> None:
    """However an answer is kept, duplicates are sent the bytes that the first request was sent."""
    node, once = Node(), AtMostOnce()
    node.on("add", at_most_once=once)(lambda: {"value": value})
    there, here = memory_transport_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        async with here:
            await here.send_bytes(INIT)
            await here.receive()
            lines = []
            for _ in range(2):
                await here.send_bytes(line({"type": "add", "msg_id": 5}))
                lines.append(await here._receive_channel.receive())
    first, again = (text.partition(b', "msg_id": ')[0] for text in lines)
    assert first == again
    assert b'"value": ' in first


@pytest.mark.parametrize("limit", [0, -5, math.nan])
def test_a_limit_of_bytes_below_1_is_refused(limit: Any) -> None:
    """A memory that could remember nothing raises."""
    with pytest.raises(ValueError, match=rf"^max_bytes is {limit}; give 1 or more$"):
        AtMostOnce(max_bytes=limit)


@pytest.mark.parametrize("capacity", [0, -5])
def test_capacity_below_1_is_refused(capacity: int) -> None:
    """A memory that could remember nothing raises."""
    with pytest.raises(ValueError, match=rf"^capacity is {capacity}; give 1 or more$"):
        AtMostOnce(capacity=capacity)


def test_capacity_of_1_is_enough() -> None:
    """The smallest memory remembers one answer."""
    once = AtMostOnce(capacity=1)
    handler = once.wrap(make_handler(lambda: {}, {}))
    handler.call(Request("c1", "n1", "add", 1, {}, 0.0))
    assert len(once) == 1
