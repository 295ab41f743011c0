"""rpc_retry: replies to earlier attempts."""

from __future__ import annotations

import contextlib

import pytest
import trio
from support.lines import line
from support.retries import ASK, STEADY, assert_nothing_left
from support.scripted_peers import OK, error, scripted
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import (
    Body,
    Node,
    Retried,
    RetriesExhausted,
    RpcError,
)
from trio_messenger.testing import running


async def test_late_reply_is_taken_during_a_later_attempt(autojump_clock: MockClock) -> None:
    """A reply to the first attempt that comes while the second waits is the answer; the second is abandoned, and the
    late reply counted as one."""
    node = Node()
    async with running(node) as network, scripted(network, [(1.0, {"type": "ask_ok", "x": 1})], [(0.5, OK)]) as script:
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 1.0
        assert retried == Retried(reply={"type": "ask_ok", "x": 1, "in_reply_to": 1}, attempts=2, delay=0.25)
        assert_nothing_left(node)
        assert (node.stats.late_replies, node.stats.abandoned, node.stats.reaped) == (1, 1, 1)
        await trio.sleep(1)
        assert node.stats.late_replies == 2  # the reply to the second
        assert script.times == [0.0, 0.75]


async def test_a_late_reply_from_another_node_is_not_taken(autojump_clock: MockClock) -> None:
    """Each attempt takes the reply of the node that was asked only, in time or late; the others have their counter."""
    node = Node()
    async with running(node) as network, scripted(network, [], [(0.25, {"type": "ask_ok", "x": 2})]):

        async def interfere() -> None:
            for at, number in ((0.25, 1), (0.625, 1), (0.875, 2), (0.875, 1)):
                await trio.sleep_until(at)
                await network.send("n3", {"type": "ask_ok", "x": "wrong", "in_reply_to": number})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(interfere)
            retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
            assert trio.current_time() == 1.0
        assert (retried.reply["x"], retried.attempts) == (2, 2)
        assert (node.stats.foreign_replies, node.stats.late_replies) == (4, 0)
        assert_nothing_left(node)


async def test_late_reply_is_taken_during_the_wait(autojump_clock: MockClock) -> None:
    """A reply that comes between two attempts ends the call there: the second is not sent, and only the part of the
    wait that passed is reported."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.625, OK)]) as script:
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 0.625
        assert retried == Retried(reply={"type": "ask_ok", "in_reply_to": 1}, attempts=1, delay=0.125)
        assert_nothing_left(node)
        assert (node.stats.late_replies, node.stats.abandoned, node.stats.reaped) == (1, 0, 1)
        await trio.sleep(5)
        assert script.times == [0.0]


async def test_late_reply_to_the_first_of_many_attempts_is_taken(autojump_clock: MockClock) -> None:
    """However many attempts lie between, a late reply is in time for the call."""
    node = Node()
    async with running(node) as network, scripted(network, [(3.5, OK)]):
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=4)
        assert trio.current_time() == 3.5
        assert (retried.reply["in_reply_to"], retried.attempts, retried.delay) == (1, 4, 1.75)
    assert_nothing_left(node)


async def test_late_reply_comes_again(autojump_clock: MockClock) -> None:
    """A duplicate of a late reply is counted and dropped, and does the call no harm."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.625, OK), (0.625, OK), (1.0, OK)]):
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert retried.attempts == 1
        await trio.sleep(1)
        assert (node.stats.late_replies, node.stats.duplicate_replies, node.stats.unknown_replies) == (3, 0, 0)
    assert_nothing_left(node)


async def test_late_refusals_come_again_and_again(autojump_clock: MockClock) -> None:
    """However often an old attempt is refused late, there is room for it, and the call goes on."""
    node = Node()
    refusals = [(0.625, error(11))] * 20
    async with running(node) as network, scripted(network, refusals, refusals, [(0, OK)]):
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=3)
        assert retried == Retried(reply={"type": "ask_ok", "in_reply_to": 3}, attempts=3, delay=0.75)
        assert (node.stats.late_replies, node.stats.answered) == (40, 1)
    assert_nothing_left(node)


async def test_late_reply_may_come_many_times_at_once(mock_clock: MockClock) -> None:
    """Of a batch of late replies to one attempt the first is taken, and the others are counted and dropped."""
    node = Node()
    async with running(node) as network, trio.open_nursery() as nursery:
        retried: list[Retried[Body]] = []

        async def call() -> None:
            retried.append(await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=2))

        nursery.start_soon(call)
        await network.receive()
        mock_clock.jump(0.5)
        await wait_all_tasks_blocked()
        await network.send_bytes(line({"type": "ask_ok", "in_reply_to": 1}, src="n2") * 20)
        await wait_all_tasks_blocked()
        assert [outcome.attempts for outcome in retried] == [1]
        assert node.stats.late_replies == 20
    assert_nothing_left(node)


@pytest.mark.parametrize("late", [0.625, 1.0])
async def test_late_refusal_of_an_old_attempt_ends_neither_wait_nor_attempt(
    late: float, autojump_clock: MockClock
) -> None:
    """Error 11 that comes late changes nothing: the next attempt begins when it was to begin, and waits its time."""
    node = Node()
    async with running(node) as network, scripted(network, [(late, error(11))], [(0.375, OK)]) as script:
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert script.times == [0.0, 0.75]
        assert trio.current_time() == 1.125
        assert retried == Retried(reply={"type": "ask_ok", "in_reply_to": 2}, attempts=2, delay=0.25)
    assert_nothing_left(node)


@pytest.mark.parametrize("late", [0.625, 1.0])
async def test_late_error_of_another_kind_ends_the_call(late: float, autojump_clock: MockClock) -> None:
    """A late reply that is an error not worth another attempt is the answer, like any other."""
    node = Node()
    async with running(node) as network, scripted(network, [(late, error(20))]):
        with pytest.raises(RpcError) as caught:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert (caught.value.code, trio.current_time()) == (20, late)
        assert_nothing_left(node)


async def test_reply_after_the_call_is_dropped(autojump_clock: MockClock) -> None:
    """When the call has ended, replies to its attempts are counted as late and go nowhere."""
    node = Node()
    async with running(node) as network, scripted(network, [(4.0, OK)], [(4.0, OK)]):
        with pytest.raises(RetriesExhausted):
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=2)
        assert_nothing_left(node)
        await trio.sleep(8)
        assert node.stats.late_replies == 2


async def reply_around_expiry(passes: int, attempts: int, mock_clock: MockClock) -> tuple[list[Retried[Body]], Node]:
    """Make a call whose first attempt is replied to that many passes of the scheduler after its deadline, or if
    negative just before; return what it returned, if it did."""
    node = Node()
    retried: list[Retried[Body]] = []

    async def call() -> None:
        with contextlib.suppress(RetriesExhausted):
            retried.append(await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=attempts))

    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(call)
        request = await network.receive()
        await wait_all_tasks_blocked()
        if passes < 0:
            await network.reply(request, OK)
        mock_clock.jump(0.5)
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        if passes >= 0:
            await network.reply(request, OK)
        await wait_all_tasks_blocked()
        returned = retried.copy()
        nursery.cancel_scope.cancel()
    assert_nothing_left(node)
    return returned, node


@pytest.mark.slow
@pytest.mark.parametrize("passes", [-1, 0, 1, 2, 3])
async def test_reply_around_the_moment_of_expiry_is_taken(passes: int, mock_clock: MockClock) -> None:
    """A reply that comes when the reaper has just closed its attempt, before the caller could run, is not lost: in
    whichever order the tasks run, the first attempt is the one that succeeds."""
    for _ in range(32):
        retried, _ = await reply_around_expiry(passes, 6, mock_clock)
        assert [outcome.attempts for outcome in retried] == [1]


@pytest.mark.slow
@pytest.mark.parametrize("passes", [-1, 0, 1, 2, 3])
async def test_reply_around_the_end_of_the_last_attempt_is_taken_or_counted(passes: int, mock_clock: MockClock) -> None:
    """A reply that meets the end of the whole call is its answer or comes too late, and is counted once either way."""
    for _ in range(32):
        _, node = await reply_around_expiry(passes, 1, mock_clock)
        assert node.stats.answered + node.stats.late_replies == 1
