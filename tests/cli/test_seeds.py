"""``trio-messenger test --seeds N``: many runs, and what is said of them together."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.command_line import ERASE, GOSSIP, README, Terminal, in_folder, outcome

from trio_messenger._cli import output, seeds as seeds_command
from trio_messenger._cli.output import Console
from trio_messenger._cli.seeds import make_run
from trio_messenger.sim import Options
from trio_messenger.sim._campaigns.campaign import CampaignInterrupted, CampaignReport
from trio_messenger.sim._campaigns.interpreters import SeedResult
from trio_messenger.sim._judging.store import load

FAILS = ("test", "-w", "broadcast", "--node", "gossip:node", "--time-limit", "5", "--nemesis", "partition")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with modules to name on the command line."""
    (tmp_path / "my_node.py").write_text(README)
    (tmp_path / "gossip.py").write_text(GOSSIP)
    for _ in in_folder(tmp_path, monkeypatch):
        yield tmp_path


@attrs.define
class Campaign:
    """Stands in for campaigns: says what its runs came to, and keeps what it was asked for."""

    results: tuple[SeedResult, ...]
    options: Options | None = None
    seeds: list[int] = attrs.field(factory=list)
    asked: dict[str, Any] = attrs.field(factory=dict)
    is_interrupted: bool = False

    def __call__(self, options: Options, _: object, seeds: Iterable[int], **asked: Any) -> CampaignReport:
        self.options, self.asked = options, asked
        self.seeds = list(itertools.islice(seeds, 9))
        for result in self.results:
            asked["on_result"](result)
        report = CampaignReport(results=self.results, planned=len(seeds) if isinstance(seeds, range) else None)
        if self.is_interrupted:
            raise CampaignInterrupted(attrs.evolve(report, stopped="interrupt"))
        return report


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """A campaign of three runs, of which the second is invalid and the third came to no verdict."""
    stub = Campaign((valid(3), SeedResult(seed=4, valid=False, reasons=("bad",)), crashed(5)))
    monkeypatch.setattr(seeds_command, "run_campaign", stub)
    return stub


def valid(seed: int) -> SeedResult:
    return SeedResult(seed=seed, valid=True)


def crashed(seed: int) -> SeedResult:
    return SeedResult(seed=seed, valid=None, error="node 'n1' did not come up")


@pytest.fixture
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said on the way, however slow the machine is."""
    monkeypatch.setattr(output, "TOLD_EVERY", math.inf)


@pytest.mark.slow
def test_many_seeds_that_are_valid_end_with_status_0(folder: Path, no_progress: None) -> None:
    """Each seed has a process; nothing is kept of runs that are valid."""
    found = outcome("test", "-w", "echo", "--node", "my_node:node", "--time-limit", "9", "--seeds", "3", "--jobs", "1")
    assert (found.status, found.output, found.errors) == (0, "3 runs: 3 valid\n", "")
    assert list((folder / "store").iterdir()) == []


def test_the_first_seed_that_fails_is_shown_and_kept(folder: Path, no_progress: None) -> None:
    """It ends there; the run of that seed is made again here, to show all of it and to keep its files."""
    found = outcome(*FAILS, "--seeds", "20", "--seed", "3")
    assert (found.status, found.errors) == (1, "")
    lines = found.output.splitlines()
    assert "were not run" in lines[0]
    assert lines[1] == "the first failure:"
    seed = int(lines[2].removeprefix("broadcast, 5 nodes, seed ").removesuffix(": INVALID"))
    assert seed >= 3
    assert found.line("replay") == f"trio-messenger replay store/broadcast/{seed}"
    options = load(folder / "store" / "latest").options
    assert (options.seed, options.faults) == (seed, options.nemesis_schedule())
    assert outcome("replay", "store/latest").output.endswith("the same run, message by message.\n")


def test_a_failure_that_does_not_come_again_is_told(folder: Path, campaign: Campaign) -> None:
    """The run that is shown is made anew: that it is another one is said, and the verdict stays that of the seeds."""
    campaign.results = (SeedResult(seed=4, valid=False, digest="another"),)
    found = outcome("test", "-w", "echo", "--node", "my_node:node", "--time-limit", "1", "--seeds", "1", "--no-store")
    assert (found.status, found.output.splitlines()[2]) == (1, "echo, 5 nodes, seed 4: valid")
    assert found.errors == (
        "a second run of seed 4, for this report, is different and may not fail: the run depends on more than the seed;"
        " --check-determinism may show on what\n"
    )


def test_a_run_of_a_campaign_is_that_of_the_command() -> None:
    """What a child process does is what the same seed does here."""
    outcome("test", "-w", "echo", "--node", "my_node:node", "--time-limit", "2", "--seed", "5")
    stored = load(Path("store/latest"))
    assert make_run(stored.options, stored.node).digest == stored.digest


@pytest.mark.slow
def test_a_search_is_shown_replayed_and_shrunk() -> None:
    """The report says what the seed drew, and the run is one like any other."""
    found = outcome(*FAILS, "--node-count", "3", "--search", "swizzle", "--seed", "3")
    assert found.status == 1
    assert found.line("search") == "swizzle"
    assert "\n              partition of n" in found.output
    assert found.line("command").endswith(" --nemesis partition --search swizzle")
    assert outcome("replay", "store/latest").output.endswith("the same run, message by message.\n")
    shrunk = outcome("shrink", "store/latest")
    assert (shrunk.status, "If any one of them is left out, it does not fail." in shrunk.output) == (0, True)
    assert "--search" not in shrunk.line("command")


def test_what_each_failing_seed_drew_is_named(campaign: Campaign) -> None:
    """The list of failed seeds has the strategy of each, and the JSON all that was drawn."""
    kill = "kill n1 when n1 sent echo_ok to c7 at 1.000 s"
    campaign.results = (
        SeedResult(seed=4, valid=None, error="broke", drawn=("aimed", kill)),
        attrs.evolve(crashed(5), drawn=("swarm", "kill every 3 s")),
        crashed(6),
    )
    found = outcome(*FAILS, "--seeds", "3", "--seed", "4", "--keep-going", "--no-store")
    assert found.output.splitlines()[1:] == [
        "failed seeds: 4 (aimed), 5 (swarm), 6",
        "the first failed run has seed 4:",
        "  broke",
        "  search: aimed",
        f"  search: {kill}",
    ]
    told = outcome(*FAILS, "--seeds", "3", "--seed", "4", "--keep-going", "--no-store", "--json").json
    assert [each["drawn"] for each in told["seeds"]] == [["aimed", kill], ["swarm", "kill every 3 s"], []]


@pytest.mark.slow
def test_warnings_of_all_runs_are_shown() -> None:
    """A nemesis that made no fault leaves each run valid, and a campaign of such runs says so, in JSON as well."""
    calm = ("test", *shlex.split("-w broadcast --nodes n1 --nemesis partition --time-limit 2 --seeds 3"))
    found = outcome(*calm)
    first, warning = found.output.splitlines()
    assert (found.status, first) == (0, "3 runs: 3 valid")
    assert warning.startswith(
        "in 3 of 3 runs, for example seed 0: the nemesis (partition) made no fault with this seed"
    )
    told = outcome(*calm, "--json").json
    assert told["warnings"] == [warning]
    assert [len(each["warnings"]) for each in told["seeds"]] == [1, 1, 1]


@pytest.mark.slow
def test_runs_that_say_too_little_are_shown() -> None:
    """A run in which nothing was asked is no success of its seed: it is unknown, and the status is 2."""
    idle = ("test", "-w", "echo", "--rate", "0", "--time-limit", "1", "--seeds", "3", "--no-store")
    found = outcome(*idle)
    assert (found.status, found.output.splitlines()[0]) == (2, "1 run: 1 unknown; 2 were not run")
    assert "clients asked nothing" in found.line("because")
    told = outcome(*idle, "--json", "--keep-going")
    assert (told.status, told.json["valid?"]) == (2, "unknown")
    assert [each["valid?"] for each in told.json["seeds"]] == ["unknown"] * 3


def test_warnings_stand_before_the_first_failure(campaign: Campaign) -> None:
    """What is shown of the first failure is its own report, and the warnings of all runs stand above it."""
    campaign.results = (
        SeedResult(seed=3, valid=True, warnings=("fault 1 (kill n1) took no effect",)),
        SeedResult(seed=4, valid=False, reasons=("bad",), warnings=("fault 2 (kill n1) took no effect",)),
        crashed(5),
    )
    found = outcome(*FAILS, "--seeds", "3", "--seed", "3", "--keep-going", "--no-store")
    assert found.output.splitlines()[:4] == [
        "3 runs: 1 INVALID, 1 valid, 1 without a verdict",
        "failed seeds: 4, 5",
        "in 2 of 3 runs, for example seed 3: fault 1 (kill n1) took no effect",
        "the first failure:",
    ]


def test_all_failures_are_named(campaign: Campaign, folder: Path) -> None:
    """Where several seeds fail they are listed, and the first is shown; one without a verdict makes the status 255."""
    found = outcome(*FAILS, "--seeds", "5", "--seed", "3", "--keep-going", "--jobs", "7", "--no-store")
    assert found.status == 255
    assert found.output.startswith("3 runs: 1 INVALID, 1 valid, 1 without a verdict")
    assert found.output.splitlines()[1:4] == [
        "failed seeds: 4, 5",
        "the first failure:",
        "broadcast, 5 nodes, seed 4: INVALID",
    ]
    assert campaign.seeds == [3, 4, 5, 6, 7]
    assert campaign.asked["keep_going"] is True
    assert campaign.asked["jobs"] == 7
    assert not (folder / "store").exists()


def test_a_test_count_is_as_many_seeds(campaign: Campaign) -> None:
    """Maelstrom's name for it does the same, and a count of 1 is a run like any other."""
    outcome(*FAILS, "--seed", "3", "--test-count", "4", "--no-store")
    assert campaign.seeds == [3, 4, 5, 6]
    campaign.seeds = []
    found = outcome("test", "-w", "echo", "--time-limit", "1", "--test-count", "1", "--log-stderr", "--no-store")
    assert (found.status, campaign.seeds) == (0, [])


def test_a_first_failure_without_a_verdict_is_told(campaign: Campaign) -> None:
    """A run that broke is not made again: what broke is all there is to tell."""
    campaign.results = (crashed(1), valid(2))
    found = outcome(*FAILS, "--seeds", "2")
    assert found.status == 255
    assert found.output == (
        "2 runs: 1 valid, 1 without a verdict\nthe first failed run has seed 1:\n  node 'n1' did not come up\n"
    )
    assert campaign.asked["jobs"] is None
    assert campaign.asked["keep_going"] is False
    assert campaign.asked["make_run"] is make_run


def test_json_has_each_seed(campaign: Campaign) -> None:
    """One object: the worst verdict, what came of each seed, and the first failure in full."""
    found = outcome(*FAILS, "--seeds", "3", "--seed", "3", "--json")
    value = found.json
    assert (found.status, value["valid?"], value["planned"]) == (255, False, 3)
    assert [(each["seed"], each["valid?"]) for each in value["seeds"]] == [(3, True), (4, False), (5, None)]
    assert value["seeds"][1]["reasons"] == ["bad"]
    assert value["seeds"][2]["error"] == "node 'n1' did not come up"
    first = value["first-failure"]
    assert (first["seed"], first["folder"]) == (4, "store/broadcast/4")
    assert load(Path(first["folder"])).digest == first["digest"]
    campaign.results = (valid(3),)
    assert outcome(*FAILS, "--seeds", "1", "--json").json["first-failure"] is None


@pytest.mark.slow
def test_what_nobody_knows_ends_with_status_2(campaign: Campaign) -> None:
    """The status is that of the worst verdict."""
    campaign.results = (valid(0), SeedResult(seed=1, valid="unknown"))
    assert outcome("test", "-w", "echo", "--seeds", "2", "--keep-going", "--no-store").status == 2


def test_a_terminal_shows_how_far_it_is(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many seeds are done, and what came of them; the line is gone at the end."""
    campaign.results = (valid(3),)
    stream = Terminal()
    monkeypatch.setattr(seeds_command, "Console", lambda: Console(stream))
    outcome(*FAILS, "--seeds", "9", "--no-store")
    assert stream.getvalue().split(ERASE) == ["", "1 of 9 seeds: 1 valid; 0 s of CPU", ""]


def test_progress_has_cpu_time_and_what_was_reached(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `sometimes` is there with how often it was true, the rarest first; without an end, seeds are counted."""
    seen = {"sometimes('elected')": (5, 1500), "sometimes('refused')": (9, 0), "always('one')": (3, 3)}
    campaign.results = (attrs.evolve(valid(3), assertions=seen, cpu_seconds=6.6),)
    stream = Terminal()
    monkeypatch.setattr(seeds_command, "Console", lambda: Console(stream))
    monkeypatch.setenv("COLUMNS", "200")
    outcome(*FAILS, "--seeds", "0", "--no-store")
    shown = "1 seed: 1 valid; 7 s of CPU; 0 sometimes('refused'); 1,500 sometimes('elected')"
    assert stream.getvalue().split(ERASE) == ["", shown, ""]


def test_zero_seeds_have_no_end(campaign: Campaign) -> None:
    """They go on from --seed, until one fails or the time is up; the JSON has what they prove."""
    campaign.results = tuple(attrs.evolve(valid(seed), cpu_seconds=0.25) for seed in range(6))
    told = outcome(*FAILS, "--seed", "4", "--seeds", "0", "--max-seconds", "90", "--no-store", "--json").json
    assert campaign.seeds == list(range(4, 13))
    assert campaign.asked["max_seconds"] == 90
    assert (told["planned"], told["stopped"], told["cpu-seconds"]) == (None, None, 1.5)
    assert told["failures"] == {"fewer-than": 0.5, "confidence": 0.95}
    outcome(*FAILS, "--seeds", "2", "--no-store")
    assert campaign.asked["max_seconds"] == math.inf


def test_an_interrupted_campaign_tells_what_it_knows(campaign: Campaign, folder: Path) -> None:
    """Ctrl-C ends it with a summary, no further run, and the status of an interrupt."""
    campaign.is_interrupted = True
    found = outcome(*FAILS, "--seeds", "0")
    assert (found.status, found.errors) == (130, "trio-messenger test: interrupted\n")
    assert found.output.splitlines() == [
        "3 runs: 1 INVALID, 1 valid, 1 without a verdict; interrupted",
        "failed seeds: 4, 5",
        "the first failed run has seed 4:",
        "  bad",
    ]
    assert list((folder / "store").iterdir()) == []
    told = outcome(*FAILS, "--seeds", "0", "--no-store", "--json")
    assert (told.status, told.json["stopped"], told.json["first-failure"]) == (130, "interrupt", None)
    assert len(told.json["seeds"]) == 3
