"""The reaper: it ends what is due when it is due, and is no burden while nothing is."""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Callable

import pytest
import trio
from support.steps import StepCounter
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trio_messenger import PendingRpc, RpcTimeout, Stats
from trio_messenger._rpc.reaper import Reaper
from trio_messenger._rpc.table import SLICE, PendingTable

Ended = trio.MemoryReceiveChannel[PendingRpc]
Open = Callable[[int, float], PendingRpc]


@pytest.fixture
def table(channel: tuple[trio.MemorySendChannel[PendingRpc], Ended]) -> PendingTable:
    """A new table."""
    return PendingTable(Stats(), channel[0])


@pytest.fixture
def reaper(table: PendingTable) -> Reaper:
    """A reaper of `table`, not yet running."""
    return Reaper(table, lambda: "n1")


@pytest.fixture
def channel() -> tuple[trio.MemorySendChannel[PendingRpc], Ended]:
    """Where RPCs end."""
    return trio.open_memory_channel[PendingRpc](math.inf)


@pytest.fixture
def ended(channel: tuple[trio.MemorySendChannel[PendingRpc], Ended]) -> Ended:
    """What has ended, in its order."""
    return channel[1]


@pytest.fixture
def open_rpc(table: PendingTable, channel: tuple[trio.MemorySendChannel[PendingRpc], Ended]) -> Open:
    """Register an RPC with a number and a timeout."""
    return lambda msg_id, timeout: table.open(msg_id, "n2", timeout, channel[0])


def numbers(ended: Ended) -> list[int]:
    """Take the numbers of what has ended."""
    return [ended.receive_nowait().msg_id for _ in range(ended.statistics().current_buffer_used)]


def log_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """Take the lines that were logged."""
    lines = caplog.record_tuples[:]
    caplog.clear()
    return lines


class WakeUps(trio.abc.Instrument):
    """Notes at what times a task runs.

    Args:
      name: How the task's name ends.
    """

    def __init__(self, name: str) -> None:
        self.times: set[float] = set()
        self._name = name

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.name.endswith(self._name):
            self.times.add(trio.current_time())


REAPED = "RPCs reaped without reply: {}; still pending: {}"


def report(reaped: int, pending: int) -> tuple[str, int, str]:
    """Return the line that the reaper logs."""
    return ("trio_messenger", logging.WARNING, REAPED.format(reaped, pending))


async def test_it_sleeps_for_ever_while_nothing_is_pending(
    reaper: Reaper, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """With nothing pending the reaper never runs, and a virtual clock can jump past it at once."""
    nursery.start_soon(reaper.run)
    await wait_all_tasks_blocked()
    counter = StepCounter("Reaper.run")
    trio.lowlevel.add_instrument(counter)
    await trio.sleep(80_000.0)
    trio.lowlevel.remove_instrument(counter)
    assert counter.steps == 0
    assert trio.current_time() == 80_000.0


async def test_it_sleeps_until_the_first_deadline(
    reaper: Reaper, open_rpc: Open, ended: Ended, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The reaper runs for the first time when something is due; RPCs without a deadline do not wake it."""
    nursery.start_soon(reaper.run)
    await wait_all_tasks_blocked()
    counter = StepCounter("Reaper.run")
    trio.lowlevel.add_instrument(counter)
    open_rpc(0, math.inf)
    open_rpc(1, 1e308)
    open_rpc(2, 1000.0)
    await trio.sleep(999.0)
    assert counter.steps == 0
    rpc = await ended.receive()
    assert (rpc.msg_id, trio.current_time()) == (2, 1000.0)
    await wait_all_tasks_blocked()
    steps = counter.steps
    await trio.sleep(80_000.0)
    trio.lowlevel.remove_instrument(counter)
    assert 0 < counter.steps == steps


async def test_it_fails_only_what_is_overdue(
    reaper: Reaper, table: PendingTable, open_rpc: Open, ended: Ended, nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """At 1 s the RPC due then ends with RpcTimeout, and nothing before; the one due at 5 s stays pending."""
    nursery.start_soon(reaper.run)
    open_rpc(1, 5.0)
    overdue = open_rpc(2, 1.0)
    await wait_all_tasks_blocked()
    mock_clock.jump(math.nextafter(1.0, 0))
    await wait_all_tasks_blocked()
    assert numbers(ended) == []
    mock_clock.jump(1.0 - trio.current_time())
    await wait_all_tasks_blocked()
    assert numbers(ended) == [2]
    assert isinstance(overdue.outcome, RpcTimeout)
    assert [rpc.msg_id for rpc in table] == [1]


@pytest.mark.parametrize(
    ("seconds", "at"), [(0.0, 0.0), (0.25, 0.25), (1 / 128, 1 / 128), (0.1, 13 / 128), (1e-9, 1 / 128), (1.0, 1.0)]
)
async def test_it_is_exact(
    reaper: Reaper,
    open_rpc: Open,
    ended: Ended,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    seconds: float,
    at: float,
) -> None:
    """An RPC ends at the first 1/128 s that is not before its deadline, to the instant."""
    nursery.start_soon(reaper.run)
    open_rpc(0, seconds)
    await ended.receive()
    assert trio.current_time() == at


async def test_an_earlier_deadline_cuts_the_nap_short(
    reaper: Reaper, open_rpc: Open, ended: Ended, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """RPCs registered while the reaper sleeps are ended on time, earlier than what it slept for or later."""
    nursery.start_soon(reaper.run)
    await wait_all_tasks_blocked()
    for number, timeout in enumerate((8.0, 2.0, 4.0, 1.0)):
        open_rpc(number, timeout)
        await wait_all_tasks_blocked()
    seen = [((await ended.receive()).msg_id, trio.current_time()) for _ in range(4)]
    assert seen == [(3, 1.0), (1, 2.0), (2, 4.0), (0, 8.0)]


async def test_deadlines_before_it_runs_are_kept(
    reaper: Reaper, open_rpc: Open, ended: Ended, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """RPCs may be registered before the reaper starts, and be overdue by then."""
    open_rpc(0, 1.0)
    open_rpc(1, 3.0)
    await trio.sleep(2.0)
    nursery.start_soon(reaper.run)
    assert ((await ended.receive()).msg_id, trio.current_time()) == (0, 2.0)
    assert ((await ended.receive()).msg_id, trio.current_time()) == (1, 3.0)


async def test_an_answered_rpc_is_not_reported(
    reaper: Reaper,
    table: PendingTable,
    open_rpc: Open,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was answered in time is not reaped, and a sweep that reaped nothing says nothing."""
    nursery.start_soon(reaper.run)
    open_rpc(0, 1.0)
    await wait_all_tasks_blocked()
    table.settle(0, "n2", {})
    await trio.sleep(5.0)
    assert log_lines(caplog) == []


async def test_a_sweep_returns_its_count(reaper: Reaper, open_rpc: Open, mock_clock: MockClock) -> None:
    """`Reaper.sweep` ends all that is due, tells how many, and is a checkpoint also when nothing is."""
    with assert_checkpoints():
        assert await reaper.sweep() == 0
    for number in range(SLICE + 3):
        open_rpc(number, 1.0)
    open_rpc(-1, 0.5)
    open_rpc(-2, 3.0)
    mock_clock.jump(2.0)
    with assert_checkpoints():
        assert await reaper.sweep() == SLICE + 4
    with assert_checkpoints():
        assert await reaper.sweep() == 0


async def test_a_sweep_is_one_line_at_once(
    reaper: Reaper,
    open_rpc: Open,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A sweep logs one warning: how many it reaped, in however many slices, and how many are still pending. The line
    comes at the time of the sweep if none came in the second before.
    """
    nursery.start_soon(reaper.run)
    for number in range(3 * SLICE):
        open_rpc(number, 1.0)
    open_rpc(-1, 2.0)
    open_rpc(-2, math.inf)
    await trio.sleep(1.001)
    assert log_lines(caplog) == [report(3 * SLICE, 2)]
    await trio.sleep(1.0)
    assert log_lines(caplog) == [report(1, 1)]
    await trio.sleep(10.0)
    assert log_lines(caplog) == []


@pytest.mark.slow
async def test_a_burst_is_two_lines(
    reaper: Reaper,
    table: PendingTable,
    open_rpc: Open,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """100,000 RPCs that expire in 100 sweeps make a line for the first sweep and one for the rest, a second later."""
    nursery.start_soon(reaper.run)
    for number in range(100_000):
        open_rpc(number, (128 + number // 1000) / 128)
    open_rpc(100_000, math.inf)
    await trio.sleep(1.001)
    assert log_lines(caplog) == [report(1000, 99_001)]
    await trio.sleep_until(2.0)
    assert log_lines(caplog) == []
    assert len(table) == 1
    await trio.sleep_until(2.0 + 1 / 128)
    assert log_lines(caplog) == [report(99_000, 1)]
    await trio.sleep(10.0)
    assert log_lines(caplog) == []


async def test_steady_losses_are_a_line_a_second(
    reaper: Reaper,
    open_rpc: Open,
    ended: Ended,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """RPCs that expire one after another, each registered when the one before has ended, make a line each second; a
    sweep that comes when a line is due is part of it, and a sweep after a quiet second logs its line at once.
    """
    nursery.start_soon(reaper.run)
    for number in range(20):
        open_rpc(number, 0.25)
        await ended.receive()
    assert log_lines(caplog) == [report(1, 0), *[report(4, 0)] * 4]
    await trio.sleep_until(7.0)
    assert log_lines(caplog) == [report(3, 0)]
    open_rpc(20, 0.5)
    await ended.receive()
    assert log_lines(caplog) == [report(1, 0)]


async def test_a_held_back_line_shows_what_its_last_sweep_left(
    reaper: Reaper,
    table: PendingTable,
    open_rpc: Open,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A line that was held back says how many RPCs were pending when the last of the reaped ones ended."""
    nursery.start_soon(reaper.run)
    for number, timeout in enumerate((1.0, 1.25, 1.5, math.inf)):
        open_rpc(number, timeout)
    await trio.sleep(1.75)
    table.settle(3, "n2", {})
    await trio.sleep(1.0)
    assert log_lines(caplog) == [report(1, 3), report(2, 1)]


async def test_a_held_back_line_costs_one_wake_up(
    reaper: Reaper, open_rpc: Open, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The reaper wakes up once for what it holds back, within 1/128 s after the quiet second, then sleeps forever."""
    nursery.start_soon(reaper.run)
    open_rpc(0, 1.0)
    open_rpc(1, 1.5)
    await trio.sleep(1.75)
    wake_ups = WakeUps("Reaper.run")
    trio.lowlevel.add_instrument(wake_ups)
    await trio.sleep(80_000.0)
    trio.lowlevel.remove_instrument(wake_ups)
    [time] = wake_ups.times
    assert 2.0 <= time < 2.0 + 1 / 128


async def test_nodes_log_what_they_held_back_one_after_another(
    channel: tuple[trio.MemorySendChannel[PendingRpc], Ended], nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Reapers of different nodes that sweep at the same times do not wake up at the same time for their lines: in a
    simulation, the order of tasks that wake up together is drawn, and the run would be another one.
    """
    for node_id in ("n1", "n2", "n3"):
        table = PendingTable(Stats(), channel[0])
        nursery.start_soon(Reaper(table, functools.partial(str, node_id)).run)
        for number, timeout in enumerate((1.0, 1.5)):
            table.open(number, "n4", timeout, channel[0])
    await trio.sleep(1.75)
    wake_ups = WakeUps("Reaper.run")
    trio.lowlevel.add_instrument(wake_ups)
    await trio.sleep(10.0)
    trio.lowlevel.remove_instrument(wake_ups)
    assert len(wake_ups.times) == 3


async def test_a_line_between_sweeps_does_not_change_when_they_are(
    reaper: Reaper, table: PendingTable, open_rpc: Open, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Wake-ups for lines leave the others as they were: the reaper still wakes up when an RPC was due that has been
    answered. Otherwise a simulation with lines that are held back would be another run than one without.
    """
    nursery.start_soon(reaper.run)
    for number, timeout in enumerate((1.0, 1.5, 4.0)):
        open_rpc(number, timeout)
    await trio.sleep(1.75)
    table.settle(2, "n2", {})
    wake_ups = WakeUps("Reaper.run")
    trio.lowlevel.add_instrument(wake_ups)
    await trio.sleep(10.0)
    trio.lowlevel.remove_instrument(wake_ups)
    assert len(wake_ups.times) == 2
    assert max(wake_ups.times) == 4.0


async def test_nothing_held_back_is_no_wake_up(
    reaper: Reaper, open_rpc: Open, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """After a line that reported everything the reaper sleeps forever."""
    nursery.start_soon(reaper.run)
    open_rpc(0, 1.0)
    await trio.sleep(1.001)
    counter = StepCounter("Reaper.run")
    trio.lowlevel.add_instrument(counter)
    await trio.sleep(80_000.0)
    trio.lowlevel.remove_instrument(counter)
    assert counter.steps == 0


async def test_closing_logs_what_is_held_back(
    reaper: Reaper,
    open_rpc: Open,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`Reaper.close` logs at once what is held back, and nothing more comes."""
    nursery.start_soon(reaper.run)
    for number, timeout in enumerate((1.0, 1.25, 1.5)):
        open_rpc(number, timeout)
    await trio.sleep(1.75)
    assert log_lines(caplog) == [report(1, 2)]
    reaper.close()
    assert log_lines(caplog) == [report(2, 0)]
    reaper.close()
    await trio.sleep(10.0)
    assert log_lines(caplog) == []


async def test_lines_add_up_though_a_sweep_is_cancelled(
    reaper: Reaper, table: PendingTable, open_rpc: Open, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """RPCs that a sweep had reaped when it was cancelled are in the line of the close."""
    for number in range(3 * SLICE):
        open_rpc(number, 1.0)
    mock_clock.jump(1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaper.run)
        while len(table) == 3 * SLICE:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert 0 < len(table) < 3 * SLICE
    assert log_lines(caplog) == []
    reaper.close()
    assert log_lines(caplog) == [report(3 * SLICE - len(table), len(table))]


async def test_others_run_while_many_expire(
    reaper: Reaper, table: PendingTable, open_rpc: Open, nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """While 5,000 RPCs expire at once, another task gets its turn after each slice."""
    for number in range(5000):
        open_rpc(number, 1.0)
    seen = [5000]
    mock_clock.jump(1.0)
    nursery.start_soon(reaper.run)
    while len(table):
        await trio.lowlevel.checkpoint()
        seen.append(len(table))
    steps = [before - after for before, after in itertools.pairwise(seen) if before != after]
    # Tasks of one pass run in any order, so one pass of this task may fall between two of the reaper's.
    assert max(steps) <= 2 * SLICE
    assert len(steps) >= 5


async def test_a_cancelled_sweep_leaves_the_rest_pending(
    reaper: Reaper, table: PendingTable, open_rpc: Open, ended: Ended, mock_clock: MockClock
) -> None:
    """A sweep cancelled midway has ended some; the others are pending still, and the next sweep ends them."""
    for number in range(3 * SLICE):
        open_rpc(number, 1.0)
    mock_clock.jump(1.0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await reaper.sweep()
    assert scope.cancelled_caught
    done = numbers(ended)
    assert len(done) in (0, SLICE)
    assert [rpc.msg_id for rpc in table] == list(range(len(done), 3 * SLICE))
    table.settle(3 * SLICE - 1, "n2", {})
    assert await reaper.sweep() == 3 * SLICE - len(done) - 1
    assert len(table) == 0


async def test_a_reaper_started_anew_goes_on(
    reaper: Reaper, open_rpc: Open, ended: Ended, autojump_clock: MockClock
) -> None:
    """A reaper that was cancelled in its sleep has changed nothing, and may run again."""
    open_rpc(0, 1.0)
    with trio.move_on_after(0.5):
        await reaper.run()
    open_rpc(1, 0.25)
    with trio.move_on_after(5.0):
        await reaper.run()
    assert numbers(ended) == [1, 0]


async def test_deadlines_that_pass_during_a_sweep_are_met(
    reaper: Reaper, open_rpc: Open, ended: Ended, nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """An RPC that is registered, or falls due, while a sweep is at work is ended by the next."""
    for number in range(2 * SLICE):
        open_rpc(number, 1.0)
    open_rpc(-1, 2.0)
    mock_clock.jump(1.0)
    nursery.start_soon(reaper.run)
    while not ended.statistics().current_buffer_used:
        await trio.lowlevel.checkpoint()
    open_rpc(-2, 0.25)
    mock_clock.jump(0.25)
    open_rpc(-3, 0.0)
    await wait_all_tasks_blocked()
    assert numbers(ended) == [*range(2 * SLICE), -2, -3]
    mock_clock.jump(0.75)
    await wait_all_tasks_blocked()
    assert numbers(ended) == [-1]


async def test_a_sweep_ends_with_what_was_due_at_its_start(
    reaper: Reaper, table: PendingTable, open_rpc: Open, nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """What falls due while a sweep is at work is not its affair, so that even a steady stream lets it end."""
    counts: list[int] = []

    async def sweep() -> None:
        counts.append(await reaper.sweep())

    for number in range(2 * SLICE):
        open_rpc(number, 1.0)
    mock_clock.jump(1.0)
    nursery.start_soon(sweep)
    while len(table) == 2 * SLICE:
        await trio.lowlevel.checkpoint()
    mock_clock.jump(0.25)
    open_rpc(-1, 0.0)
    await wait_all_tasks_blocked()
    assert counts == [2 * SLICE]
    assert [rpc.msg_id for rpc in table] == [-1]


async def test_a_closed_table_is_left_in_peace(
    reaper: Reaper, table: PendingTable, open_rpc: Open, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """When the table closes under the sleeping reaper, there is nothing left to reap, and it sleeps on."""
    nursery.start_soon(reaper.run)
    open_rpc(0, 1.0)
    await wait_all_tasks_blocked()
    table.close()
    counter = StepCounter("Reaper.run")
    await trio.sleep(5.0)
    trio.lowlevel.add_instrument(counter)
    await trio.sleep(1000.0)
    trio.lowlevel.remove_instrument(counter)
    assert counter.steps == 0
