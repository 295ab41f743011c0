"""The guardian of a run: nodes end with the process that runs them, however that ends; daemons are named."""

from __future__ import annotations

import io
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from support.processes import MODULE, child, needs_proc, run, until

from trio_messenger._cli.subject import Executables
from trio_messenger.sim import Options
from trio_messenger.sim._runs.real_time import _conduct
from trio_messenger.sim._runs.run import Run
from trio_messenger.sim._system import guardian
from trio_messenger.sim._system.ending_signals import HeldSignals
from trio_messenger.sim._system.guardian import VARIABLE, guard, guarded, kill_marked, marked

pytestmark = needs_proc

TEST = (*MODULE, "test", "-w", "echo", "--node-count", "2")

NODE = """
import os, subprocess, sys, time
from pathlib import Path
from trio_messenger import Node, Request

node = Node()


@node.on_init
def start():
    for kind in sys.argv[1:]:
        if kind == "daemon" and node.id == "n1":
            null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.Popen(["sleep", "987654"], start_new_session=True, cwd="/", **null)
        if kind == "child":
            subprocess.Popen(["sleep", "987654"])
        if kind == "deaf":
            print("stuck", file=sys.stderr, flush=True)
            Path(__file__).with_name(f"{node.id}.stuck").touch()
            time.sleep(987654)


@node.on("echo")
def echo(request: Request):
    return {"echo": request.body["echo"]}


node.run()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that runs make their temporary folders in, which is empty in the end, with no process of theirs left.

    The current folder has a node that starts what its arguments say.
    """
    (tmp_path / "its_node.py").write_text(NODE)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == []


def processes_of(folder: Path) -> list[int]:
    """Return the processes that have the mark of a run, and the environment of the test with that *folder*."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_node = any(variable.startswith(VARIABLE.encode() + b"=") for variable in environment)
        if is_node and f"TMPDIR={folder}".encode() in environment:
            found.append(int(path.name))
    return found


# The bench is killed


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("kind", ["", "child", "daemon"])
async def test_nodes_end_though_the_bench_is_killed(kind: str, temporary: Path) -> None:
    """SIGKILL, which nobody can handle, leaves neither nodes, nor what they have started, nor a folder."""
    script = str(temporary.parent / "its_node.py")
    options = ("--time-limit", "1000", "--log-net-send", "--no-store", "--bin", sys.executable, "--", script, kind)
    async with child(*TEST, *options) as bench:
        await until(lambda: b'"type":"echo"' in bench.errors)
        assert len(processes_of(temporary)) >= 2 + bool(kind)
        bench.signal(signal.SIGKILL)
        await until(lambda: processes_of(temporary) == [] and list(temporary.iterdir()) == [])


@pytest.mark.slow
@pytest.mark.every_python
async def test_nodes_that_read_nothing_end_though_the_bench_is_killed(temporary: Path) -> None:
    """That includes those that would never notice that their stdin has ended."""
    script = temporary.parent / "its_node.py"
    async with child(*TEST, "--no-store", "--bin", sys.executable, "--", script, "deaf") as bench:
        await until(lambda: len(list(temporary.parent.glob("*.stuck"))) == 2)
        bench.signal(signal.SIGKILL)
        await until(lambda: processes_of(temporary) == [] and list(temporary.iterdir()) == [])


# The bench is interrupted


def test_impatience_leaves_nothing(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often Ctrl-C comes, also while nodes are closing and the folder is removed: no process, and no folder."""
    cleanup = tempfile.TemporaryDirectory.cleanup

    def clean_up(folder: tempfile.TemporaryDirectory[str]) -> None:
        signal.raise_signal(signal.SIGINT)
        cleanup(folder)
        signal.raise_signal(signal.SIGINT)

    def watch(run: Run) -> None:
        if run.phase == "main":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", clean_up)
    subject = Executables(("--bin", sys.executable, "--", str(temporary.parent / "its_node.py"), "child"))
    with pytest.raises(KeyboardInterrupt):
        subject.run(Options(workload="echo", nodes=["n1", "n2"]), watch)


async def test_a_signal_before_the_run_ends_it_at_once() -> None:
    """One that comes just before anybody could be told of it is not lost."""
    signals = HeldSignals([signal.SIGTERM])
    await _conduct(trio.sleep_forever, signals)
    signals.notice()


# Daemons


async def test_a_daemon_that_outlives_the_run_is_named(temporary: Path) -> None:
    """It is killed, and a warning has its node, its number and its command; the verdict is that of the rest."""
    script = temporary.parent / "its_node.py"
    given = ("--time-limit", "0.5", "--no-store", "--json", "--bin", sys.executable, "--", script, "daemon")
    status, output, errors = await run(*TEST, *given)
    found = json.loads(output)
    assert (status, found["valid?"], errors) == (0, True, "")
    [warning] = found["warnings"]
    assert warning.startswith("node 'n1' left process ")
    assert warning.endswith(" running outside of its process group, as daemons do; it was killed: sleep 987654")
    assert found["nodes"]["daemons"] == [warning]


# The guardian itself


def test_it_kills_what_it_was_told_of(tmp_path: Path) -> None:
    """Groups that have started and not ended, and whatever has the mark; then the folder goes."""
    given: Any = {"start_new_session": True, "stdout": subprocess.DEVNULL}
    folder = tmp_path / "nodes"
    folder.mkdir()
    environment = {**os.environ, VARIABLE: "a-token/n1"}
    with (
        subprocess.Popen(["sleep", "987654"], **given) as told,
        subprocess.Popen(["sleep", "987654"], **given) as ended,
        subprocess.Popen(["sleep", "987654"], env=environment, **given) as has_mark,
    ):
        lines = [b"+%d\n" % pid for pid in (told.pid, ended.pid, has_mark.pid)] + [b"-%d\n" % ended.pid]
        guard([*lines, b"+%d\n" % 2**22], "a-token", str(folder))  # the last one has ended by itself
        assert (told.wait(), has_mark.wait()) == (-signal.SIGKILL, -signal.SIGKILL)
        assert ended.poll() is None
        ended.kill()
    assert not folder.exists()


def test_it_is_a_program_of_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads its stdin to the end, and removes the folder that its arguments name."""
    folder = tmp_path / "nodes"
    folder.mkdir()
    monkeypatch.setattr(sys, "argv", ["guardian", "a-token", str(folder)])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    runpy.run_path(guardian.__file__, run_name="__main__")
    assert not folder.exists()


def test_it_finds_what_has_the_mark_of_its_run_only() -> None:
    """Other runs are guarded by others."""
    environment = {**os.environ, VARIABLE: "a-token/n1"}
    with subprocess.Popen(["sleep", "987654"], env=environment) as process:
        assert marked("a-token") == {process.pid: "n1"}
        assert marked("another") == {}
        assert kill_marked("another") == {}
        assert kill_marked("a-token") == {process.pid: ("n1", "sleep 987654")}
        assert process.wait() == -signal.SIGKILL


def test_it_gives_up_what_cannot_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not go away, or ends just before it is looked at, does not keep it."""
    monkeypatch.setattr(guardian, "_SECONDS", 0.1)
    monkeypatch.setattr(guardian, "marked", lambda _: {2**22: "n1"})
    assert kill_marked("a-token") == {2**22: ("n1", "")}


def test_a_daemon_without_a_command_line_is_named_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number is what there is."""
    monkeypatch.setattr(guardian, "kill_marked", lambda _: {7: ("n1", "")})
    with guarded(Path("/nonexistent")) as run:
        [line] = run.end_daemons()
    assert line.endswith("it was killed: its command line is unknown")


def test_a_run_goes_on_without_its_guardian(tmp_path: Path) -> None:
    """If somebody kills the guardian, nothing else changes."""
    with guarded(tmp_path) as guardian:
        process = guardian._process
        process.kill()
        process.wait()
        guardian.note_start(1)
        guardian.note_end(1)
    assert tmp_path.exists()
