"""Campaigns without a last seed, or with too little time for all: when they end, and what they prove."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from support.runs import run_as_told

from trio_messenger.sim import Options
from trio_messenger.sim._campaigns import campaign as campaign_module
from trio_messenger.sim._campaigns.campaign import CampaignInterrupted, CampaignReport, run_campaign
from trio_messenger.sim._campaigns.interpreters import SeedResult

OPTIONS = Options(workload="echo", nodes=["n1"])


@attrs.define
class Child:
    """Stands in for a process: a run takes a second, and ends as the function says."""

    outcome: Callable[[int], SeedResult]
    is_alive: bool = True

    async def make(self, _: object, options: Options, __: object) -> SeedResult:
        await trio.sleep(1 + options.seed / 100)
        return self.outcome(options.seed)


def valid(seed: int) -> SeedResult:
    return SeedResult(seed=seed, valid=True, cpu_seconds=0.5)


def fails_at(bad: int, seed: int) -> SeedResult:
    return attrs.evolve(valid(seed), valid=seed != bad)


@pytest.fixture
def conduct(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CampaignReport]:
    """Return a function that conducts a campaign in virtual time."""

    def conduct(
        seeds: Iterable[int], outcome: Callable[[int], SeedResult] = valid, jobs: int = 1, **given: Any
    ) -> CampaignReport:
        @contextlib.asynccontextmanager
        async def child() -> AsyncIterator[Child]:
            yield Child(outcome)

        monkeypatch.setattr(campaign_module, "open_interpreter", child)
        clock = trio.testing.MockClock(autojump_threshold=0)
        monkeypatch.setattr(trio, "run", partial(trio.run, clock=clock))
        return run_campaign(OPTIONS, (), seeds, make_run=run_as_told, jobs=jobs, **given)

    return conduct


def seeds_of(report: CampaignReport) -> list[int]:
    return [result.seed for result in report.results]


@pytest.mark.parametrize("jobs", [1, 3])
def test_seeds_without_an_end_go_on_until_one_fails(conduct: Callable[..., CampaignReport], jobs: int) -> None:
    """The report has all seeds up to that one, and no number of seeds that were not run."""
    report = conduct(itertools.count(5), partial(fails_at, 12), jobs)
    assert seeds_of(report) == list(range(5, 13))
    assert (report.valid, report.planned, report.stopped) == (False, None, None)
    assert str(report).splitlines()[:2] == ["8 runs: 1 INVALID, 7 valid", "the first failed run has seed 12:"]
    assert report.failures_below is None
    assert report.cpu_seconds == 4.0


@pytest.mark.parametrize(
    ("seeds", "rest"), [(itertools.count(), ""), (range(100), "; 40 were not run")], ids=["endless", "100"]
)
def test_a_campaign_stops_when_its_time_is_up(
    conduct: Callable[..., CampaignReport], seeds: Iterable[int], rest: str
) -> None:
    """The run that has not ended then does not count, and the others prove what they prove."""
    report = conduct(seeds, jobs=1, max_seconds=78.0)
    assert seeds_of(report) == list(range(60))
    assert (report.valid, report.stopped) == (True, "time")
    assert str(report).splitlines() == [
        f"60 runs: 60 valid{rest}; the time was up",
        "with 95% confidence, fewer than 5% of all seeds fail",
    ]
    assert report.failures_below == 0.05


def test_a_campaign_that_goes_on_after_failures_ends_with_its_time(conduct: Callable[..., CampaignReport]) -> None:
    """It counts them all, and claims nothing of those that did not fail."""
    report = conduct(itertools.count(), partial(fails_at, 3), keep_going=True, max_seconds=10.5)
    assert seeds_of(report) == list(range(10))
    assert [result.seed for result in report.failures] == [3]
    assert report.failures_below is None


def test_a_campaign_without_time_proves_nothing(conduct: Callable[..., CampaignReport]) -> None:
    """No run has ended, so the verdict is unknown; and three runs are too few for a claim."""
    report = conduct(itertools.count(), max_seconds=0.5)
    assert (report.results, report.valid, report.failures_below) == ((), "unknown", None)
    assert f"{report}" == "0 runs: none; the time was up"
    assert conduct(range(3)).failures_below is None
    assert conduct(range(4)).failures_below == 0.75


def test_the_last_run_in_time_is_not_late(conduct: Callable[..., CampaignReport]) -> None:
    """A campaign that has ended before its time says nothing of it."""
    report = conduct(range(5), max_seconds=1000.0)
    assert (len(report.results), report.stopped) == (5, None)


def test_ctrl_c_hands_on_what_is_known(conduct: Callable[..., CampaignReport]) -> None:
    """It is a KeyboardInterrupt like any other, with the report on the runs that had ended."""

    def interrupted(seed: int) -> SeedResult:
        if seed == 7:
            raise KeyboardInterrupt
        return valid(seed)

    with pytest.raises(KeyboardInterrupt) as caught:
        conduct(itertools.count(), interrupted, jobs=2)
    assert isinstance(caught.value, CampaignInterrupted)
    report = caught.value.report
    assert seeds_of(report) == list(range(7))
    assert f"{report}".startswith("7 runs: 7 valid; interrupted\nwith 95% confidence, fewer than 42.9% of all")
