"""The lives of a process: pausing, killing, starting again."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from support.paths import EXECUTABLES
from support.process_runs import (
    FOREIGN,
    WRONG,
    Stage,
    make_run,
    problems,
    processes_in,
    staged,
)
from support.processes import LIMIT, needs_proc, until

from trio_messenger.sim import (
    Kill,
)
from trio_messenger.sim._cluster.clients import Clients
from trio_messenger.sim._cluster.cluster import Cluster
from trio_messenger.sim._runs.real_time import run_real
from trio_messenger.sim._system.children import Child

pytestmark = needs_proc


def states(folder: Path) -> list[str]:
    """Return the states of the processes that run in *folder*, as Linux abbreviates them: T for a stopped one."""
    stats = [Path(f"/proc/{number}/stat").read_text() for number in processes_in(folder)]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_pausing_stops_the_whole_group(folder: Path) -> None:
    """A paused node's processes stand still, what is for it waits, and all of it goes on afterwards."""
    async with staged(folder, str(EXECUTABLES / "wrapper.sh"), *FOREIGN) as stage:
        await stage.init()
        assert len(states(folder)) == 3
        assert "T" not in states(folder)
        stage.host.pause()
        await until(lambda: states(folder) == ["T", "T", "T"])
        stage.send({"type": "echo", "echo": 1, "msg_id": 2})
        await trio.sleep(0.05)
        assert (len(stage.received), stage.host.held) == (1, 1)
        stage.host.resume()
        await until(lambda: len(stage.received) == 2)
        assert stage.received[1].body["echo"] == 1
        assert "T" not in states(folder)


async def test_a_paused_node_can_be_killed(folder: Path) -> None:
    """A node that stands still dies as any other; its next life does not stand still, and the dead cannot be paused."""
    async with staged(folder, *FOREIGN) as stage:
        stage.host.pause()
        stage.host.kill()
        stage.host.kill()
        stage.host.pause()
        stage.host.resume()
        await stage.host.start()
        await stage.init()
        assert stage.host.lives == 2


async def test_one_life_ends_before_the_next_begins(folder: Path) -> None:
    """There are never two processes of a node, so that no file of it has two writers; the older one dies."""
    async with staged(folder, "sleep", "1000") as stage:
        [first] = processes_in(folder)
        await stage.host.start()
        [second] = processes_in(folder)
        assert second != first
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)


async def test_the_next_life_waits_until_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started before the last one is gone, its pipes and what it left running included."""
    released, aclose = trio.Event(), Child.aclose

    async def aclose_late(child: Child) -> bool:
        with trio.CancelScope(shield=True):
            await released.wait()
        return await aclose(child)

    monkeypatch.setattr(Child, "aclose", aclose_late)
    async with staged(folder, "sleep", "1000") as stage, trio.open_nursery() as nursery:
        last = stage.host._last
        assert last is not None
        nursery.start_soon(stage.host.start)
        await last.ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert last.gone.statistics().tasks_waiting == 1
        released.set()


async def test_who_has_ended_gets_no_signal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a process that has ended, and of its group, may be another's by then."""
    sent: list[object] = []
    async with staged(folder, "sleep", "1000") as stage:
        last = stage.host._last
        assert last is not None
        await stage.host.aclose()
        monkeypatch.setattr(os, "killpg", lambda *signalled: sent.append(signalled))
        last.kill()
    assert sent == []


@asynccontextmanager
async def beginning(stage: Stage, outcome: list[BaseException]) -> AsyncIterator[trio.CancelScope]:
    """Let another life begin, so far that a process is being started, which takes until something prevents the life."""
    is_starting, open_process = trio.Event(), trio.lowlevel.open_process

    async def open_late(*args: Any, **options: Any) -> trio.Process:
        with trio.CancelScope(shield=True):
            process = await open_process(*args, **options)
            is_starting.set()
            await until(lambda: stage.host._is_closed or nursery.cancel_scope.cancel_called)
        return process

    async def start() -> None:
        try:
            await stage.host.start()
        except trio.ClosedResourceError as exc:
            outcome.append(exc)

    stage.host.kill()
    last = stage.host._last
    assert last is not None
    await last.gone.wait()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.lowlevel, "open_process", open_late)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await is_starting.wait()
            yield nursery.cancel_scope
    assert stage.host._last is not last
    assert (stage.host.lives, stage.host.is_alive) == (1, False)


async def test_a_host_that_is_closed_while_a_life_begins_leaves_nothing(folder: Path) -> None:
    """The process that is just being started when the run ends is killed as well."""
    outcome: list[BaseException] = []
    async with staged(folder, "sleep", "1000") as stage:
        async with beginning(stage, outcome):
            await stage.host.aclose()
            assert processes_in(folder) == []
        assert [str(exc) for exc in outcome] == ["the run is over"]


async def test_a_host_that_is_closed_begins_no_life(folder: Path) -> None:
    """Once a run is over, nothing is started, and nothing is open that was for the node."""
    before = descriptors()
    async with staged(folder, "sleep", "1000") as stage:
        assert descriptors() > before
        await stage.host.aclose()
        assert descriptors() == before
        last = stage.host._last
        with pytest.raises(trio.ClosedResourceError, match=r"^the run is over$"):
            await stage.host.start()
        assert stage.host._last is last


async def test_the_end_of_a_run_is_no_problem_of_a_node(folder: Path) -> None:
    """A node that could not be started again because the run was over has no problem."""
    async with staged(folder, "sleep", "1000") as stage, trio.open_nursery() as nursery:
        cluster = Cluster({"n1": stage.host}, stage.network, Clients(stage.network))
        stage.host.kill()
        nursery.start_soon(cluster.restart, stage.host)
        await trio.testing.wait_all_tasks_blocked()
        await cluster.aclose()
    assert stage.host.problems == []


async def test_waiting_for_a_node_ends_with_its_life(folder: Path) -> None:
    """Whoever waits for something of a node does so until its life ends, if it has not ended already."""
    async with staged(folder, "sleep", "1000") as stage:
        with stage.host.until_trouble() as waiting:
            stage.host.kill()
            await trio.sleep(60)
        assert waiting.cancelled_caught
        with stage.host.until_trouble() as waiting:
            await trio.sleep(60)
        assert waiting.cancelled_caught
        await stage.host.start()
        with stage.host.until_trouble() as waiting:
            await trio.testing.wait_all_tasks_blocked()
        assert not waiting.cancelled_caught


async def test_a_life_that_is_cancelled_while_it_begins_is_none(folder: Path) -> None:
    """If a fault strikes a node while its process is being started, that process is killed."""
    async with staged(folder, "sleep", "1000") as stage:
        async with beginning(stage, []) as scope:
            scope.cancel()
        await stage.host.start()
        assert (stage.host.lives, len(processes_in(folder))) == (2, 1)


async def test_what_cannot_be_killed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not die, as one of another user's, is given up after a while, and named."""
    for module in ("_system.children", "_cluster.processes"):
        monkeypatch.setattr(f"trio_messenger.sim.{module}.KILL_TIMEOUT", 0.05)
    async with staged(folder, "sleep", "1000") as stage:
        with monkeypatch.context() as patch:
            patch.setattr(Child, "signal", lambda *_: None)
            await stage.host.aclose()
        stuck = stage.host._last
        assert stuck is not None
        assert stage.host.problems == [f"node 'n1' could not be killed within 0.05 s: process {stuck.pid} still runs"]
        stuck.signal(signal.SIGKILL)
        await stuck.wait()


def test_a_node_that_does_not_come_up_again_has_a_problem(folder: Path, impatient: None) -> None:
    """A node that was killed and does not answer in its next life has a problem; the run goes on."""
    faults = [Kill(nodes=["n1"], at=0.1, until=0.2)]
    run = make_run(folder, "echo", (*WRONG, "is-silent-in-second-life"), faults=faults, rate=0, time_limit=3)
    run_real(run)
    [problem] = problems(run)
    assert problem.startswith(
        "after it was killed and started again, node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1"
    )


def test_a_node_that_dies_in_its_next_life_has_one_problem(folder: Path) -> None:
    """That a node ended after it was started again is told once."""
    faults = [Kill(nodes=["n1"], at=0.1, until=0.2)]
    run = make_run(folder, "echo", (*WRONG, "dies-in-second-life"), faults=faults, rate=0, time_limit=3)
    run_real(run)
    assert problems(run) == ["node 'n1' exited with status 1\n  its last lines on stderr:\n  not again"]


async def test_nobody_waits_for_the_answer_of_the_dead(folder: Path) -> None:
    """Once a node is killed that was to answer ``init``, that is over, and no problem of the node."""
    async with staged(folder, "sleep", "1000") as stage:
        cluster = Cluster({"n1": stage.host}, stage.network, Clients(stage.network))
        stage.host._take(b"rubbish of an earlier life")
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cluster.restart, stage.host)
                await until(lambda: stage.host.lives == 2)
                await trio.testing.wait_all_tasks_blocked()
                stage.host.kill()
        assert len(stage.host.problems) == 1
        assert [entry.event for entry in stage.network.journal if entry.node] == ["start", "start"]


def test_a_node_that_is_killed_while_it_comes_up_has_no_problem(folder: Path) -> None:
    """Nobody waits for the answer of a life that a fault has ended."""
    faults = [Kill(nodes=["n1"], at=at, until=at + 0.1) for at in (0.1, 0.4)]
    run = make_run(folder, "echo", (*WRONG, "is-silent-in-second-life"), faults=faults, rate=0, time_limit=0.9)
    run_real(run)
    assert problems(run) == []
    assert [host.lives for host in run.hosts.values()] == [3]


@pytest.mark.parametrize("until", [0.2, 0.5])
def test_a_node_that_is_started_again_at_the_end_has_no_problem(folder: Path, until: float) -> None:
    """The end of the run is the end of a node that is just coming up, of which nothing is left."""
    faults = [Kill(nodes=["n1"], at=0.1, until=until)]
    run = make_run(folder, "echo", (*WRONG, "is-silent-in-second-life"), faults=faults, rate=0, time_limit=0.5)
    run_real(run)
    assert problems(run) == []
