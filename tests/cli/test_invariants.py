"""``--invariant MODULE:FUNCTION`` for `test`, `replay` and `shrink`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import in_folder, outcome, wrong

CHECKS = """
print("imported")

def n2_lives(nodes):
    assert "n2" in nodes, "n2 is dead"

def holds(nodes):
    print("checked")

async def waits(nodes):
    pass
"""

NODE = """
from trio_messenger.nodes import echo

def build():
    return echo.build()

def not_four(nodes):
    assert len(nodes) != 4, "there are four"
"""

KILLS = json.dumps([{"kind": "kill", "nodes": [node], "at": 0.5, "until": 1} for node in ("n1", "n2")])

TEST = ("test", "-w", "echo", "--nodes", "n1,n2,n3", "--time-limit", "2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with modules to name on the command line."""
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "four.py").write_text(NODE)
    for _ in in_folder(tmp_path, monkeypatch):
        yield tmp_path


def test_a_test_is_invalid_if_an_invariant_is_violated() -> None:
    """The command that makes the run again has all invariants; what their module prints is no result."""
    found = outcome(*TEST, "--faults", KILLS, "--invariant", "checks:n2_lives", "--invariant", "checks:holds", "--json")
    told = json.loads(found.output)
    assert (found.status, told["valid?"]) == (1, False)
    assert "--invariant checks:n2_lives --invariant checks:holds" in told["command"]
    assert told["reasons"][0].endswith(": n2 is dead")
    assert list(told["invariants"]["by-name"]) == ["checks:n2_lives", "checks:holds"]


def test_replay_and_shrink_repeat_the_violation() -> None:
    """Shrinking loses the kill that does not matter."""
    assert outcome(*TEST, "--faults", KILLS, "--invariant", "checks:n2_lives").status == 1
    replayed = outcome("replay", "store/latest")
    assert replayed.status == 1
    assert "n2 is dead" in replayed.line("because")
    assert replayed.output.splitlines()[-1] == "This is the same run, message by message."
    shrunk = json.loads(outcome("shrink", "store/latest", "--json").output)
    assert [fault["nodes"] for fault in shrunk["smallest"]] == [["n2"]]


def test_a_valid_run_is_replayed_and_shrunk_with_another_invariant() -> None:
    """It is the same run, and not valid any more."""
    assert outcome(*TEST, "--faults", KILLS).status == 0
    replayed = outcome("replay", "store/latest", "--invariant", "checks:n2_lives")
    assert replayed.status == 1
    assert replayed.output.splitlines()[-1] == "This is the same run, message by message."
    found = outcome("shrink", "store/latest", "--invariant", "checks:n2_lives", "--json", "--budget", "2")
    assert json.loads(found.output)["reasons"][0].endswith(": n2 is dead")


def test_an_invariant_may_be_in_the_module_of_the_nodes() -> None:
    """Each node has its own copy of that module, and the invariant is of another one."""
    found = outcome(
        "test",
        "-w",
        "echo",
        "--node",
        "four:build",
        "--node-count",
        "4",
        "--time-limit",
        "1",
        "--invariant",
        "four:not_four",
        "--no-store",
    )
    assert found.line("because").endswith(": there are four")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one_leader", "--invariant 'one_leader' names no function; give MODULE:FUNCTION, such as checks:one_leader"),
        (
            "checks:n2_live",
            "--invariant checks:n2_live: module 'checks' has no function 'n2_live'; did you mean 'n2_lives'?",
        ),
        ("checks:zzz", "--invariant checks:zzz: module 'checks' has no function 'zzz'"),
        ("nothing:here", "nothing:here: there is no module 'nothing' in this folder or among the installed ones"),
        ("checks.py:holds", "checks.py:holds: give the module, not its file: checks:holds"),
    ],
)
def test_a_wrong_name_is_refused(name: str, text: str) -> None:
    """Before the run, with what would be right."""
    assert wrong(*TEST, "--invariant", name) == text


def test_a_function_that_is_no_invariant_is_refused() -> None:
    """As `simulate` refuses it."""
    assert "is async, and no event may pass while it looks" in wrong(*TEST, "--invariant", "checks:waits")
    text = wrong(*TEST, "--invariant", "checks:holds", "--invariant", "checks:holds")
    assert text == "the invariant 'checks:holds' is given 2 times; give it once"


def test_a_module_that_cannot_be_imported_is_shown_with_its_error() -> None:
    """That is no verdict."""
    found = outcome(*TEST, "--invariant", "broken:holds")
    assert found.status == 255
    assert "ZeroDivisionError" in found.errors


def test_executables_have_no_invariants(folder: Path) -> None:
    """The reason is that they show no objects."""
    executable = folder / "node.sh"
    executable.write_text("#!/bin/sh\ncat\n")
    executable.chmod(0o755)
    text = wrong("test", "-w", "echo", "--bin", "./node.sh", "--invariant", "checks:holds")
    assert "--invariant is for nodes in this process: it looks at their objects, and an executable shows none" in text
