"""Executables that go wrong after they have come up: bad lines, floods, closed pipes, children that stay."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
import trio
import trio.testing
from support.process_runs import (
    FOREIGN,
    WRONG,
    assert_nothing_is_left,
    make_run,
    problems,
    processes_in,
    staged,
)
from support.processes import needs_proc, until

from trio_messenger.sim._cluster.processes import LOG_LINE_LIMIT
from trio_messenger.sim._judging.judgement import judge
from trio_messenger.sim._runaways.traffic import Traffic
from trio_messenger.sim._runs.real_time import run_real

pytestmark = needs_proc


def await_death(number: int) -> None:
    """Wait until a child has ended, without a checkpoint, so that Trio cannot have noticed."""
    while Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)


def test_a_node_that_dies_is_a_problem_of_the_run(folder: Path) -> None:
    """The run goes on without a node that has ended, and says how it ended and what it said last."""
    run = make_run(folder, "echo", (*WRONG, "dies-later"), rate=0)
    run_real(run)
    assert problems(run) == [
        "node 'n1' exited with status 7\n  its last lines on stderr:\n  line 6\n  line 7\n  line 8\n  line 9\n"
        "  the last \ufffd line"
    ]
    assert judge(run)["valid?"] is False
    [exit_] = [entry for entry in run.journal if entry.event == "exit"]
    assert (exit_.node, exit_.text) == ("n1", "exited with status 7")


def test_bad_lines_are_counted_by_kind(folder: Path) -> None:
    """The first bad line of each kind is shown, the others are counted, and the node goes on."""
    run = make_run(folder, "echo", (*WRONG, "prints-later"))
    run_real(run)
    assert problems(run) == [
        "node 'n1' printed a line on stdout that is not JSON; write logs to stderr: 'Hello'"
        " (JSON is malformed: invalid character (byte 0)), and 4 more of this kind",
        "node 'n1' printed a line on stdout that is not a message: '\"World\"' (Expected `object`, got `str`)",
    ]
    results = judge(run)
    assert results["workload"]["valid?"] is True
    assert results["valid?"] is False


@pytest.mark.parametrize(
    ("wrong", "least_lines", "least_megabytes"), [("floods", 5000, 0), ("floods-without-end", 0, 20)]
)
async def test_a_flood_is_ended(folder: Path, wrong: str, least_lines: int, least_megabytes: int) -> None:
    """A node that prints without end, lines or none, is killed before it fills the memory."""
    async with staged(folder, *WRONG, wrong, burst=5000) as stage:
        await stage.init()
        await until(lambda: not stage.host.is_alive)
        [problem] = stage.host.problems
        told = re.fullmatch(
            r"node 'n1' floods its stdout: ([\d,]+) lines \(([\d.]+) MB\) within [\d.]+ s(?:, most often .*)?; if this"
            r" is intended, give a --busy-limit \(busy_limit=\) above 5000; it was killed",
            problem,
        )
        assert told, problem
        assert int(told[1].replace(",", "")) >= least_lines
        assert float(told[2]) >= least_megabytes
        assert_nothing_is_left(folder)


async def test_a_flood_of_many_small_parts_is_ended(mock_clock: trio.testing.MockClock) -> None:
    """Who prints the most is the one to stop, when all together print more than they may for too long."""
    traffic = Traffic(rate=100, burst=1000)
    ended = []
    for _ in range(100):
        mock_clock.jump(0.125)
        for node_id, count in [("leader", 9), ("one", 50), ("other", 40), ("quiet", 1)]:
            if node_id not in ended and traffic.add(node_id, count, 0):
                ended.append(node_id)
                assert traffic.describe(node_id)
    assert ended == ["one", "other"]


async def test_old_lines_are_forgotten(mock_clock: trio.testing.MockClock) -> None:
    """Whoever printed much over a long time is not to blame for the flood of another."""
    traffic = Traffic(rate=100, burst=1000)
    for _ in range(100):
        mock_clock.jump(1.0)
        assert not traffic.add("leader", 99, 0)
    mock_clock.jump(1.0)
    assert not traffic.add("leader", 500, 0)
    assert not traffic.add("flooder", 400, 0)
    mock_clock.jump(2.0)
    assert not traffic.add("flooder", 300, 0)
    assert not traffic.add("leader", 50, 0)
    assert traffic.add("flooder", 0, 4096)
    assert traffic.describe("flooder") == ("700 lines (0.0 MB)", 2.0)


async def test_a_flood_of_stderr_hinders_nobody(folder: Path) -> None:
    """However much a node says on stderr, it is served; what is kept of it is bounded, line by line."""
    async with staged(folder, *WRONG, "floods-stderr") as stage:
        await stage.init()
        await until(lambda: len(stage.host.log.lines()) > 100)
        for number in range(5):
            assert (await stage.ask({"type": "echo", "echo": number}))["echo"] == number
        assert set(stage.host.log.lines()) == {"x" * LOG_LINE_LIMIT + "..."}
        assert stage.host.problems == []


async def test_a_node_that_does_not_read_is_ended(folder: Path) -> None:
    """Messages that nobody reads do not fill the memory: beyond a limit their receiver is killed."""
    async with staged(folder, "sleep", "1000") as stage:
        for _ in range(63):
            stage.send({"type": "big", "text": "x" * 1024 * 1024})
            assert stage.host.problems == []
        stage.send({"type": "big", "text": "x" * 1024 * 1024})
        assert stage.host.problems == [
            "node 'n1' does not read its stdin: more than 64 MiB are waiting there; it was killed"
        ]
        assert not stage.host.is_alive
        stage.send({"type": "late"})
        assert stage.network.journal[-1].reason == "down"


async def test_what_was_read_does_not_wait_to_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what waits counts, however much a node is sent over time."""
    monkeypatch.setattr("trio_messenger.sim._system.children.INBOX_LIMIT", 1024 * 1024)
    async with staged(folder, *FOREIGN) as stage:
        await stage.init()
        for number in range(4):
            for _ in range(9):
                stage.send({"type": "big", "text": "x" * 100 * 1024})
            assert (await stage.ask({"type": "echo", "echo": number}))["echo"] == number
        assert stage.host.problems == []


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
async def test_a_node_that_closes_a_pipe_is_named(folder: Path, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that can no longer hear, or be heard, though it runs, has a problem."""
    monkeypatch.setattr("trio_messenger.sim._cluster.processes.PIPE_GRACE", 0.05)
    async with staged(folder, *WRONG, f"closes-{stream}") as stage:
        await stage.init()
        while stage.host.problems == []:  # it may not have closed it yet
            stage.send({"type": "echo"})
            await trio.sleep(0.01)
        assert stage.host.problems == [f"node 'n1' closed its {stream}, although it still runs"]
        assert stage.host.is_alive


async def test_what_a_node_started_ends_with_it(folder: Path) -> None:
    """When a node ends of itself, what it has left running in its group of processes is killed."""
    async with staged(folder, "sh", "-c", "sleep 1000 & exit 1") as stage:
        await until(lambda: not stage.host.is_alive)
        assert stage.host.problems == ["node 'n1' exited with status 1"]
        assert_nothing_is_left(folder)


async def test_what_is_left_running_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What left the node's group of processes is not killed with it, but the node's end does not wait for it."""
    monkeypatch.setattr("trio_messenger.sim._cluster.processes.PIPE_GRACE", 0.05)
    async with staged(folder, *WRONG, "leaves-something") as stage:
        await until(lambda: len(stage.host.problems) == 2)
        assert stage.host.problems == [
            "node 'n1' exited with status 0",
            "node 'n1' left a process running outside of its process group, which keeps its stdout or stderr open",
        ]
    [left] = processes_in(folder)
    os.kill(left, signal.SIGKILL)


async def test_a_node_that_was_dead_before_it_was_killed_has_a_problem(folder: Path) -> None:
    """That a node ended of itself is told also if it did so in the last moment."""
    async with staged(folder, "sleep", "1000") as stage:
        [number] = processes_in(folder)
        os.kill(number, signal.SIGSEGV)
        await_death(number)
        stage.host.kill()
        assert stage.host.problems == ["node 'n1' was killed by SIGSEGV"]
