"""The benchmark of searches: its bugs are bugs, its figures are right, and it goes on where it stopped."""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import pytest
from bench import search
from support.graded_bugs import GRADED, Graded

from trio_messenger.sim._campaigns.simulation import run_simulation

MAY_FAIL = {"overlapping replies", "reads cached for 20 ms"}
"""Bugs that may show without faults."""


@pytest.mark.slow
@pytest.mark.parametrize("case", GRADED, ids=lambda case: case.name)
def test_a_graded_node_is_valid_without_faults(case: Graded) -> None:
    """It takes the right fault to find the bug."""
    report = run_simulation(attrs.evolve(case.options, nemesis=(), faults=()), case.build)
    assert report.valid is True or case.name in MAY_FAIL


def run(case: str, name: str, seed: int, *, failed: bool) -> search.Run:
    return {"case": case, "search": name, "seed": seed, "failed": failed, "cpu": 0.5}


def test_figures_are_those_of_the_textbook() -> None:
    """Wilson's interval of 1 in 10, and the median of a geometric distribution."""
    assert [round(each, 3) for each in search.wilson(1, 10)] == [0.018, 0.404]
    assert search.wilson(0, 0) == (0, 1)
    assert round(search.wilson(0, 300)[1], 4) == 0.0126
    assert search.seeds_to_find(0, 9) == math.inf
    assert search.seeds_to_find(9, 9) == 1
    assert round(search.seeds_to_find(1, 100)) == 69
    assert search.cell([]) == "not possible"
    assert search.total([run("a", "swarm", seed, failed=seed < 2) for seed in range(10)]) == (
        "2 of 10 (5.7 to 51.0%); 2.5 s each"
    )
    assert search.cell([run("a", "swarm", 1, failed=False)]) == "0 of 1 (0.0 to 79.3%)"


def test_a_mix_is_the_run_of_what_it_draws() -> None:
    """Its results are those of the search that the seed draws, so the four have as many runs as the mix in all."""
    case = GRADED[0]
    names = search.DRAWN
    runs = [run(case.name, name, seed, failed=name == "aimed") for seed in range(40) for name in names]
    mixed = search.with_mix([*runs, run("gone", "swarm", 1, failed=True)], [case])
    of_mix = [each for each in mixed if each["search"] == "mix"]
    assert (len(mixed), sorted(each["seed"] for each in of_mix)) == (200, list(range(40)))
    assert 3 < sum(each["failed"] for each in of_mix) < 20


@pytest.mark.slow
def test_a_benchmark_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No run is made twice, and the table has what the file has."""
    monkeypatch.setattr(search, "groups", lambda: {"graded": GRADED[:1]})
    file = tmp_path / "runs.jsonl"
    words = ["--results", str(file), "--first", "0"]
    assert search.main([*words, "--seeds", "9", "--max-seconds", "0"]) == 0
    assert not file.exists()
    search.main([*words, "--seeds", "1"])
    before = file.read_text()
    search.main([*words, "--seeds", "2"])
    assert file.read_text().startswith(before)
    assert len(file.read_text().splitlines()) == 8
    *_, row, of_all, _, total = capsys.readouterr().out.splitlines()
    assert row.startswith(f"| {GRADED[0].name} | 0 of 2 (0.0 to 65.8%) | ")
    assert of_all.startswith("| all bugs | 0 of 2 (0.0 to 65.8%) | ")
    assert total.startswith("8 runs, ")


def test_each_group_has_cases() -> None:
    """The wrong nodes of the tests and the mistakes in Raft are there, with drawn faults, and right nodes too."""
    found = search.groups()
    assert set(found) == set(search.GROUPS)
    names = [case.name for members in found.values() for case in members]
    assert len(names) == len(set(names))
    assert all(case.options.nemesis for members in found.values() for case in members)
    assert sum(not case.is_right for case in found["graded"]) >= 12
    assert len(found["raft"]) > 14
    assert len(found["wrong"]) > 5
