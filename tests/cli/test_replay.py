"""``trio-messenger replay`` and ``trio-messenger shrink``: runs that are kept are run again."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.command_line import GOSSIP, Outcome, in_folder, outcome, wrong

from trio_messenger.nodes import echo
from trio_messenger.sim import Loss, Options, Partition, simulate
from trio_messenger.sim._judging.store import load, save

CUT = {"kind": "partition", "links": [["nodes", "nodes"]], "at": 1, "until": 4}
HARMLESS = {"kind": "loss", "rate": 0, "at": 2}
FAULTS = json.dumps([HARMLESS, CUT, HARMLESS])

FAILS = ("-w", "broadcast", "--node", "gossip:node", "--nodes", "n1,n2,n3", "--time-limit", "5", "--faults", FAULTS)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module to name on the command line."""
    (tmp_path / "gossip.py").write_text(GOSSIP)
    for _ in in_folder(tmp_path, monkeypatch):
        yield tmp_path


def failed(seed: int = 7) -> Outcome:
    """Make a run that fails, because of one of its three faults, and keep it."""
    found = outcome("test", *FAILS, "--seed", str(seed))
    assert found.status == 1
    return found


# replay


def test_a_replay_is_the_same_run(folder: Path) -> None:
    """It says so, shows the same summary, ends with the same status, and leaves the files alone."""
    before = failed()
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("store/**/*")}
    found = outcome("replay", "store/latest")
    assert (found.status, found.errors) == (1, "")
    assert found.output.splitlines()[-1] == "This is the same run, message by message."
    assert found.output.splitlines()[0] == before.output.splitlines()[0]
    assert found.line("because") == before.line("because")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("store/**/*")} == kept


def test_a_replay_of_a_valid_run_ends_with_status_0() -> None:
    """The exit status is that of the verdict."""
    outcome("test", "-w", "echo", "--time-limit", "2")
    found = outcome("replay", "store/echo/0", "--json")
    assert found.status == 0
    assert (found.json["valid?"], found.json["same-run"], found.json["folder"]) == (True, True, None)
    assert found.json["digest"] == load(Path("store/echo/0")).digest
    assert found.errors == "This is the same run, message by message.\n"


def test_a_replay_shows_what_a_test_can_show() -> None:
    """Messages and logs can be looked at afterwards: the run that failed is there to be seen again."""
    failed()
    found = outcome("replay", "store/latest", "--log-net-send", "--log-net-recv")
    assert "0.000000 send {" in found.errors
    assert "drop (partition) {" in found.errors


@pytest.mark.parametrize(
    ("old", "new", "last", "verdict"),
    [
        ("sorted(messages)", "sorted(messages, reverse=True)", "read_ok", 1),
        ('"tell", "message"', '"tell", "again": 1, "message"', "tell", 1),
    ],
)
def test_a_run_that_is_not_the_same_shows_where_it_differs(
    old: str, new: str, last: str, verdict: int, folder: Path
) -> None:
    """It names the first entry of the journal that is another one, both as it was and as it is now."""
    failed()
    (folder / "gossip.py").write_text(GOSSIP.replace(old, new))
    found = outcome("replay", "store/broadcast/7")
    assert found.status == verdict
    lines = found.output.partition("This is not the same run: it differs from entry ")[2].splitlines()
    index = int(re.findall(r"^(\d+) of the journal on\.$", lines[0])[0])
    [before] = [line for line in lines if line.startswith("  before: ")]
    [now] = [line for line in lines if line.startswith("  now:    ")]
    assert before != now
    assert last in now
    assert sum(line.startswith("  both:   ") for line in lines) == min(index, 3)
    assert lines[-1].endswith("--seed 7 " + lines[-1].partition("--seed 7 ")[2])
    assert lines[-1].startswith("  trio-messenger test -w broadcast --node gossip:node")
    assert lines[-1].endswith(" --check-determinism")
    assert outcome("replay", "store/broadcast/7", "--json").errors == found.output[found.output.index("This is not") :]


def test_a_run_that_ends_earlier_differs_at_its_end(folder: Path) -> None:
    """One journal may be the beginning of the other."""
    failed()
    journal = folder / "store/broadcast/7/journal.jsonl"
    schedule = folder / "store/broadcast/7/schedule.json"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    schedule.write_text(schedule.read_text().replace(load(schedule.parent).digest, "another"))
    found = outcome("replay", "store/broadcast/7")
    assert "  before: no further entry: this run has ended\n" in found.output


def test_a_digest_that_is_not_that_of_the_journal_is_told(folder: Path) -> None:
    """If somebody has changed the files, this says what does not go together."""
    failed()
    schedule = folder / "store/broadcast/7/schedule.json"
    schedule.write_text(schedule.read_text().replace(load(schedule.parent).digest, "another"))
    found = outcome("replay", "store/broadcast/7")
    assert found.output.splitlines()[-1] == (
        "This is the same run as in journal.jsonl, message by message, but schedule.json has another digest."
    )
    (schedule.parent / "journal.jsonl").unlink()
    found = outcome("replay", "store/broadcast/7")
    assert found.output.splitlines()[-1].startswith("This is not the same run. The first difference is unknown: ")


def test_what_is_no_run_is_refused(folder: Path) -> None:
    """One line says what is wrong with the folder, or with what was tested."""
    message = "nowhere has no schedule.json: give the folder of a run, such as store/latest"
    assert [wrong(command, "nowhere") for command in ("replay", "shrink")] == [message] * 2
    failed()
    (folder / "gossip.py").unlink()
    del sys.modules["gossip"]
    message = "gossip:node: there is no module 'gossip' in this folder or among the installed ones"
    assert [wrong(command, "store/latest") for command in ("replay", "shrink")] == [message] * 2
    report = simulate("echo", partial(echo.build), time_limit=0)
    save(report, folder, "x")
    message = "echo/x: a program made this run, so the command line cannot find its nodes; run the program again"
    assert [wrong(command, "echo/x") for command in ("replay", "shrink")] == [message] * 2
    assert "the following arguments are required: DIR" in wrong("replay")


# shrink


def test_a_schedule_is_shrunk_to_what_matters(folder: Path) -> None:
    """Of three faults one is left, milder than it was; its run is kept beside the first, and can be replayed."""
    failed()
    found = outcome("shrink", "store/latest")
    assert (found.status, found.errors) == (0, "")
    lines = found.output.splitlines()
    assert re.fullmatch(r"It still fails with 1 of its 3 faults, found in \d+ runs:", lines[0])
    assert re.fullmatch(r"  from [\d.]+ s until [\d.]+ s: partition n\d -> n\d(; n\d -> n\d)?", lines[1])
    assert lines[2] == "If any one of them is left out, it does not fail."
    assert lines[3] == "broadcast, 3 nodes, seed 7: INVALID"
    assert found.line("replay") == "trio-messenger replay store/broadcast/7-shrunk"
    assert "trio-messenger shrink" not in found.output
    page = "store/broadcast/7{}/index.html"
    assert "trio-messenger shrink" in (folder / page.format("")).read_text()
    assert "trio-messenger shrink" not in (folder / page.format("-shrunk")).read_text()
    assert (folder / "store/latest").resolve().name == "7-shrunk"
    [fault] = load(folder / "store/broadcast/7-shrunk").options.faults
    assert isinstance(fault, Partition)
    replayed = outcome("replay", "store/broadcast/7-shrunk")
    assert replayed.status == 1
    assert replayed.output.endswith("This is the same run, message by message.\n")


@pytest.mark.slow
def test_json_has_the_smallest_schedule() -> None:
    """A program gets the results of the smallest run, its schedule, and how it was found."""
    failed()
    found = outcome("shrink", "store/latest", "--json", "--store", "elsewhere")
    value = found.json
    assert (found.status, value["valid?"], value["minimal?"]) == (0, False, True)
    assert value["folder"] == "elsewhere/broadcast/7-shrunk"
    assert [fault["kind"] for fault in value["smallest"]] == ["partition"]
    assert value["runs"] > 3


def test_a_budget_ends_the_search(folder: Path) -> None:
    """With too few runs the smallest schedule so far is told, and that there may be a smaller one."""
    failed()
    found = outcome("shrink", "store/latest", "--budget", "2")
    assert found.status == 0
    lines = found.output.splitlines()
    assert lines[0] == "It still fails with 3 of its 3 faults, found in 2 runs:"
    assert lines[1] == "  from 2 s until the end: loss between all nodes rate=0"
    assert lines[4] == "The budget is spent; a larger --budget may find fewer or milder faults."
    assert found.line("shrink") == "trio-messenger shrink store/broadcast/7-shrunk"
    assert found.line("shrink") in (folder / "store/broadcast/7-shrunk/index.html").read_text()
    assert wrong("shrink", "store/latest", "--budget", "0").endswith("0 is too few; give 1 or more")


def test_a_run_that_fails_without_faults_says_so(folder: Path) -> None:
    """If no fault matters, the node is wrong by itself."""
    (folder / "gossip.py").write_text(GOSSIP.replace("sorted(messages)", "sorted(messages)[1:]"))
    failed()
    found = outcome("shrink", "store/latest")
    assert found.status == 0
    assert found.output.splitlines()[0] == "It fails without any fault, found in 2 runs."
    assert load(folder / "store/latest").options.faults == ()


@pytest.mark.slow
def test_a_run_that_does_not_fail_any_more_ends_with_status_1(folder: Path) -> None:
    """Whoever has mended the node hears that there is nothing left to shrink."""
    failed()
    (folder / "gossip.py").write_text("from trio_messenger.nodes.broadcast import build\nnode = build()\n")
    found = outcome("shrink", "store/latest")
    assert found == Outcome(
        1,
        "",
        "The run does not fail: there is nothing to shrink. It failed when it was stored: either the node's code has"
        " changed, or the seed does not determine the run.\n",
    )
    assert not (folder / "store/broadcast/7-shrunk").exists()


def test_a_run_that_did_not_fail_ends_with_status_1() -> None:
    """A run that was valid has nothing to shrink."""
    outcome("test", "-w", "echo", "--time-limit", "2", "--nemesis", "loss")
    found = outcome("shrink", "store/latest")
    assert found == Outcome(1, "", "The run does not fail: there is nothing to shrink.\n")


@pytest.mark.slow
def test_a_run_that_nobody_can_judge_has_not_failed() -> None:
    """Where too little was seen to call a run right, it is not wrong either."""
    found = outcome("test", "-w", "broadcast", "--rate", "0", "--time-limit", "3", "--faults", json.dumps([HARMLESS]))
    assert found.status == 2
    assert outcome("shrink", "store/latest") == Outcome(1, "", "The run does not fail: there is nothing to shrink.\n")


def test_a_run_without_faults_has_nothing_to_take_away() -> None:
    """Shrinking is of schedules, so a run without one is refused."""
    outcome("test", "-w", "echo", "--time-limit", "2")
    assert wrong("shrink", "store/latest") == ("the run in store/latest had no faults, so there is nothing to shrink")


def test_a_run_that_was_moved_is_shrunk_into_the_usual_store(folder: Path) -> None:
    """Nothing is written into folders that are no store."""
    failed()
    (folder / "deep/in").mkdir(parents=True)
    shutil.move(folder / "store/broadcast/7", folder / "deep/in/bug")
    shutil.rmtree(folder / "store")
    found = outcome("shrink", "deep/in/bug", "--budget", "2")
    assert found.line("files") == "store/broadcast/7-shrunk/index.html"
    assert {path.name for path in (folder / "deep").rglob("*")} & {"7-shrunk", "latest"} == set()


@pytest.mark.slow
def test_a_store_that_is_not_here_is_named_in_full(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The smallest run stays in the store of the first one, wherever that is."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert outcome("test", *FAILS, "--seed", "7", "--store", elsewhere).status == 1
    found = outcome("shrink", elsewhere / "latest", "--budget", "2")
    assert found.line("files") == f"{elsewhere.resolve()}/broadcast/7-shrunk/index.html"


def test_faults_are_the_ones_that_were_kept() -> None:
    """A schedule goes into the files and comes back as it was, so that replay and shrink run the same."""
    failed()
    options = load(Path("store/latest")).options
    assert isinstance(options, Options)
    assert options.faults == (
        Loss(rate=0, at=2),
        Partition(links=(("nodes", "nodes"),), at=1, until=4),
        Loss(rate=0, at=2),
    )
