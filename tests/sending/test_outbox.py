"""The outbox: in order, in batches, with a line to wait behind."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from trio_messenger._sending.outbox import Outbox


@pytest.fixture
def outbox() -> Outbox:
    """An outbox that is full from 10 bytes on."""
    return Outbox(10, busy_from=3)


async def test_all_lines_are_taken_at_once_in_order(outbox: Outbox) -> None:
    """One take gives all lines that wait, in the order they were put in, and leaves none."""
    for line in (b"a", b"b", b"", b"c"):
        outbox.put(line)
    assert await outbox.take() == [b"a", b"b", b"", b"c"]
    outbox.put(b"d")
    assert await outbox.take() == [b"d"]


async def test_taking_what_is_there_does_not_wait(outbox: Outbox) -> None:
    """The writer goes through no scheduler pass when there is something to write."""
    outbox.put(b"a")
    with assert_no_checkpoints():
        assert await outbox.take() == [b"a"]


async def test_the_writer_waits_for_the_first_line(outbox: Outbox, nursery: trio.Nursery) -> None:
    """A writer that waits gets the lines that are put in before it runs again, as one batch."""
    batches: list[list[bytes]] = []

    async def write() -> None:
        while batch := await outbox.take():
            batches.append(batch)

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    assert batches == []
    outbox.put(b"a")
    outbox.put(b"b")
    await wait_all_tasks_blocked()
    assert batches == [[b"a", b"b"]]
    outbox.put(b"c")
    await wait_all_tasks_blocked()
    assert batches == [[b"a", b"b"], [b"c"]]
    outbox.close()


async def test_a_cancelled_take_loses_nothing(outbox: Outbox, nursery: trio.Nursery) -> None:
    """A writer cancelled while it waits, or in the pass in which a line arrives, leaves the line for the next."""
    scope = trio.CancelScope()

    async def write() -> None:
        with scope:
            await outbox.take()

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    scope.cancel()
    outbox.put(b"a")
    await wait_all_tasks_blocked()
    assert await outbox.take() == [b"a"]
    with trio.move_on_after(0):
        await outbox.take()
    outbox.put(b"b")
    assert await outbox.take() == [b"b"]


async def test_it_is_full_from_the_limit_on(outbox: Outbox) -> None:
    """Full means that the bytes that wait have reached the limit; taking them empties it; nothing is ever refused."""

    def full_after_putting(size: int) -> bool:
        outbox.put(b"x" * size)
        return outbox.is_full

    assert [full_after_putting(size) for size in (9, 0, 1, 100)] == [False, False, True, True]
    assert await outbox.take() == [b"x" * 9, b"", b"x", b"x" * 100]
    assert not outbox.is_full
    assert [full_after_putting(size) for size in (9, 2)] == [False, True]


async def test_it_is_busy_from_a_lower_limit_on() -> None:
    """The rest of the limit is left to senders when no more requests should be taken; a take ends that."""
    outbox = Outbox(100, busy_from=25)
    outbox.put(b"x" * 24)
    assert not outbox.is_busy
    outbox.put(b"x")
    assert (outbox.is_busy, outbox.is_full) == (True, False)
    await outbox.take()
    assert not outbox.is_busy
    outbox.put(b"x" * 100)
    assert (outbox.is_busy, outbox.is_full) == (True, True)
    outbox.close()
    assert (outbox.is_busy, outbox.is_full) == (False, False)


@pytest.mark.parametrize("end", ["take", "close"])
async def test_waiting_until_it_is_calm(end: str, nursery: trio.Nursery) -> None:
    """Whoever waits for that goes on when the lines were taken, or the outbox is closed; always by a checkpoint."""
    outbox = Outbox(100, busy_from=25)
    with assert_checkpoints():
        await outbox.wait_until_calm()
    outbox.put(b"x" * 25)
    with trio.move_on_after(0) as scope:
        await outbox.wait_until_calm()
    assert scope.cancelled_caught
    calm = trio.Event()

    async def wait() -> None:
        await outbox.wait_until_calm()
        calm.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not calm.is_set()
    if end == "take":
        await outbox.take()
    else:
        outbox.close()
    await wait_all_tasks_blocked()
    assert calm.is_set()


async def test_waiting_for_room_that_is_there_is_a_checkpoint(outbox: Outbox) -> None:
    """`wait_for_room` lets others run and can be cancelled even if there is room."""
    with assert_checkpoints():
        await outbox.wait_for_room()
    with trio.CancelScope() as scope:
        scope.cancel()
        await outbox.wait_for_room()
    assert scope.cancelled_caught


async def test_waiting_for_room_ends_with_a_take(outbox: Outbox, nursery: trio.Nursery) -> None:
    """Who finds the outbox full waits until the writer has emptied it."""
    room: list[str] = []

    async def wait() -> None:
        await outbox.wait_for_room()
        room.append("there is")

    outbox.put(b"x" * 10)
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert room == []
    await outbox.take()
    await wait_all_tasks_blocked()
    assert room == ["there is"]


async def test_senders_who_wait_do_not_all_rush_in(outbox: Outbox, nursery: trio.Nursery) -> None:
    """Of many who wait for room, each take lets in only as many as there is room for, and none is forgotten."""

    async def send(number: int) -> None:
        await outbox.wait_for_room()
        outbox.put(b"%06d" % number)

    outbox.put(b"x" * 10)
    for number in range(7):
        nursery.start_soon(send, number)
    await wait_all_tasks_blocked()
    assert await outbox.take() == [b"x" * 10]
    sizes, lines = [], []
    for _ in range(4):
        await wait_all_tasks_blocked()
        batch = await outbox.take()
        sizes.append(len(batch))
        lines += batch
    assert sizes == [2, 2, 2, 1]
    assert sorted(lines) == [b"%06d" % number for number in range(7)]


async def test_a_cancelled_wait_leaves_nothing_behind(outbox: Outbox, nursery: trio.Nursery) -> None:
    """A sender cancelled while it waits holds nobody up."""
    outbox.put(b"x" * 10)
    with trio.CancelScope() as scope:
        nursery.start_soon(_cancel_when_blocked, scope)
        await outbox.wait_for_room()
    assert scope.cancelled_caught
    assert await outbox.take() == [b"x" * 10]
    with trio.fail_after(1):
        await outbox.wait_for_room()


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_closed_outbox_takes_no_lines(outbox: Outbox) -> None:
    """After closing, putting in is an error, and what was in can still be taken, once."""
    outbox.put(b"a")
    outbox.close()
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends nothing more$"):
        outbox.put(b"b")
    assert await outbox.take() == [b"a"]
    assert await outbox.take() == []
    outbox.close()
    assert await outbox.take() == []


async def test_closing_wakes_whoever_waits(outbox: Outbox, nursery: trio.Nursery) -> None:
    """Closing ends the wait for room and the wait for lines, and nobody waits afterwards."""
    outbox.put(b"x" * 10)
    nursery.start_soon(outbox.wait_for_room)
    nursery.start_soon(outbox.wait_for_room)
    await wait_all_tasks_blocked()
    outbox.close()
    await wait_all_tasks_blocked()
    assert not nursery.child_tasks
    assert not outbox.is_full
    with assert_checkpoints():
        await outbox.wait_for_room()
    empty, taken = Outbox(10, busy_from=3), []

    async def write() -> None:
        taken.append(await empty.take())

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    empty.close()
    await wait_all_tasks_blocked()
    assert taken == [[]]


async def test_a_cork_keeps_the_writer_asleep(outbox: Outbox, nursery: trio.Nursery) -> None:
    """What is put in under a cork wakes nobody; at its end it is offered to be sent at once, and is gone if it was."""
    batches: list[list[bytes]] = []
    offered: list[list[bytes]] = []

    async def write() -> None:
        while batch := await outbox.take():
            batches.append(batch)

    def send_all(lines: list[bytes]) -> list[bytes]:
        offered.append(lines)
        return []

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    outbox.cork()
    outbox.put(b"a")
    outbox.put(b"b" * 10)
    await wait_all_tasks_blocked()
    assert (batches, offered) == ([], [])
    outbox.uncork(send_all)
    await wait_all_tasks_blocked()
    assert (batches, offered) == ([], [[b"a", b"b" * 10]])
    assert not outbox.is_full
    outbox.put(b"c")
    await wait_all_tasks_blocked()
    assert batches == [[b"c"]]
    outbox.close()


@pytest.mark.parametrize("sent", [0, 1])
async def test_what_a_cork_could_not_send_is_the_writers(outbox: Outbox, nursery: trio.Nursery, sent: int) -> None:
    """Lines that are not sent at the end of a cork, all or some, reach the writer in their order."""
    batches: list[list[bytes]] = []

    async def write() -> None:
        while batch := await outbox.take():
            batches.append(batch)

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    outbox.cork()
    for line in (b"a", b"b" * 5, b"c" * 5):
        outbox.put(line)
    outbox.uncork(lambda lines: lines[sent:] if sent else lines)
    assert outbox.is_full
    await wait_all_tasks_blocked()
    assert batches == [[b"a", b"b" * 5, b"c" * 5][sent:]]
    outbox.close()


async def test_a_cork_sends_nothing_past_a_busy_writer(outbox: Outbox) -> None:
    """While the writer is at work, nothing is offered to be sent: it would overtake what the writer has."""
    outbox.cork()
    outbox.put(b"a")
    outbox.uncork(lambda lines: pytest.fail(f"sent {lines}"))
    assert await outbox.take() == [b"a"]


async def test_room_made_by_a_cork_wakes_senders(outbox: Outbox, nursery: trio.Nursery) -> None:
    """Whoever waits for room goes on when the end of a cork has made some."""
    nursery.start_soon(outbox.take)
    await wait_all_tasks_blocked()
    outbox.cork()
    outbox.put(b"x" * 10)
    nursery.start_soon(outbox.wait_for_room)
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 2
    outbox.uncork(lambda _: [])
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 1
    outbox.close()
