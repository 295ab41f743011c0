"""The simulator's commands as processes: pipes, signals, and nodes that are executables."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import GOSSIP, README, in_folder, outcome
from support.processes import MODULE, SCRIPTS, child, run, until

from trio_messenger._cli import seeds as seeds_command
from trio_messenger._cli.seeds import make_and_keep_run, make_run
from trio_messenger.sim import Options, Partition
from trio_messenger.sim._campaigns.campaign import CampaignReport
from trio_messenger.sim._campaigns.interpreters import SeedResult
from trio_messenger.sim._judging.store import load

TEST = (*MODULE, "test")

WITH_PID = """
import os
from pathlib import Path
Path(__file__).with_name(f"{os.getpid()}.pid").touch()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A folder with modules that can be named, or run."""
    (tmp_path / "my_node.py").write_text(WITH_PID + README)
    (tmp_path / "gossip.py").write_text(GOSSIP)
    return tmp_path


def pids(folder: Path) -> list[int]:
    """Return the ids of the processes that have executed my_node.py."""
    return [int(path.stem) for path in folder.glob("*.pid")]


def is_there(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [pytest.param(MODULE, id="module"), pytest.param((SCRIPTS / "trio-messenger",), id="script")]
)
async def test_a_test_is_a_process_like_any_other(command: tuple[str, ...], folder: Path) -> None:
    """The report is on stdout, nothing on stderr, the verdict in the status; the module is in the current folder."""
    status, output, errors = await run(
        *command, "test", "-w", "echo", "--node", "my_node:node", "--time-limit", "3", cwd=folder
    )
    assert (status, errors) == (0, "")
    assert output.decode().startswith("echo, 5 nodes, seed 0: valid\n  operations ")
    assert (folder / "store" / "latest" / "results.json").is_file()


@pytest.mark.slow
async def test_what_fails_can_be_replayed_and_shrunk(folder: Path) -> None:
    """The commands that a failure prints are the ones that work."""
    given = ("--seed", "7", "-w", "broadcast", "--node", "gossip:node", "--time-limit", "4", "--nemesis", "partition")
    status, output, errors = await run(*TEST, *given, cwd=folder)
    assert (status, errors) == (1, "")
    commands = [line.split()[1:] for line in output.decode().splitlines() if line.startswith(("  replay", "  shrink"))]
    assert [words[:2] for words in commands] == [["trio-messenger", "replay"], ["trio-messenger", "shrink"]]
    status, output, errors = await run(SCRIPTS / commands[0][0], *commands[0][1:], cwd=folder)
    assert (status, errors) == (1, "")
    assert output.endswith(b"This is the same run, message by message.\n")
    status, output, errors = await run(SCRIPTS / commands[1][0], *commands[1][1:], "--budget", "2", cwd=folder)
    assert (status, errors) == (0, "")
    assert output.startswith(b"It still fails with 1 of its 1 faults")


async def test_the_verdict_is_in_the_status_though_nobody_reads_it(folder: Path) -> None:
    """As with ``| head -0``: no traceback, and the status is that of the run."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        status, _, errors = await run(*TEST, "-w", "echo", "--time-limit", "1", "--no-store", stdout=writer, cwd=folder)
    finally:
        os.close(writer)
    assert (status, errors) == (0, "")


async def test_a_node_does_not_load_the_simulator() -> None:
    """Whoever starts a node, a hundred times perhaps, does not wait for what only a test needs."""
    code = (
        "import sys\nfrom trio_messenger import _cli\n_cli.main(['node', 'echo'])\n"
        "print(*[name for name in sys.modules if name.startswith(('trio_messenger.sim', 'importlib.metadata'))])"
    )
    assert await run(sys.executable, "-c", code, input=b"") == (0, b"\n", "")


# Executables


async def test_executables_run_in_real_time(folder: Path) -> None:
    """``--bin`` runs a process for each node, with what comes after ``--``; the run is kept under its time."""
    script = str(folder / "my_node.py")
    status, output, errors = await run(
        *TEST,
        "-w",
        "echo",
        "--bin",
        sys.executable,
        "--node-count",
        "2",
        "--time-limit",
        "0.5",
        "--json",
        "--",
        script,
        cwd=folder,
    )
    assert (status, errors) == (0, "")
    result = json.loads(output)
    assert result["valid?"] is True
    stored = load(folder / result["folder"])
    assert stored.node == ("--bin", sys.executable, "--", script)
    assert result["command"].endswith(f" --bin {sys.executable} -- {script}")
    assert Path(result["folder"]).parts[:2] == ("store", "echo")
    assert len(Path(result["folder"]).name) == len("20260102T030405")
    assert len(pids(folder)) == 2
    assert not any(map(is_there, pids(folder)))
    status, output, errors = await run(*MODULE, "replay", "store/latest", cwd=folder)
    assert (status, errors) == (0, "")
    assert output.decode().splitlines()[-1] == (
        "This is another run with the same options: it ran in real time, which cannot be repeated."
    )
    status, output, errors = await run(*MODULE, "shrink", "store/latest", cwd=folder)
    assert (status, output) == (254, b"")
    assert errors.startswith("trio-messenger shrink: error: executables run in real time, which cannot be repeated")
    schedule = folder / result["folder"] / "schedule.json"
    content = json.loads(schedule.read_text())
    content["options"]["faults"] = [{"kind": "clock", "nodes": ["n1"], "seconds": 1}]
    schedule.write_text(json.dumps(content))
    status, output, errors = await run(*MODULE, "replay", "store/latest", cwd=folder)
    assert (status, output) == (254, b"")
    assert errors.startswith("trio-messenger replay: error: a fault of kind 'clock' cannot be applied to executables")


@pytest.mark.slow
@pytest.mark.every_python
async def test_an_executable_that_does_not_come_up_is_told(folder: Path) -> None:
    """One line names the node and how it ended, then come its last lines; no traceback, and status 255."""
    code = "import sys; sys.exit('I am not well')"
    status, output, errors = await run(*TEST, "-w", "echo", "--bin", sys.executable, "--", "-c", code, cwd=folder)
    assert (status, output) == (255, b"")
    assert errors.startswith("trio-messenger test: error: node 'n1' ")
    assert "I am not well" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("subject", ["executables", "nodes here"])
async def test_ctrl_c_ends_a_test_and_all_it_started(subject: str, folder: Path) -> None:
    """One line, status 130, nothing kept, and no process left."""
    script = str(folder / "my_node.py")
    of_subject = (
        ("--bin", sys.executable, "--node-count", "2", "--", script)
        if subject == "executables"
        else ("--node", "my_node:node", "--time-limit", "1000000")
    )
    # Until the signal comes, it writes as fast as it can, and this process has to read all of that.
    async with child(*TEST, "-w", "echo", "--log-net-send", *of_subject, cwd=folder, limit=240) as it:
        await until(lambda: b'"type":"echo"' in it.errors)
        it.signal(signal.SIGINT)
        assert await it.read_rest() == b""
        assert await it.wait() == 130
    # A busy machine may have held up a node just then, which the message says.
    assert re.search(r"\ntrio-messenger test: interrupted(; node '\w+' was in .+)?\n\Z", it.errors.decode())
    assert not any(map(is_there, pids(folder)))
    assert not (folder / "store" / "latest").exists()


# Many seeds


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, as the current one."""
    for _ in in_folder(folder, monkeypatch):
        yield folder


def test_runs_of_executables_are_made_one_at_a_time_and_kept_by_whoever_makes_them(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real time is none where clusters share a machine, and nobody can make such a run again."""
    asked: list[Any] = []

    def campaign(*_: object, **given: object) -> CampaignReport:
        asked.append((given["make_run"], given["jobs"]))
        return CampaignReport(results=(SeedResult(seed=0, valid=False, reasons=("bad",)),), planned=1)

    monkeypatch.setattr(seeds_command, "run_campaign", campaign)
    found = outcome("test", "-w", "echo", "--bin", "true", "--seeds", "1")
    assert found.status == 1
    assert "bad" in found.output
    outcome("test", "-w", "echo", "--bin", "true", "--seeds", "1", "--jobs", "2", "--no-store")
    (keeping, one), (plain, two) = asked
    assert (plain, one, two) == (make_run, 1, 2)
    assert (keeping.func, keeping.args) == (make_and_keep_run, (here / "store",))


def test_a_run_that_fails_is_kept_by_the_process_that_made_it(here: Path) -> None:
    """One that is valid is not."""
    options = Options(
        workload="broadcast", time_limit=5, seed=7, faults=[Partition(links=(("nodes", "nodes"),), until=4)]
    )
    report = make_and_keep_run(here / "store", options, ("--node", "gossip:node"))
    [kept] = (here / "store" / "broadcast").glob("7-*")
    assert load(kept).digest == report.digest
    make_and_keep_run(here / "store", Options(workload="echo", time_limit=1), ("--node", "echo"))
    assert not (here / "store" / "echo").exists()
