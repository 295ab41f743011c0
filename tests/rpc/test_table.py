"""The table of pending RPCs: nothing stays in it, nothing expires early, and every reply is accounted for."""

from __future__ import annotations

import gc
import itertools
import logging
import math
import random
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction

import attrs
import pytest
import trio
from hypothesis import HealthCheck, example, given, settings, strategies as st
from trio.testing import MockClock

from trio_messenger import PendingRpc, RpcTimeout, Stats
from trio_messenger._rpc import columns, table, wheel
from trio_messenger._rpc.record import Callback
from trio_messenger._rpc.table import REMEMBERED, SLICE, PendingTable

BUCKET = 1 / 128


class Desk:
    """A table, its counters, and the one channel into which its RPCs end.

    Args:
      callbacks: Let `open` register callback RPCs, instead of such as a task waits for.
    """

    def __init__(self, callbacks: bool = False) -> None:
        self.stats = Stats()
        self.send_channel, self._receive_channel = trio.open_memory_channel[PendingRpc](math.inf)
        self.table = PendingTable(self.stats, self.send_channel)
        self._callbacks = callbacks
        self._opened: dict[int, PendingRpc] = {}

    def open(self, msg_id: int, timeout: float = 1.0, dest: str = "n2", callback: Callback = print) -> None:
        """Register an RPC; *callback* is for those that have one."""
        if self._callbacks:
            self.table.open_callback(msg_id, dest, timeout, callback)
        else:
            self._opened[msg_id] = self.table.open(msg_id, dest, timeout, self.send_channel)

    def forget(self, msg_id: int) -> None:
        """Take out the RPC that had that number last."""
        if self._callbacks:
            self.table.forget_callback(msg_id)
        else:
            self.table.forget(self._opened[msg_id])

    def forget_all(self) -> None:
        """Keep no records, as whoever waited for them would not."""
        self._opened.clear()

    def ended(self) -> list[PendingRpc]:
        """Take what has ended since the last time."""
        return [*self._take()]

    def _take(self) -> Iterator[PendingRpc]:
        while self._receive_channel.statistics().current_buffer_used:
            yield self._receive_channel.receive_nowait()

    def numbers(self) -> list[int]:
        """Return the numbers of what is pending, in the order of the table."""
        return [rpc.msg_id for rpc in self.table]

    def counts(self) -> dict[str, int]:
        """Return the counters that are not 0."""
        return self.stats.counters()


@pytest.fixture(params=["awaited", "callback"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """A new table, at time 0; the same is to hold of either kind of RPC."""
    return Desk(callbacks=request.param == "callback")


# The ways out


async def test_a_record_knows_what_was_asked(desk: Desk, mock_clock: MockClock) -> None:
    """A record tells number, peer, time and deadline, and is what the table shows, in the order of sending."""
    mock_clock.jump(3.0)
    desk.open(0, 2.0)
    desk.open(5, math.inf, "n3")
    first, second = desk.table
    assert (first.msg_id, first.dest, first.sent_at, first.deadline, first.outcome) == (0, "n2", 3.0, 5.0, None)
    assert (second.msg_id, second.dest, second.sent_at, second.deadline) == (5, "n3", 3.0, math.inf)
    assert len(desk.table) == 2
    assert desk.counts() == {"rpcs": 2}


async def test_both_kinds_are_shown_in_one_order(mock_clock: MockClock) -> None:
    """The table shows awaited and callback RPCs together, in the order of sending; the latter have their callbacks."""
    desk = Desk()
    for msg_id in (1, 3, 200):
        desk.open(msg_id)
    for msg_id in (2, 100, 300):
        desk.table.open_callback(msg_id, "n2", 1.0, print)
    assert [(rpc.msg_id, rpc.callback) for rpc in desk.table] == [
        (1, None),
        (2, print),
        (3, None),
        (100, print),
        (200, None),
        (300, print),
    ]
    assert len(desk.table) == 6


async def test_a_reply_ends_an_rpc(desk: Desk, mock_clock: MockClock) -> None:
    """A reply takes the record out, goes into its channel, and is counted; the deadline then means nothing."""
    for msg_id in (0, 1):
        desk.open(msg_id)
    reply = {"type": "read_ok", "in_reply_to": 0}
    desk.table.settle(0, "n2", reply)
    [rpc] = desk.ended()
    assert rpc.msg_id == 0
    assert rpc.outcome is reply
    assert [rpc.msg_id for rpc in desk.table] == [1]
    assert desk.counts() == {"rpcs": 2, "answered": 1}
    mock_clock.jump(10.0)
    assert desk.table.expire_slice(10.0) == 1
    assert [rpc.msg_id for rpc in desk.ended()] == [1]


async def test_an_error_reply_ends_an_rpc_as_any_other(desk: Desk, mock_clock: MockClock) -> None:
    """An ``error`` body is a reply: the record leaves with it, and it counts as answered."""
    desk.open(7)
    desk.table.settle(7, "n2", {"type": "error", "code": 20})
    assert [rpc.outcome for rpc in desk.ended()] == [{"type": "error", "code": 20}]
    assert len(desk.table) == 0
    assert desk.counts() == {"rpcs": 1, "answered": 1}


async def test_a_deadline_ends_an_rpc(desk: Desk, mock_clock: MockClock) -> None:
    """At its deadline a record leaves with a `RpcTimeout` that says who did not answer what for how long."""
    mock_clock.jump(8.0)
    desk.open(7, 0.25)
    assert desk.table.expire_slice(8.0) == 0
    assert desk.table.expire_slice(8.25) == 1
    [rpc] = desk.ended()
    assert isinstance(rpc.outcome, RpcTimeout)
    assert str(rpc.outcome) == "no reply from 'n2' to msg_id 7 within 0.25 s"
    assert len(desk.table) == 0
    assert desk.table.next_due() == math.inf
    assert desk.table.expire_slice(1e300) == 0
    assert desk.counts() == {"rpcs": 1, "reaped": 1}


async def test_a_forgotten_rpc_ends_without_a_word(desk: Desk, mock_clock: MockClock) -> None:
    """A record whose waiter has gone leaves at once, nothing goes into its channel, and it is counted once."""
    desk.open(7)
    [rpc] = desk.table
    desk.forget(7)
    assert len(desk.table) == 0
    assert desk.table.next_due() == math.inf
    assert desk.table.expire_slice(100.0) == 0
    desk.forget(7)
    assert desk.ended() == []
    assert rpc.outcome is None
    assert desk.counts() == {"rpcs": 1, "abandoned": 1}


async def test_forgetting_what_has_ended_changes_nothing(mock_clock: MockClock) -> None:
    """Whoever forgets an RPC on its way out need not know whether it has ended, nor hits one with the same number."""
    desk = Desk()
    answered = desk.table.open(1, "n2", 1.0, desk.send_channel)
    desk.table.settle(1, "n2", {})
    desk.table.forget(answered)
    again = desk.table.open(1, "n2", 1.0, desk.send_channel)
    desk.table.forget(answered)
    assert again in desk.table
    assert desk.counts() == {"rpcs": 2, "answered": 1}


async def test_closing_ends_all_rpcs(desk: Desk, mock_clock: MockClock) -> None:
    """Closing takes all records out, each with a `trio.ClosedResourceError` that names it, in their order."""
    for msg_id, timeout in enumerate((5.0, math.inf, 1.0)):
        desk.open(msg_id, timeout)
    desk.table.close()
    assert len(desk.table) == 0
    rpcs = desk.ended()
    assert [rpc.msg_id for rpc in rpcs] == [0, 1, 2]
    for rpc in rpcs:
        assert isinstance(rpc.outcome, trio.ClosedResourceError)
        assert str(rpc.outcome) == f"the node closed before 'n2' replied to msg_id {rpc.msg_id}"
    assert desk.table.next_due() == math.inf
    assert desk.table.expire_slice(100.0) == 0
    for msg_id in range(3):
        desk.forget(msg_id)
    desk.table.close()
    assert desk.ended() == []
    assert desk.counts() == {"rpcs": 3, "closed": 3}


async def test_a_closed_table_takes_nothing(desk: Desk, mock_clock: MockClock) -> None:
    """After closing, no RPC can be opened, and the attempt is not counted as one."""
    desk.table.close()
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends no more RPCs$"):
        desk.open(1)
    assert len(desk.table) == 0
    assert desk.counts() == {}


@pytest.mark.every_python
@pytest.mark.unmeasured
async def test_nothing_of_an_ended_rpc_stays(desk: Desk, mock_clock: MockClock) -> None:
    """Whichever way an RPC leaves, the table keeps no reference to its callback, nor, in the end, to anything of it."""
    callbacks, dests = weakref.WeakSet[object](), weakref.WeakSet[object]()

    class Called:
        def __call__(self, _: object) -> None:
            """Do nothing."""

    class Dest(str):
        pass

    def open_rpc(msg_id: int, timeout: float) -> None:
        callback, dest = Called(), Dest("n2")
        callbacks.add(callback)
        dests.add(dest)
        desk.open(msg_id, timeout, dest, callback)

    def end_in_every_way() -> None:
        for msg_id in range(8):
            open_rpc(msg_id, 1.0)
        desk.table.settle(0, "n2", {})
        desk.table.settle(1, "n2", {"type": "error"})
        desk.forget(7)
        desk.forget(2)
        assert desk.table.expire_slice(5.0) == 4
        assert len(desk.ended()) == 6

    def close() -> None:
        open_rpc(8, 1.0)
        open_rpc(9, math.inf)
        desk.table.close()
        assert len(desk.ended()) == 2
        desk.forget_all()

    end_in_every_way()
    desk.forget_all()
    gc.collect()
    assert len(callbacks) == len(dests) == 0  # at once: the next 128 numbers may be a long time coming
    close()
    gc.collect()
    assert len(callbacks) == len(dests) == 0


async def test_an_error_while_sending_frees_the_number(desk: Desk, mock_clock: MockClock) -> None:
    """A number whose request was never sent may be opened again, and its reply then finds the new record."""
    desk.open(3, dest="n2")
    desk.forget(3)
    desk.open(3, dest="n3")
    desk.table.settle(3, "n3", {"type": "t_ok"})
    assert [rpc.dest for rpc in desk.ended()] == ["n3"]
    desk.table.settle(3, "n3", {"type": "t_ok"})
    assert desk.counts() == {"rpcs": 2, "abandoned": 1, "answered": 1, "duplicate_replies": 1}


async def test_a_closed_rpc_keeps_no_error(desk: Desk, mock_clock: MockClock) -> None:
    """The error of an RPC that closing ended is made anew each time, so that no traceback stays with the record."""
    desk.open(7)
    desk.table.close()
    [rpc] = desk.ended()
    errors = [rpc.outcome for _ in range(2)]
    assert [type(error) for error in errors] == [trio.ClosedResourceError] * 2
    assert [str(error) for error in errors] == ["the node closed before 'n2' replied to msg_id 7"] * 2
    assert errors[0] is not errors[1]


@pytest.mark.parametrize(("pending", "messages"), [(0, []), (3, ["RPCs closed without reply, as the node ends: 3"])])
async def test_closing_says_how_many_it_ended(
    desk: Desk, pending: int, messages: list[str], mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """RPCs that closing ends are told of in one line at INFO, once, and none at all in none."""
    caplog.set_level(logging.INFO)
    for msg_id in range(pending):
        desk.open(msg_id)
    desk.table.close()
    desk.table.close()
    assert caplog.messages == messages
    assert {record.levelno for record in caplog.records} <= {logging.INFO}


# Replies to nothing


@pytest.mark.parametrize("msg_id", [0, 1, REMEMBERED - 1, REMEMBERED, 2**40])
async def test_stray_replies_are_counted_apart(desk: Desk, msg_id: int, mock_clock: MockClock) -> None:
    """A reply is unknown before its RPC, a duplicate after its reply, late after its end; so it is for number 0."""
    desk.table.settle(msg_id, "n2", {})
    assert desk.counts() == {"unknown_replies": 1}
    desk.open(msg_id)
    desk.table.settle(msg_id, "n2", {})
    desk.table.settle(msg_id, "n2", {})
    desk.table.settle(msg_id, "n2", {})
    assert desk.counts() == {"rpcs": 1, "answered": 1, "duplicate_replies": 2, "unknown_replies": 1}
    desk.open(msg_id)
    assert desk.table.expire_slice(1.0) == 1
    desk.table.settle(msg_id, "n2", {})
    assert desk.stats.late_replies == 1
    desk.open(msg_id)
    desk.forget(msg_id)
    desk.table.settle(msg_id, "n2", {})
    assert desk.stats.late_replies == 2
    assert desk.counts() == {
        "rpcs": 3,
        "answered": 1,
        "reaped": 1,
        "abandoned": 1,
        "duplicate_replies": 2,
        "late_replies": 2,
        "unknown_replies": 1,
    }
    assert len(desk.ended()) == 2


@pytest.mark.parametrize("msg_id", [-1, -4, -REMEMBERED, 10**29, -(10**29), REMEMBERED])
async def test_a_reply_to_a_number_never_used_is_unknown(desk: Desk, msg_id: int, mock_clock: MockClock) -> None:
    """No number from the network, however odd, is mistaken for one that was used, not even one with its remainder."""
    for used in (0, REMEMBERED - 1, REMEMBERED - 4):
        desk.open(used)
        desk.table.settle(used, "n2", {})
    desk.table.settle(msg_id, "n2", {})
    assert desk.counts() == {"rpcs": 3, "answered": 3, "unknown_replies": 1}


@pytest.mark.unmeasured
async def test_old_rpcs_are_no_longer_remembered(desk: Desk, mock_clock: MockClock) -> None:
    """After as many further RPCs as are remembered, a reply to the first is unknown; to the next, a duplicate."""
    for msg_id in range(REMEMBERED + 1):
        desk.open(msg_id)
        desk.table.settle(msg_id, "n2", {})
    for msg_id in (0, 1, REMEMBERED):
        desk.table.settle(msg_id, "n2", {})
    assert (desk.stats.unknown_replies, desk.stats.duplicate_replies) == (1, 2)


async def test_stray_replies_are_told_of(desk: Desk, mock_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A late, a second and an unknown reply each have a line that says which number they had and how many there were;
    a reply in time has none."""
    for msg_id in (1, 2):
        desk.open(msg_id)
    desk.table.settle(1, "n2", {})
    assert caplog.messages == []
    desk.table.expire_slice(1.0)
    for msg_id in (1, 2, 3, 1):
        desk.table.settle(msg_id, "n2", {})
    assert caplog.messages == [
        "duplicate reply to msg_id 1 (1 so far)",
        "late reply to msg_id 2 (1 so far)",
        "unknown reply to msg_id 3 (1 so far)",
        "duplicate reply to msg_id 1 (2 so far)",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_stray_replies_are_not_all_told_of(
    desk: Desk, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 1,000 replies to nothing the first ten and then each power of two are logged, in each kind for itself."""
    for number in range(1000):
        desk.table.settle(number, "n2", {})
    desk.open(1)
    desk.table.settle(1, "n2", {})
    desk.table.settle(1, "n2", {})
    counts = [*range(1, 11), 16, 32, 64, 128, 256, 512]
    assert caplog.messages == [
        *(f"unknown reply to msg_id {count - 1} ({count} so far)" for count in counts),
        "duplicate reply to msg_id 1 (1 so far)",
    ]


async def test_the_number_of_a_stray_reply_is_told_in_short(
    desk: Desk, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """However many digits a peer puts into a number, the log has the first of them, or says that there are too many."""
    for digits in (4000, 5000):
        desk.table.settle(10**digits, "n2", {})
    assert caplog.messages == [
        f"unknown reply to msg_id 1{'0' * 119}... (1 so far)",
        "unknown reply to msg_id an unprintable int (2 so far)",
    ]


# Deadlines


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
    """Where both kinds are due at once, a slice has room for `SLICE` of them, awaited ones first."""
    desk = Desk()
    for number in range(SLICE + 10):
        desk.open(number)
        desk.table.open_callback(SLICE + 10 + number, "n2", 1.0, print)
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
@pytest.mark.unmeasured
async def test_an_empty_table_takes_no_room(desk: Desk, mock_clock: MockClock) -> None:
    """When the last of many RPCs has expired, the table takes as much room as one that never held many."""

    def expire(_: range) -> None:
        while desk.table.expire_slice(1.0):
            pass

    assert_leave_no_room_taken(desk, expire)


@pytest.mark.every_python
@pytest.mark.unmeasured
async def test_answered_callback_rpcs_take_no_room(mock_clock: MockClock) -> None:
    """When the last of many callback RPCs was answered, their table takes as much room as if there had been few."""
    desk = Desk(callbacks=True)

    def answer(numbers: range) -> None:
        for msg_id in numbers:
            desk.table.settle(msg_id, "n2", {})

    assert_leave_no_room_taken(desk, answer)


@pytest.mark.every_python
@pytest.mark.unmeasured
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
@pytest.mark.unmeasured
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


@pytest.mark.unmeasured
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


@pytest.mark.unmeasured
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
@pytest.mark.unmeasured
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


# As a collection


async def test_only_a_pending_record_is_in_the_table(desk: Desk, mock_clock: MockClock) -> None:
    """`in` asks for this very RPC: neither its number, nor another RPC of that number, will do."""
    desk.open(0)
    [rpc] = desk.table
    assert rpc in desk.table
    assert [rpc for rpc in desk.table if rpc not in desk.table] == []
    strangers: list[object] = [0, None, "n2"]
    mock_clock.jump(1.0)
    for callbacks in (False, True):
        other = Desk(callbacks)
        other.open(0)
        strangers.extend(other.table)
    assert not any(stranger in desk.table for stranger in strangers)
    desk.table.settle(0, "n2", {})
    assert rpc not in desk.table
    assert desk.ended()[0] not in desk.table


async def test_the_first_of_the_table_is_the_oldest(desk: Desk, mock_clock: MockClock) -> None:
    """Iteration is in the order of sending, whatever the deadlines and whatever has ended in between."""
    for number, timeout in enumerate((3.0, 1.0, 2.0, math.inf)):
        desk.open(number, timeout)
    desk.table.settle(0, "n2", {})
    assert desk.numbers() == [1, 2, 3]
    desk.table.expire_slice(1.0)
    assert next(iter(desk.table)).msg_id == 2


# Against a model

TIMEOUTS = st.sampled_from([0.0, BUCKET, 0.1, 0.25, 2.0, math.inf]) | st.floats(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["open", "open_callback"]), TIMEOUTS),
        st.tuples(st.just("settle"), st.integers(-1, 40)),
        st.tuples(st.just("forget"), st.integers(0, 40)),
        st.tuples(st.just("advance"), st.sampled_from([BUCKET, 0.25]) | st.floats(0, 3)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    max_size=60,
)


@attrs.define
class Model:
    """The table as one would write it without a thought for speed."""

    deadlines: dict[int, float] = attrs.field(factory=dict)
    callbacks: set[int] = attrs.field(factory=set)
    slots: dict[int, tuple[int, str]] = attrs.field(factory=dict)
    counts: dict[str, int] = attrs.field(factory=dict)
    outcomes: list[tuple[int, str]] = attrs.field(factory=list)

    def count(self, what: str) -> None:
        """Add one to a counter."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def end(self, msg_id: int, how: str) -> None:
        """Take a record out and remember how it ended, for as long as nobody needs its place."""
        del self.deadlines[msg_id]
        self.count(how)
        if how != "closed":
            self.slots[msg_id % 8] = (msg_id, "duplicate_replies" if how == "answered" else "late_replies")
        if how != "abandoned":
            self.outcomes.append((msg_id, how))

    def settle(self, msg_id: int) -> None:
        """Take a reply."""
        if msg_id in self.deadlines:
            self.end(msg_id, "answered")
            return
        known, how = self.slots.get(msg_id % 8, (msg_id, "unknown_replies"))
        self.count(how if known == msg_id else "unknown_replies")

    def due(self, msg_id: int) -> float:
        """Return when a record is to expire."""
        deadline = self.deadlines[msg_id]
        return deadline if deadline == math.inf else math.ceil(Fraction(deadline) * 128) / 128

    def expire(self, now: float) -> None:
        """End what is due, the earliest first."""
        for msg_id in sorted(self.deadlines, key=lambda msg_id: (self.due(msg_id), msg_id in self.callbacks)):
            if self.due(msg_id) <= now:
                self.end(msg_id, "reaped")

    def close(self) -> None:
        """End everything, callback RPCs last."""
        for msg_id in sorted(self.deadlines, key=self.callbacks.__contains__):
            self.end(msg_id, "closed")


HOW = {dict: "answered", RpcTimeout: "reaped", trio.ClosedResourceError: "closed"}


class Pair:
    """A table and its model, which take the same steps."""

    def __init__(self, clock: MockClock) -> None:
        self.awaited, self.callbacks, self.model = Desk(), Desk(callbacks=True), Model()
        self.callbacks.table = self.awaited.table
        self._clock = clock
        self._opened = 0
        self._closed = False

    def open(self, timeout: float) -> None:
        """Open an RPC that a task waits for, unless the table is closed."""
        self._open(self.awaited, timeout)

    def open_callback(self, timeout: float) -> None:
        """Open a callback RPC, unless the table is closed."""
        self.model.callbacks.add(self._opened)
        self._open(self.callbacks, timeout)

    def _open(self, desk: Desk, timeout: float) -> None:
        if not self._closed:
            self.model.deadlines[self._opened] = trio.current_time() + timeout
            self.model.count("rpcs")
            desk.open(self._opened, timeout)
            self._opened += 1

    def settle(self, msg_id: int) -> None:
        """Take a reply, to an RPC or to nothing."""
        self.awaited.table.settle(msg_id, "n2", {})
        self.model.settle(msg_id)

    def forget(self, msg_id: int) -> None:
        """Forget an RPC, if there was one of that number, wherever it is by now."""
        if msg_id < self._opened:
            (self.callbacks if msg_id in self.model.callbacks else self.awaited).forget(msg_id)
            if msg_id in self.model.deadlines:
                self.model.end(msg_id, "abandoned")

    def advance(self, seconds: float) -> None:
        """Let time pass, and expire what is due then."""
        self._clock.jump(seconds)
        self.model.expire(trio.current_time())
        while expired := self.awaited.table.expire_slice(trio.current_time()):
            assert expired <= 3

    def close(self, _: int) -> None:
        """Close the table, which may be closed."""
        self.awaited.table.close()
        self.model.close()
        self._closed = True

    def check(self) -> None:
        """Assert that table and model agree."""
        table, model = self.awaited.table, self.model
        assert self.awaited.numbers() == list(model.deadlines)
        assert len(table) == len(model.deadlines)
        assert table.next_due() == min(map(model.due, model.deadlines), default=math.inf)
        assert self.awaited.counts() == model.counts


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_the_table_behaves_as_its_model(steps: list[tuple[str, float]]) -> None:
    """After any steps the table holds, counts, returns and awaits what a naive table would."""

    async def main() -> None:
        pair = Pair(clock)
        for step, value in steps:
            getattr(pair, step)(value)
            pair.check()
        assert [(rpc.msg_id, HOW[type(rpc.outcome)]) for rpc in pair.awaited.ended()] == pair.model.outcomes

    clock = MockClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "SLICE", 3)
        patch.setattr(table, "REMEMBERED", 8)
        patch.setattr(columns, "_PAGE", 4)
        patch.setattr(wheel, "_FEW", 2)
        trio.run(main, clock=clock)


async def test_many_rpcs_at_random_all_leave(desk: Desk, mock_clock: MockClock) -> None:
    """Of 20,000 RPCs that end in every way at random, none stays, and the counters add up."""
    rng = random.Random(7)
    for number in range(20_000):
        desk.open(number, rng.choice((0.1, 0.5, 2.0, rng.random())))
        end = rng.random()
        if end < 0.4:
            desk.table.settle(rng.randrange(number + 1), "n2", {})
        elif end < 0.6:
            desk.forget(number)
        elif end < 0.7:
            mock_clock.jump(rng.random() / 100)
            while desk.table.expire_slice(trio.current_time()):
                pass
        assert all(rpc.deadline + BUCKET > trio.current_time() for rpc in itertools.islice(desk.table, 1))
    mock_clock.jump(3.0)
    while desk.table.expire_slice(trio.current_time()):
        pass
    assert len(desk.table) == 0
    assert desk.table.next_due() == math.inf
    stats = desk.stats
    assert min(stats.answered, stats.reaped, stats.abandoned) > 1000
    assert stats.answered + stats.reaped + stats.abandoned == stats.rpcs == 20_000
    assert len(desk.ended()) == stats.answered + stats.reaped
