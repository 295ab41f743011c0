"""Deadlines in the timing wheel: nothing expires early, and what has ended takes no room."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings, strategies as st
from support.pending_table import BUCKET, Desk
from trio.testing import MockClock

from trio_messenger import RpcTimeout
from trio_messenger._rpc.table import SLICE, PendingTable


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(0, 2**22), st.floats(0, 2**22))
@example(0.0, 0.0)
@example(0.1, 0.2)
@example(1.0, BUCKET)
@example(1.0, math.nextafter(BUCKET, 1))
@example(1.0, math.nextafter(BUCKET, 0))
def test_expiry_is_never_early_and_at_most_a_bucket_late(start: float, timeout: float) -> None:
    """From any time and for any timeout, an RPC expires at its deadline or up to 1/128 s after it, not before."""

    async def main() -> None:
        clock.jump(start)
        for callbacks in (False, True):
            desk = Desk(callbacks)
            desk.open(0, timeout)
            [rpc] = desk.table
            assert rpc.deadline == start + timeout
            due = desk.table.next_due()
            assert Fraction(rpc.deadline) <= Fraction(due) < Fraction(rpc.deadline) + Fraction(1, 128)
            assert desk.table.expire_slice(math.nextafter(due, -1)) == 0
            assert desk.table.expire_slice(due) == 1

    clock = MockClock()
    trio.run(main, clock=clock)


async def test_a_deadline_on_the_edge_of_a_bucket_is_exact(desk: Desk, mock_clock: MockClock) -> None:
    """A deadline that is a multiple of 1/128 s is kept to the instant."""
    for number, timeout in enumerate((0.0, BUCKET, 0.25, 0.5, 1.0, 2.0, 2.0 + BUCKET)):
        desk.open(number, timeout)
        assert desk.table.next_due() == timeout
        assert desk.table.expire_slice(timeout) == 1


async def test_the_earliest_expire_first(desk: Desk, mock_clock: MockClock) -> None:
    """Records expire in the order of their deadlines, those of one bucket in the order of sending."""
    timeouts = [3.0, 1.0, 2.0, 1.0, 0.5, math.inf, 0.5 - BUCKET / 2, 2.0]
    for number, timeout in enumerate(timeouts):
        desk.open(number, timeout)
    while desk.table.expire_slice(10.0):
        pass
    assert [rpc.msg_id for rpc in desk.ended()] == [4, 6, 1, 3, 2, 7, 0]
    assert [rpc.msg_id for rpc in desk.table] == [5]


async def test_expiry_comes_in_slices(desk: Desk, mock_clock: MockClock) -> None:
    """However many are due at once, one call ends `SLICE` of them at the most, none twice, none left out."""
    for number in range(2 * SLICE + 10):
        desk.open(number)
    sizes = [desk.table.expire_slice(1.0) for _ in range(4)]
    assert sizes == [SLICE, SLICE, 10, 0]
    assert [rpc.msg_id for rpc in desk.ended()] == list(range(2 * SLICE + 10))
    assert desk.stats.reaped == 2 * SLICE + 10


async def test_both_kinds_share_a_slice(mock_clock: MockClock) -> None:
    """Where both kinds are due at once, a slice has room for `SLICE` of them, in the order of sending."""
    desk = Desk()
    for number in range(0, 2 * SLICE + 20, 2):
        desk.open(number)
        desk.table.open_callback(number + 1, "n2", 1.0, print)
    assert [desk.table.expire_slice(1.0) for _ in range(4)] == [SLICE, SLICE, 20, 0]
    assert [rpc.msg_id for rpc in desk.ended()] == list(range(2 * SLICE + 20))


async def test_slices_that_were_answered_are_passed_over(desk: Desk, mock_clock: MockClock) -> None:
    """A slice whose RPCs have all been answered does not hide those behind it, nor count as the end."""
    for number in range(3 * SLICE):
        desk.open(number)
    for number in range(SLICE, 2 * SLICE):
        desk.table.settle(number, "n2", {})
    desk.ended()
    assert [desk.table.expire_slice(1.0) for _ in range(3)] == [SLICE, SLICE, 0]
    assert [rpc.msg_id for rpc in desk.ended()] == [*range(SLICE), *range(2 * SLICE, 3 * SLICE)]


async def test_a_bucket_that_was_answered_is_not_due(desk: Desk, mock_clock: MockClock) -> None:
    """Several slices in a row that have all been answered count as nothing, at the end of a bucket or in it."""
    for number in range(5 * SLICE):
        desk.open(number)
    for number in (*range(2 * SLICE), *range(3 * SLICE, 5 * SLICE)):
        desk.table.settle(number, "n2", {})
    assert [desk.table.expire_slice(1.0) for _ in range(2)] == [SLICE, 0]
    assert desk.table.next_due() == math.inf


async def test_a_bucket_that_is_being_swept_may_be_answered(desk: Desk, mock_clock: MockClock) -> None:
    """RPCs that are answered between the slices in which their bucket expires do not expire; the others do."""
    for number in range(6 * SLICE):
        desk.open(number)
    assert desk.table.expire_slice(1.0) == SLICE
    for number in range(SLICE + 1, 6 * SLICE - 1):
        desk.table.settle(number, "n2", {})
    desk.ended()
    assert desk.numbers() == [SLICE, 6 * SLICE - 1]
    assert [desk.table.expire_slice(1.0) for _ in range(2)] == [2, 0]
    assert [rpc.msg_id for rpc in desk.ended()] == [SLICE, 6 * SLICE - 1]


async def test_a_bucket_that_is_being_swept_takes_more(desk: Desk, mock_clock: MockClock) -> None:
    """An RPC that falls into a bucket whose slices are being expired is expired with it."""
    desk.open(0)
    assert desk.table.expire_slice(1.0) == 1
    desk.open(1)
    assert desk.table.next_due() == 1.0
    assert desk.table.expire_slice(1.0) == 1
    assert [rpc.msg_id for rpc in desk.ended()] == [0, 1]


@pytest.mark.parametrize("seconds", [math.inf, 1e308])
async def test_a_timeout_beyond_all_time_never_comes(desk: Desk, seconds: float, mock_clock: MockClock) -> None:
    """An RPC without end waits for ever, and every other way out is open to it."""
    for number in range(3):
        desk.open(number, seconds)
    assert desk.table.next_due() == math.inf
    assert desk.table.expire_slice(1e300) == 0
    assert desk.numbers() == [0, 1, 2]
    desk.table.settle(0, "n2", {})
    desk.forget(1)
    assert desk.numbers() == [2]
    desk.table.close()
    assert desk.counts() == {"rpcs": 3, "answered": 1, "abandoned": 1, "closed": 1}


async def test_a_timeout_of_ages_is_kept(desk: Desk, mock_clock: MockClock) -> None:
    """A deadline that is far but can be reached is due when it is reached."""
    desk.open(0, 1e300)
    assert desk.table.next_due() == 1e300
    assert desk.table.expire_slice(math.nextafter(1e300, 0)) == 0
    assert desk.table.expire_slice(1e300) == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((-1.0, "-1.0"), (-5e-324, "-5e-324"), (-math.inf, "-inf"), (math.nan, "nan"), (-1, "-1")),
        (10**309, f"1{'0' * 309}"),  # more than a float can hold
    ],
)
async def test_a_timeout_that_is_none_is_refused(desk: Desk, seconds: float, shown: str, mock_clock: MockClock) -> None:
    """A negative timeout, or NaN, is the caller's mistake: nothing is registered or counted."""
    text = f"^the timeout of an RPC is {shown} s; give 0 or more, or math.inf to wait forever$"
    with pytest.raises(ValueError, match=text):
        desk.open(1, seconds)
    assert len(desk.table) == 0
    assert desk.table.next_due() == math.inf
    assert desk.counts() == {}


async def test_next_due_is_that_of_the_first_who_waits(desk: Desk, mock_clock: MockClock) -> None:
    """`next_due` follows the earliest record that is still there, and is infinite without one."""
    assert desk.table.next_due() == math.inf
    desk.open(0, 2.0)
    desk.open(1, 1.0)
    assert desk.table.next_due() == 1.0
    desk.table.settle(1, "n2", {})
    assert desk.table.next_due() == 2.0
    desk.open(2, 1.0)
    assert desk.table.next_due() == 1.0
    assert desk.table.expire_slice(1.0) == 1
    desk.forget(0)
    assert desk.table.next_due() == math.inf


async def test_whoever_sleeps_is_told_of_earlier_deadlines_only(desk: Desk, mock_clock: MockClock) -> None:
    """`on_earlier` is called with the new `next_due` when a record brings it forward, and not otherwise."""
    told: list[float] = []
    desk.table.on_earlier = told.append
    for number, timeout in enumerate((2.0, 3.0, 2.0, 1.0, 1.0, math.inf, 1.5, 0.999)):
        desk.open(number, timeout)
    assert told == [2.0, 1.0]  # 0.999 s falls into the bucket of 1.0 s
    desk.open(9, 0.0)
    assert told == [2.0, 1.0, 0.0]


async def test_an_answered_bucket_is_told_again(desk: Desk, mock_clock: MockClock) -> None:
    """A record in the bucket of an answered one is due there, whether or not the empty bucket was cleared away."""
    told: list[float] = []
    desk.table.on_earlier = told.append
    desk.open(0, 1.0)
    desk.forget(0)
    desk.open(1, 1.0)
    assert desk.table.next_due() == 1.0
    desk.table.settle(1, "n2", {})
    assert desk.table.next_due() == math.inf
    desk.open(2, 1.0)
    assert desk.table.next_due() == 1.0
    assert told == [1.0, 1.0]


def assert_leave_no_room_taken(desk: Desk, end: Callable[[range], None]) -> None:
    """Assert that 10,000 RPCs take room, and that when they have come to their *end* none of it is taken."""

    def hold(numbers: range) -> tuple[int, int]:
        before = tracemalloc.get_traced_memory()[0]
        for msg_id in numbers:
            desk.open(msg_id)
        held = tracemalloc.get_traced_memory()[0] - before
        end(numbers)
        assert len(desk.ended()) == len(numbers)
        desk.forget_all()
        return held, tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        hold(range(1000))
        held, kept = hold(range(1000, 11_000))
    finally:
        tracemalloc.stop()
    assert held > 10_000 * 40
    assert kept < 20_000  # a number that stayed for each would be 80,000


@pytest.mark.every_python
@pytest.mark.slow
async def test_an_empty_table_takes_no_room(desk: Desk, mock_clock: MockClock) -> None:
    """When the last of many RPCs has expired, the table takes as much room as one that never held many."""

    def expire(_: range) -> None:
        while desk.table.expire_slice(1.0):
            pass

    assert_leave_no_room_taken(desk, expire)


@pytest.mark.every_python
@pytest.mark.slow
async def test_answered_callback_rpcs_take_no_room(mock_clock: MockClock) -> None:
    """When the last of many callback RPCs was answered, their table takes as much room as if there had been few."""
    desk = Desk(callbacks=True)

    def answer(numbers: range) -> None:
        for msg_id in numbers:
            desk.table.settle(msg_id, "n2", {})

    assert_leave_no_room_taken(desk, answer)


@pytest.mark.every_python
@pytest.mark.slow
async def test_callback_rpcs_one_after_another_take_no_room(mock_clock: MockClock) -> None:
    """Where each callback RPC is answered before the next is sent, nothing adds up."""
    desk = Desk(callbacks=True)

    def ask(numbers: range) -> int:
        for msg_id in numbers:
            desk.open(msg_id)
            desk.table.settle(msg_id, "n2", {})
        assert len(desk.ended()) == len(numbers)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = ask(range(1000))
        assert ask(range(1000, 6000)) - before < 5000  # a byte for each
    finally:
        tracemalloc.stop()


@pytest.mark.every_python
@pytest.mark.slow
async def test_a_callback_rpc_takes_little_room(mock_clock: MockClock) -> None:
    """A callback RPC that waits takes less than 64 bytes, where every second message is one."""
    desk = Desk(callbacks=True)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for msg_id in range(0, 20_000, 2):
            desk.open(msg_id)
        assert (tracemalloc.get_traced_memory()[0] - before) / 10_000 < 64
    finally:
        tracemalloc.stop()


async def test_what_cannot_be_sent_adds_up_to_nothing(desk: Desk, mock_clock: MockClock) -> None:
    """However often the next RPC cannot be sent, its number stays free, and the deadlines of the attempts mean
    nothing."""
    for _ in range(1000):
        desk.open(0, 1.0)
        desk.forget(0)
    desk.open(0, 2.0, "n3")
    desk.open(1, 1.0)
    assert desk.numbers() == [0, 1]
    assert desk.table.expire_slice(1.0) == 1
    assert desk.table.expire_slice(1.5) == 0
    assert desk.table.expire_slice(2.0) == 1
    assert [(rpc.msg_id, rpc.dest) for rpc in desk.ended()] == [(1, "n2"), (0, "n3")]


def buckets_of(table: PendingTable) -> int:
    """Return the number of buckets, each of which the heap is to have once."""
    wheel = table._wheel
    assert sorted(wheel._ticks) == sorted(wheel._buckets)
    return len(wheel._buckets)


@pytest.mark.slow
async def test_answered_rpcs_leave_no_buckets(desk: Desk, mock_clock: MockClock) -> None:
    """However many RPCs with deadlines far away and all different are answered, few buckets wait for those; an RPC
    among them that is not answered expires at its time."""
    waiting = {}
    most = 0
    for number in range(20_000):
        timeout = 60.0 + number / 64
        desk.open(number, timeout)
        if number % 2000 == 1000:
            waiting[number] = timeout
        elif number % 2:
            desk.table.settle(number, "n2", {})
        else:
            desk.forget(number)
        most = max(most, len(desk.table._wheel._buckets))
    assert most <= 1024
    assert buckets_of(desk.table) <= 1024
    desk.ended()
    assert desk.numbers() == list(waiting)
    for number, timeout in waiting.items():
        assert desk.table.next_due() == timeout
        assert desk.table.expire_slice(timeout - BUCKET) == 0
        assert desk.table.expire_slice(timeout) == 1
        assert [(rpc.msg_id, type(rpc.outcome)) for rpc in desk.ended()] == [(number, RpcTimeout)]
    assert desk.table.next_due() == math.inf
    assert buckets_of(desk.table) == 0


@pytest.mark.slow
async def test_buckets_that_are_needed_all_stay(desk: Desk, mock_clock: MockClock) -> None:
    """Where more RPCs wait than that, each has its bucket and expires at its time; then buckets become few again."""
    for number in range(5000):
        desk.open(number, 10.0 + number * BUCKET)
    assert buckets_of(desk.table) == 5000
    for number in range(2500, 5000):
        desk.table.settle(number, "n2", {})
    desk.ended()
    for number in range(2500):
        assert desk.table.next_due() == 10.0 + number * BUCKET
        assert desk.table.expire_slice(10.0 + number * BUCKET) == 1
        assert [rpc.msg_id for rpc in desk.ended()] == [number]
    assert desk.table.next_due() == math.inf
    most = 0
    for number in range(5000, 25_000):
        desk.open(number, 100.0 + number * BUCKET)
        desk.table.settle(number, "n2", {})
        most = max(most, len(desk.table._wheel._buckets))
    assert most <= 2 * 4096 + 1
    assert buckets_of(desk.table) <= 1024


async def test_dropping_buckets_wakes_nobody_too_late(desk: Desk, mock_clock: MockClock) -> None:
    """Whoever sleeps until the first deadline is told of an earlier one, though empty buckets were dropped for it."""
    told: list[float] = []
    desk.table.on_earlier = told.append
    for number in range(1024):
        desk.open(number, 50.0 + number)
        desk.table.settle(number, "n2", {})
    assert told == [50.0]
    desk.open(2000, 2000.0)
    assert told == [50.0, 2000.0]
    assert buckets_of(desk.table) == 1
    desk.open(2001, 3000.0)
    desk.open(2002, 40.0)
    assert told == [50.0, 2000.0, 40.0]
    assert desk.table.next_due() == 40.0


async def test_dropping_buckets_keeps_the_order_of_the_others(desk: Desk, mock_clock: MockClock) -> None:
    """In whatever order the deadlines were set that remain when empty buckets are dropped, the earliest is first."""
    for number in range(1024):
        desk.open(number, 5000.0 - number)
        if number not in (1, 500, 1000):
            desk.table.settle(number, "n2", {})
    desk.open(2000, 4800.5)
    assert buckets_of(desk.table) == 4
    for deadline in (4000.0, 4500.0, 4800.5, 4999.0):
        assert desk.table.next_due() == deadline
        assert desk.table.expire_slice(deadline) == 1


@pytest.mark.every_python
@pytest.mark.slow
async def test_dropped_buckets_are_freed(desk: Desk, mock_clock: MockClock) -> None:
    """What the buckets took that were dropped is free again, though nothing collects it."""

    def use(numbers: range) -> int:
        for number in numbers:
            desk.open(number, 60.0 + number)
            desk.table.settle(number, "n2", {})
        desk.ended()
        desk.forget_all()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = use(range(5000))
        assert use(range(5000, 10_000)) - before < 125_000  # a bucket takes more than 25 bytes
    finally:
        tracemalloc.stop()
