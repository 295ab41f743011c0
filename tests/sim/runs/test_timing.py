"""When things happen in a run: the rate of operations, when nodes begin, and what times count from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from support.paths import EXECUTABLES

from trio_messenger import Body, Node, Request
from trio_messenger.nodes import echo
from trio_messenger.sim import Kill, Loss, Options, Report, simulate
from trio_messenger.sim._campaigns.simulation import INIT_SPREAD
from trio_messenger.sim._cluster.durable import Build
from trio_messenger.sim._cluster.in_process import EPOCH, InProcessHost
from trio_messenger.sim._records.journal import Entry
from trio_messenger.sim._runaways.guard import StuckGuard
from trio_messenger.sim._runs.real_time import process_hosts, run_real
from trio_messenger.sim._runs.run import Run


def make_run(build: Build, **given: Any) -> Run:
    """Return a run of one node of *build*, for a test that moves the clock by itself."""
    options = Options(workload="echo", nodes=["n1"], **given)

    def make_host(*args: Any) -> InProcessHost:
        node_id, network, log, nursery, streams = args
        guard = StuckGuard(options.busy_limit, network.journal, network.now, lambda *_: None)
        return InProcessHost(node_id, network, log, build, nursery, streams, guard)

    return Run(options, make_host)


def conduct_late(run: Run, jumps: Sequence[float] = ()) -> None:
    """Conduct *run* while the clock jumps: first by *jumps*, once operations begin, and then by 1/64 s each time."""
    clock, waiting = trio.testing.MockClock(), list(jumps)

    async def conduct() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.conduct)
            while run.phase != "done":
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(waiting.pop(0) if waiting and len(run.history) else 1 / 64)

    trio.run(conduct, clock=clock)


# The rate


@pytest.mark.slow
def test_operations_keep_to_the_rate_though_they_wake_late() -> None:
    """A clock that jumps, as that of a busy machine does, costs no operation: gaps count from the planned time."""
    exact = simulate("echo", echo.build, nodes=1, rate=500, time_limit=2, concurrency=100)
    planned = [operation.invocation.time for operation in exact.history.operations()]
    assert len(planned) > 950
    run = make_run(echo.build, rate=500, time_limit=2, concurrency=100)
    conduct_late(run)
    before_the_last_jump = sum(time <= (2 - 1 / 64) * 1e9 for time in planned)
    assert before_the_last_jump <= len(run.history.operations()) <= len(planned)


def test_who_wakes_late_begins_no_more_than_workers_allow() -> None:
    """What was planned while the machine stood still is made up for by workers that are free, and the rest is lost."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        async def slow(request: Request) -> Body:
            await trio.sleep(1 / 8)
            return {"echo": request.body["echo"]}

        return node

    run = make_run(build, rate=100, time_limit=12, concurrency=20)
    conduct_late(run, jumps=[10])
    begun = [op.time / 1e9 for op in run.history if op.type == "invoke"]
    assert sum(10 <= time < 10.125 for time in begun) == 20
    assert sum(time >= 10 for time in begun) < 300


# When nodes begin


def ticking() -> Node:
    """Return an echo node that tells all others something each second."""
    node = echo.build()
    node.on("tick")(lambda: None)

    def tick() -> None:
        for peer in node.peers:
            node.send_nowait(peer, {"type": "tick"})

    node.every(1, tick)
    return node


def of_type(report: Report, name: str) -> list[tuple[Entry, Body]]:
    """Return the sendings of messages of the type *name*, each with the message."""
    sends = [(entry, json.loads(bytes(entry.raw))) for entry in report.journal if entry.raw is not None]
    return [(entry, message) for entry, message in sends if message["body"]["type"] == name]


@pytest.mark.slow
def test_init_is_spread_by_the_seed() -> None:
    """All nodes are there before the first is initialised; then each is at a time of its own, decided by the seed."""
    report = simulate("echo", ticking, nodes=9, time_limit=5, seed=3)
    entries = list(report.journal)
    starts = [entry.t for entry in entries if entry.event == "start"]
    assert len(set(starts)) == 1
    inits = {message["dest"]: entry.t for entry, message in of_type(report, "init")}
    assert min(inits.values()) == starts[0]
    assert len(set(inits.values())) == 9
    assert 1 < (max(inits.values()) - min(inits.values())) / 1e9 < INIT_SPREAD
    assert max(inits.values()) == 0
    again = simulate("echo", ticking, nodes=9, time_limit=5, seed=3)
    assert again.digest == report.digest
    other = simulate("echo", ticking, nodes=9, time_limit=5, seed=4)
    assert {message["dest"]: entry.t for entry, message in of_type(other, "init")} != inits


def test_what_nodes_repeat_is_out_of_step() -> None:
    """Work of the same period has another phase at each node."""
    report = simulate("echo", ticking, nodes=9, time_limit=5)
    phases = {message["src"]: entry.t % 1_000_000_000 for entry, message in of_type(report, "tick")}
    assert len(phases) == 9
    assert len(set(phases.values())) == 9


def test_a_single_node_is_not_waited_for() -> None:
    """Where there is nothing to keep apart, set-up takes no time."""
    report = simulate("echo", echo.build, nodes=1, time_limit=1)
    assert report.journal[0].t == 0


def test_a_node_that_is_started_again_begins_at_once() -> None:
    """Only the first lives are spread: a kill that ends at 2 s is over at 2 s."""
    report = simulate("echo", ticking, nodes=3, time_limit=4, faults=[Kill(nodes=["n2"], at=1, until=2)])
    assert [entry.t for entry in report.journal if entry.event == "ready"][3:] == [2 * 10**9]


# What times count from


def test_times_count_from_the_main_phase() -> None:
    """Faults begin when their schedule says, the first operation begins at 0, and what was before is negative."""
    report = simulate("echo", ticking, nodes=5, time_limit=5, seed=1, faults=[Loss(rate=1, at=0.5, until=2)])
    assert report.history[0].time == 0
    assert [(entry.event, entry.t) for entry in report.journal if entry.fault is not None and entry.id is None] == [
        ("begin", 5 * 10**8),
        ("end", 2 * 10**9),
    ]
    times = [entry.t for entry in report.journal]
    assert times == sorted(times)
    assert -INIT_SPREAD * 1e9 < times[0] < -(10**9)


def test_clocks_of_the_day_do_not_jump_when_the_main_phase_begins() -> None:
    """What nodes see of the day began with the run, and goes on evenly."""
    seen = []

    def build() -> Node:
        node = echo.build()
        node.every(0.25, lambda: seen.append((trio.current_time(), node.wall_time())))
        return node

    simulate("echo", build, nodes=3, time_limit=2)
    assert {round(wall - now - EPOCH, 3) for now, wall in seen} == {0}


@pytest.mark.parametrize("spread", [0.0, 0.125])
def test_executables_are_spread_as_well(spread: float, tmp_path: Path) -> None:
    """In real time, too, nodes are initialised one after another, and times count from the main phase."""
    script = EXECUTABLES / "broadcast.py"
    options = Options(workload="broadcast", nodes=["n1", "n2", "n3"], rate=0, time_limit=0)
    run = Run(options, process_hosts([str(script)], tmp_path), recovery=0, spread=spread)
    run_real(run)
    ready = [entry.t for entry in run.journal if entry.event == "ready"]
    assert len(ready) == 3
    assert max(ready) <= 0
    delays = run._delays()
    assert min(delays.values()) == 0
    assert (0 < max(delays.values()) < spread) == (spread > 0)
    all_are_started = max(entry.t for entry in run.journal if entry.event == "start")
    sent = [(json.loads(bytes(entry.raw)), entry.t) for entry in run.journal if entry.raw is not None]
    inits = {message["dest"]: at for message, at in sent if message["body"]["type"] == "init"}
    assert all(inits[node_id] - all_are_started >= round(delays[node_id] * 1e9) for node_id in options.nodes)
