"""Periodic work: when it is done, that it neither drifts nor overlaps, and when it stops."""

from __future__ import annotations

import logging
import math
import re
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Node
from trio_messenger.testing import running


class Work:
    """Something to do periodically that takes *seconds*; remembers when it began and ended."""

    def __init__(self, *seconds: float) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []
        self._seconds = seconds

    def quick(self) -> None:
        self.began.append(trio.current_time())

    async def slow(self) -> None:
        self.began.append(trio.current_time())
        await trio.sleep(self._seconds[(len(self.began) - 1) % len(self._seconds)])
        self.ended.append(trio.current_time())


async def test_plain_function_is_called_at_each_multiple_of_the_period(autojump_clock: MockClock) -> None:
    """The first call comes one period after init, and so on, exactly."""
    node, work = Node(), Work()
    node.every(0.5, work.quick)
    async with running(node):
        await trio.sleep(2.25)
    assert work.began == [0.5, 1.0, 1.5, 2.0]


async def test_nothing_is_called_before_its_time(mock_clock: MockClock) -> None:
    """A hair before the period is over nothing has been called yet."""
    node, work = Node(), Work()
    node.every(0.5, work.quick)
    async with running(node):
        mock_clock.jump(0.5 - 2**-20)
        await wait_all_tasks_blocked()
        assert work.began == []
        mock_clock.jump(2**-20)
        await wait_all_tasks_blocked()
        assert work.began == [0.5]


async def test_slow_function_does_not_make_it_drift(autojump_clock: MockClock) -> None:
    """Whatever a call takes, less than the period, the next begins when it would have begun anyway."""
    node, work = Node(), Work(0.25, 0.4375, 0.0)
    node.every(0.5, work.slow)
    async with running(node):
        await trio.sleep(3.25)
    assert work.began == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


async def test_periods_that_are_no_binary_fractions_do_not_drift(autojump_clock: MockClock) -> None:
    """After a thousand turns of a tenth of a second none was skipped, and the last is where it belongs."""
    node, work = Node(), Work()
    node.every(0.1, work.quick)
    async with running(node):
        await trio.sleep(100.05)
    assert work.began == pytest.approx([0.1 * turn for turn in range(1, 1001)], abs=1e-9)


async def test_calls_never_overlap_and_missed_turns_are_skipped(autojump_clock: MockClock) -> None:
    """While a call runs no other begins; times that passed meanwhile are not made up for, and the beat is kept."""
    node, work = Node(), Work(1.25, 0.0, 2.125)
    node.every(0.5, work.slow)
    async with running(node):
        await trio.sleep(6.375)
    assert work.began == [0.5, 2.0, 2.5, 5.0]
    assert work.ended == [1.75, 2.0, 4.625, 6.25]


async def test_two_series_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    """Each series is a task of its own, and the same function may be in several."""
    node, slow, quick = Node(), Work(10.0), Work()
    node.every(0.5, slow.slow)
    node.every(0.5, quick.quick)
    node.every(0.75, quick.quick)
    async with running(node):
        await trio.sleep(1.625)
    assert slow.began == [0.5]
    assert quick.began == [0.5, 0.75, 1.0, 1.5, 1.5]


async def jittered(seed: int) -> list[float]:
    node, work = Node(seed=seed), Work()
    node.every(0.5, work.quick, jitter=0.375)
    start = trio.current_time()
    async with running(node):
        await trio.sleep(20.4)
    return [began - start for began in work.began]


async def test_jitter_lengthens_each_turn_by_the_nodes_random(autojump_clock: MockClock) -> None:
    """Each call begins up to the jitter after its turn, by the next number of the node's seed, and does not drift."""
    random = Random(7)
    times = await jittered(7)
    assert times == pytest.approx([turn * 0.5 + random.uniform(0, 0.375) for turn in range(1, 41)], abs=1e-9)
    assert all(turn * 0.5 <= began <= turn * 0.5 + 0.375 for turn, began in enumerate(times, start=1))


async def test_jitter_repeats_with_the_seed(autojump_clock: MockClock) -> None:
    """The same seed gives the same times, another seed others."""
    assert await jittered(7) == pytest.approx(await jittered(7), abs=1e-9)
    assert await jittered(7) != pytest.approx(await jittered(8), abs=1e-3)


async def test_it_begins_when_init_came(autojump_clock: MockClock) -> None:
    """Turns are counted from init, not from when the node was made or began to serve."""
    node, work = Node(), Work()
    node.every(0.5, work.quick)
    async with running(node, init=False) as network:
        await trio.sleep(0.875)
        assert work.began == []
        await network.send("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1"]})
        await trio.sleep(1.25)
    assert work.began == [1.375, 1.875]


async def test_it_can_be_added_while_the_node_serves(autojump_clock: MockClock) -> None:
    """Added by a handler, its turns are counted from then."""
    node, work = Node(), Work(0.0)

    @node.on("start")
    def start() -> Body:
        node.every(0.5, work.slow)
        return {}

    async with running(node) as network:
        await trio.sleep(0.75)
        await network.request("start")
        await trio.sleep(1.25)
    assert work.began == [1.25, 1.75]


async def test_it_stops_when_the_node_closes(autojump_clock: MockClock) -> None:
    """No call begins after the last message has come in, though a handler still is at work then."""
    node, work = Node(grace=5.0), Work()
    node.every(0.5, work.quick)

    @node.on("wait")
    async def wait() -> Body:
        await trio.sleep(3.0)
        return {}

    async with running(node) as network:
        await network.send("c1", {"type": "wait", "msg_id": 1})
        await trio.sleep(1.25)
    assert work.began == [0.5, 1.0]
    assert trio.current_time() == 3.0


async def test_call_at_work_is_cancelled_when_the_node_closes(autojump_clock: MockClock) -> None:
    """Closing does not wait for the call that runs; it is cancelled at its checkpoint."""
    node, work = Node(), Work(60.0)
    node.every(0.5, work.slow)
    async with running(node):
        await trio.sleep(1.0)
    assert (work.began, work.ended, trio.current_time()) == ([0.5], [], 1.0)


async def test_call_that_raises_ends_its_series_only(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged and counted, its series ends, and the node and other series go on."""
    node, work = Node(), Work()
    calls = []

    def fail() -> None:
        calls.append(trio.current_time())
        raise KeyError("x")

    node.every(0.5, fail)
    node.every(0.5, work.quick)
    async with running(node):
        await trio.sleep(1.25)
    assert calls == [0.5]
    assert work.began == [0.5, 1.0]
    assert node.stats.handler_failures == 1
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == f"background task {fail!r} failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


async def test_in_strict_mode_what_a_call_raises_leaves_serve(autojump_clock: MockClock) -> None:
    """A test of a node with periodic work fails where that work does."""
    node = Node(strict=True)
    node.every(0.5, lambda: 1 / 0)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with running(node):
            await trio.sleep(1.25)


@pytest.mark.parametrize("seconds", [0, 0.0, -0.5, 1e-308, 9e-7, math.nan, math.inf])
def test_period_is_a_finite_number_of_a_microsecond_or_more(seconds: float) -> None:
    """Any other is refused with a text that says what to give."""
    with pytest.raises(ValueError, match=f"^the period is {seconds} s; give a finite number of 1e-06 s or more$"):
        Node().every(seconds, print)


@pytest.mark.parametrize("jitter", [-0.25, 0.5, 1.0, math.nan, math.inf])
def test_jitter_is_less_than_the_period(jitter: float) -> None:
    """A negative one is refused, and one that could make a turn come after the next."""
    text = f"the jitter is {jitter} s; give 0 or more, and less than the period of 0.5 s"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Node().every(0.5, print, jitter=jitter)


async def test_refused_period_starts_nothing(autojump_clock: MockClock) -> None:
    """After a refusal there is no series that was half begun."""
    node, work = Node(), Work()
    with pytest.raises(ValueError, match=r"^the jitter is 1\.0 s; .*"):
        node.every(0.5, work.quick, jitter=1.0)
    async with running(node):
        await trio.sleep(2.0)
    assert work.began == []
