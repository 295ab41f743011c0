"""The table of pending RPCs: nothing stays in it, and every reply is accounted for."""

from __future__ import annotations

import gc
import logging
import math
import weakref

import pytest
import trio
from support.pending_table import Desk
from trio.testing import MockClock

from trio_messenger import RpcTimeout
from trio_messenger._rpc.table import REMEMBERED

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
@pytest.mark.slow
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


@pytest.mark.slow
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
