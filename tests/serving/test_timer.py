"""Timers that can be reset: when they expire, who waits, and that a seed repeats them."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Node, Timer


async def times(timer: Timer, resets: list[float]) -> float:
    """Reset *timer* at these times, and return when a task that waits for it goes on."""
    expired: list[float] = []

    async def wait() -> None:
        await timer.wait()
        expired.append(trio.current_time())

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for at in resets:
            await trio.sleep_until(start + at)
            timer.reset()
    return expired[0] - start


@pytest.mark.parametrize(
    ("resets", "expires"), [([0.0], 1.0), ([0.5], 1.5), ([0.0, 0.5], 1.5), ([0.0, 0.75, 1.5], 2.5), ([0.0, 1.5], 1.0)]
)
async def test_timer_expires_some_time_after_its_last_reset(
    resets: list[float], expires: float, autojump_clock: MockClock
) -> None:
    """It does not run before the first one, and one that comes too late changes nothing for who has waited."""
    assert await times(Node().timer(1), resets) == expires


async def test_timer_that_has_expired_stays_so(autojump_clock: MockClock) -> None:
    """Until it is reset, who waits for it goes on at once; a stopped one lets nobody go on."""
    timer = Node().timer(1)
    timer.reset()
    await trio.sleep(2)
    before = trio.current_time()
    await timer.wait()
    assert trio.current_time() == before
    timer.reset()
    timer.stop()
    assert timer.deadline == math.inf
    with trio.move_on_after(5) as scope:
        await timer.wait()
    assert scope.cancelled_caught


async def test_timer_wakes_everybody_who_waits(autojump_clock: MockClock) -> None:
    """A task that is cancelled while it waits takes nothing from the others."""
    timer, woken = Node().timer(1), list[int]()

    async def wait(number: int) -> None:
        await timer.wait()
        woken.append(number)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as cancelled:
            cancelled.start_soon(wait, 0)
            for number in (1, 2):
                nursery.start_soon(wait, number)
            await wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        timer.reset()
    assert sorted(woken) == [1, 2]


async def test_wait_is_always_a_checkpoint(autojump_clock: MockClock) -> None:
    """So a loop around it can be cancelled, even if the timer has expired."""
    timer = Node().timer(0)
    timer.reset()
    with trio.CancelScope() as scope:
        scope.cancel()
        await timer.wait()
    assert scope.cancelled_caught


async def test_jitter_is_drawn_anew_from_the_nodes_random(autojump_clock: MockClock) -> None:
    """Each reset draws, within the limits, and the same seed draws the same."""

    async def drawn(seed: int) -> list[float]:
        timer = Node(seed=seed).timer(1, jitter=0.5)
        found = []
        for _ in range(20):
            timer.reset()
            found.append(timer.deadline - trio.current_time())
        return found

    first = await drawn(1)
    assert all(1 <= each <= 1.5 for each in first)
    assert len(set(first)) == 20
    assert first == await drawn(1) != await drawn(2)


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_times_that_mean_nothing_are_refused(value: float) -> None:
    """The text names the value and what to give."""
    with pytest.raises(ValueError, match=rf"^the time of a timer is {value} s; give a finite number of 0 s or more$"):
        Node().timer(value)
    with pytest.raises(ValueError, match=rf"^the jitter is {value} s; give a finite number of 0 s or more$"):
        Node().timer(1, jitter=value)
