"""Names: what a command line can call what was tested, and that a command that is given runs."""

from __future__ import annotations

import importlib
import json
import shlex
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.processes import SCRIPTS

from trio_messenger import Node
from trio_messenger.nodes import broadcast, echo, pn_counter
from trio_messenger.sim import Fault, Loss, Report, SlowLinks, simulate
from trio_messenger.sim._faults.faults import Kill, Partition, in_python
from trio_messenger.sim._judging import naming
from trio_messenger.sim._judging.naming import can_be_found, name_of
from trio_messenger.sim._judging.store import save

NODES = """
from trio_messenger import Node

def build():
    node = Node()
    node.on("echo")(lambda: {"echo": None})
    return node

def unseeded():
    return build()

class Maker:
    def build(self):
        return build()
"""


def at_the_top() -> Node:
    """Return a node; this function is where a command line would look for it, if it found this file."""
    return echo.build()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module that this process can import; the names found there are forgotten."""
    (tmp_path / "nodes_here.py").write_text(NODES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("nodes_here", "elsewhere"):
        sys.modules.pop(name, None)


def imported(name: str) -> Any:
    importlib.invalidate_caches()
    return importlib.import_module(name)


def failed(build: Callable[..., Node], **given: Any) -> Report:
    report = simulate("echo", build, nodes=1, time_limit=2, **given)
    assert report.valid is False
    return report


def run(command: str | None) -> dict[str, Any]:
    """Run the command that a report gives, as a person would, and return what it says."""
    assert command is not None
    program, *words = shlex.split(command)
    done = subprocess.run(
        [str(SCRIPTS / program), *words, "--no-store", "--json"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_what_can_be_named_has_a_command_that_runs(here: Path) -> None:
    """The command gives the same run, message by message."""
    report = failed(imported("nodes_here").build, seed=3)
    assert report.node == ("--node", "nodes_here:build")
    assert run(report.command)["digest"] == report.digest
    with pytest.raises(AssertionError) as caught:
        report.assert_valid()
    assert f"{caught.value}".endswith(f"\nrun it again with: {report.command}")


def test_a_ready_made_node_has_its_name() -> None:
    """It is found anywhere, without looking."""
    assert name_of(broadcast.build) == ("--node", "broadcast")
    assert name_of(pn_counter.build) == ("--node", "pn-counter")
    assert can_be_found(("--node", "pn-counter"), "pn-counter")


def test_what_has_no_name_has_no_command(here: Path) -> None:
    """Functions in functions, lambdas, methods, partial functions, and those that a name no longer stands for."""
    module = imported("nodes_here")

    def local() -> Node:
        return echo.build()

    old = module.unseeded
    module.unseeded = lambda: echo.build(*())
    for build in (local, module.Maker().build, partial(echo.build), old, module.unseeded):
        assert name_of(build) == ()
    main = types.ModuleType("__main__")
    exec(NODES, vars(main))
    assert name_of(main.build) == ()
    assert failed(module.Maker().build).command is None


@pytest.mark.slow
def test_what_the_next_process_does_not_find_has_no_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that was imported from a folder where a command does not look, as pytest does it."""
    (here / "tests").mkdir()
    (here / "tests" / "elsewhere.py").write_text(NODES)
    monkeypatch.syspath_prepend(here / "tests")
    build = imported("elsewhere").build
    report = failed(build, seed=5)
    assert report.node == ("--node", "elsewhere:build")
    assert report.command is None
    with pytest.raises(AssertionError) as caught:
        report.assert_valid()
    assert f"{caught.value}".endswith(
        "\nrun it again with the same arguments of simulate(), with seed=5;"
        " no command line can name the node under test"
    )
    monkeypatch.chdir(here / "tests")
    assert run(report.command)["digest"] == report.digest


@pytest.mark.slow
def test_a_name_is_tried_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask again takes no time; and a module that asks when it is imported is not imported again and again."""
    report = failed(imported("nodes_here").build)
    with monkeypatch.context() as changed:
        changed.setenv("TRIO_MESSENGER_TRIES_A_NAME", "1")
        assert not can_be_found(report.node, "echo")
    assert can_be_found(report.node, "echo")
    monkeypatch.setattr(subprocess, "run", None)
    assert can_be_found(report.node, "echo")


def test_where_nothing_can_be_tried_there_is_no_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Python to try it with, one that takes too long, or no current folder."""
    name = ("--node", "nodes_here:slow")
    (here / "nodes_here.py").write_text("import time; time.sleep(1000)")
    monkeypatch.setattr(naming, "TRIAL_PATIENCE", 0.01)
    assert not can_be_found(name, "echo")
    monkeypatch.setattr(sys, "executable", str(here / "no-python"))
    assert not can_be_found(("--node", "nodes_here:other"), "echo")
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    assert not can_be_found(name, "echo")


FAULTS: list[Fault] = [
    Partition.between(["n1"], ["n2"], at=1, until=5),
    Loss(rate=0.5),
    Kill(nodes=["n1"], until=7),
    SlowLinks(extra=1),
]


def test_faults_can_be_written_in_python() -> None:
    """The code makes the same faults again, and has no fields that have their defaults."""
    text = in_python(FAULTS)
    names = {fault.__name__: fault for fault in (Partition, Loss, Kill, SlowLinks)}
    assert eval(text, dict(names)) == FAULTS
    assert "Loss(rate=0.5), Kill(until=7, nodes=('n1',)), SlowLinks(extra=1)]" in text
    assert in_python([]) == "[]"


def test_the_smallest_schedule_of_what_has_no_name_is_python() -> None:
    """Where there is no command to run it with, the schedule is shown as the argument of `simulate`."""

    def build() -> Node:
        node = Node()
        node.on("echo")(lambda: {"echo": None})
        return node

    report = failed(build, faults=[Loss(rate=0.5, at=1)])
    with pytest.raises(AssertionError, match=r"\nrun that with faults=\[\]$"):
        report.assert_valid()


def test_the_page_of_what_has_no_name_shows_no_command(tmp_path: Path) -> None:
    """Neither ``replay`` nor ``shrink`` can run it again; the seed can, with the same arguments."""

    def build() -> Node:
        return echo.build()

    page = (save(simulate("echo", build, time_limit=1, seed=8), tmp_path, "8") / "index.html").read_text()
    assert "No command line can name the node under test" in page
    assert "seed=8" in page
    assert "trio-messenger replay" not in page
