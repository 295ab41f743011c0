"""Nodes that are wrong are caught, and right ones pass: one seed of each; `nox -s campaign` has hundreds."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from sim import campaign_run
from support.hunts import HUNTS
from support.wrong_nodes import CASES, LONG_CASES, Case, run_named

from trio_messenger._cli.finding import find_build
from trio_messenger.nodes import NODES
from trio_messenger.sim import WORKLOADS
from trio_messenger.sim._campaigns.campaign import with_seed

SEEDS = range(1)

SAMPLE = [case for index, case in enumerate(CASES) if case.is_right or index % 2]
"""The right nodes and half of the wrong ones, to save time; the campaign has all."""


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_verdict_is_right_with_every_seed(case: Case) -> None:
    """A wrong node is invalid for what it does wrong, whatever the seed, and a right one is valid under many faults."""
    for seed in SEEDS:
        report = run_named(with_seed(case.options, seed), case.arguments)
        assert case.is_as_expected(report.valid, report.reasons()), report
        took_effect = [entry["took-effect"] > 0 for entry in report.results["faults"]["schedule"]]
        assert sum(took_effect) >= (5 if case.is_right else len(took_effect)), report


def test_every_workload_is_put_to_the_test() -> None:
    """For each workload there are a ready-made node and at least three wrong ones, each with faults or without."""
    right = Counter(case.options.workload for case in CASES if case.is_right)
    wrong = Counter(case.options.workload for case in CASES if not case.is_right)
    assert right.keys() == WORKLOADS.keys()
    assert wrong.keys() == WORKLOADS.keys() == {case.options.workload for case in SAMPLE if not case.is_right}
    assert min(wrong.values()) >= 3
    assert len({case.name for case in CASES}) == len(CASES)
    nodes = {case.node for case in CASES if case.is_right}
    assert nodes == {case.node for case in LONG_CASES} == NODES.keys() - {"messenger"}


@pytest.mark.slow
def test_campaign_hunts_until_a_mistake_is_caught(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hunt ends with the first seed that catches the mistake; if none does, or a right node fails, that is a miss."""
    caught = next(hunt for hunt in HUNTS if hunt.name == "kafka appends_chunks_twice")
    right = attrs.evolve(caught, name="right", build=find_build("kafka"), options={**caught.options, "time_limit": 1.0})
    monkeypatch.setattr(campaign_run, "RIGHT", (right,))
    assert campaign_run.hunt_for(caught, range(2)) == []
    assert campaign_run.hunt_for(right, range(2)) == []
    monkeypatch.setattr(campaign_run, "RIGHT", (caught,))
    assert campaign_run.hunt_for(caught, range(2)) == [f"MISS: {caught.name}: seed 0: workload"]
    assert campaign_run.hunt_for(right, range(2)) == ["MISS: right was not caught with 2 seeds"]
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines if len(line) > 2] == [
        *("seed 0: workload", "passed with 2 seeds", "seed 0: workload", "passed with 2 seeds")
    ]


@pytest.mark.slow
def test_campaign_counts_what_is_caught_and_fails_if_anything_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The long form has a line for each case, names the seeds that went wrong, and exits with status 1 if any did."""
    caught = next(case for case in CASES if case.name == "echo echo:cuts_short")
    monkeypatch.setattr(campaign_run, "CASES", (attrs.evolve(caught, because=""), caught))
    assert campaign_run.main(["--seeds", "2", "--long", "0", "--first", "5", "--jobs", "1", "echo"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("echo echo:cuts_short  0 of 2 passed")
    command = "trio-messenger test -w echo --node support.wrong_nodes.echo:cuts_short --seed"
    for line, seed in zip(lines[1:3], (5, 6), strict=True):
        assert line.startswith(f"  MISS: {command} {seed} --rate 20 --time-limit 10: False n")
    assert lines[3].startswith("echo echo:cuts_short  2 of 2 caught")
    assert lines[-1] == "2 cases, 4 runs: 2 misses"
    monkeypatch.setattr(campaign_run, "CASES", (caught,))
    monkeypatch.setattr(campaign_run, "RIGHT", ())
    monkeypatch.setattr(campaign_run, "HUNTS", ())
    assert campaign_run.main(["--seeds", "1", "--long", "0", "--jobs", "1"]) == 0
    with pytest.raises(SystemExit):
        campaign_run.main(["no such case"])
