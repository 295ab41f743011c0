"""Campaigns: the same run with many seeds, several at a time, in child processes.

The report of a campaign does not depend on the number of processes or on their speed: it equals the report of the same
runs made one after another. If the campaign stops at the first failure, it cancels or skips the runs of later seeds,
and waits for the runs of earlier ones.
"""

from __future__ import annotations

import math
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Final, Literal, final

import attrs
import trio

from .._checkers import Valid, worst
from .._explanation.words import quantity
from .._judging.report import VERDICTS
from .._runs.options import Options
from .interpreters import MakeRun, SeedResult, open_interpreter


@final
@attrs.frozen(kw_only=True)
class CampaignReport:
    """The outcome of a campaign."""

    results: tuple[SeedResult, ...]
    """One result for each seed, in the given order, up to the seed at which the campaign stopped."""
    planned: int | None
    """The number of seeds given; None if there was no end to them."""
    stopped: Literal["time", "interrupt"] | None = None
    """What ended the campaign before its time; None if nothing did, or a failure. Runs of some seeds between the others
    may then be missing."""

    @property
    def failures(self) -> tuple[SeedResult, ...]:
        """The results whose run was not valid, or had no verdict."""
        return tuple(result for result in self.results if result.valid is not True)

    @property
    def errors(self) -> tuple[SeedResult, ...]:
        """The results whose run had no verdict."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def valid(self) -> Valid:
        """The worst of all verdicts; a run without one counts as not valid. Without time for any run it is unknown."""
        if not self.results and self.stopped is not None:
            return "unknown"
        return worst(False if result.valid is None else result.valid for result in self.results)

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of all runs."""
        return sum(result.cpu_seconds for result in self.results)

    @property
    def failures_below(self) -> float | None:
        """What a campaign without a failure proves: fewer than this fraction of all seeds fail.

        The rule of three: if 3 / N of all seeds fail, or more, then N random seeds contain a failure with 95 %
        probability. None if a run failed, or if there were too few to say anything.
        """
        count = len(self.results)
        return None if self.failures or count <= RULE_OF_THREE else RULE_OF_THREE / count

    @property
    def warnings(self) -> list[str]:
        """Limits of what the verdicts prove: a line for each kind of warning, the most frequent first.

        Before them there is a line for each `~trio_messenger.sometimes` whose condition was true in no run.

        Two warnings are of the same kind if they differ only in their figures and in the text in parentheses; the line
        quotes the first one.
        """
        kinds: dict[str, list[tuple[int, str]]] = {}
        made = len(self.results)
        for result in self.results:
            for kind, text in {_FIGURES.sub("", text): text for text in reversed(result.warnings)}.items():
                kinds.setdefault(kind, []).append((result.seed, text))
        never = [
            f"{text} was true in no run; nodes came there {quantity(calls, 'time')}, in {quantity(seen, 'run')}"
            for text, (calls, _, seen, held) in self._assertions().items()
            if text.startswith("sometimes(") and not held
        ]
        return never + [
            f"in {len(found)} of {made} run{'' if made == 1 else 's'}, for example seed {found[0][0]}: {found[0][1]}"
            for found in sorted(kinds.values(), key=lambda found: -len(found))
        ]

    @property
    def counts(self) -> list[str]:
        """A line for each invariant, how often it was checked, and for each assertion, in how many runs it was true."""
        made = quantity(len(self.results), "run")
        checks = Counter[str]()
        for result in self.results:
            checks.update(result.checks)
        checked = [f"{name} was checked {quantity(count, 'time')} in {made}" for name, count in checks.items()]
        return checked + [
            f"{text} was true in {runs} of {made}, and in {held:,} of {quantity(calls, 'call')}"
            for text, (calls, held, _, runs) in self._assertions().items()
        ]

    def _assertions(self) -> dict[str, tuple[int, int, int, int]]:
        """Return for each assertion its calls, those with a true condition, and the numbers of runs with such calls."""
        found: dict[str, tuple[int, int, int, int]] = {}
        for result in self.results:
            for text, (calls, held) in result.assertions.items():
                before = found.get(text, (0, 0, 0, 0))
                found[text] = (before[0] + calls, before[1] + held, before[2] + 1, before[3] + (held > 0))
        return found

    def __str__(self) -> str:
        return summary(self)


RULE_OF_THREE: Final = 3
"""If none of N runs fails, fewer than this divided by N of all runs fail, with `CONFIDENCE`: -log(1 - 0.95) is 3.0."""

CONFIDENCE: Final = 0.95
"""The probability with which a campaign without a failure proves what it says."""

SHOWN_COUNTS: Final = 20
"""The number of invariants and assertions that a summary shows."""

FIRST_FAILED: Final = "the first failed run has seed"
"""The beginning of the line of a summary after which the first failure follows."""

_STOPPED: Final = {"time": "the time was up", "interrupt": "interrupted", None: ""}

_FIGURES: Final = re.compile(r"\([^()]*\)|\d[\d,.]*")


def summary(report: CampaignReport) -> str:
    """Return a campaign's summary for people: how many runs ended in each way, the warnings, and the first failure."""
    verdicts = Counter("without a verdict" if each.valid is None else VERDICTS[each.valid] for each in report.results)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    made = len(report.results)
    left = 0 if report.planned is None else report.planned - made
    ends = [f"{left} were not run"] * bool(left) + [_STOPPED[report.stopped]] * bool(report.stopped)
    lines = ["; ".join([f"{made} run{'' if made == 1 else 's'}: {counts or 'none'}", *ends])]
    below = report.failures_below
    lines += (
        [] if below is None else [f"with {CONFIDENCE:.0%} confidence, fewer than {100 * below:.3g}% of all seeds fail"]
    )
    rest = len(report.counts) - SHOWN_COUNTS
    lines += [*report.counts[:SHOWN_COUNTS], *([f"and {rest} more; --json shows them all"] if rest > 0 else [])]
    lines += report.warnings
    for first in report.failures[:1]:
        lines.append(f"{FIRST_FAILED} {first.seed}:")
        lines += [f"  {line}" for text in (first.error or "", *first.reasons) for line in text.splitlines()]
        lines += [f"  search: {line}" for line in first.drawn]
        lines += [f"run it again with: {first.command}"] if first.command else []
    return "\n".join(lines)


def run_campaign(
    options: Options,
    node: Sequence[str],
    seeds: Iterable[int],
    *,
    make_run: MakeRun,
    jobs: int | None = None,
    keep_going: bool = False,
    max_seconds: float = math.inf,
    on_result: Callable[[SeedResult], object] = lambda _: None,
) -> CampaignReport:
    """Make a run with each of many seeds.

    When this function returns or raises (KeyboardInterrupt, for example), all child processes have ended.

    Args:
      options: What to run; its seed is ignored. If a nemesis made the schedule of faults from the seed, each run gets
        a new schedule from its own seed.
      node: The command-line arguments that name the node under test.
      seeds: The seeds; an iterator may have no end.
      make_run: Makes one run, in a child process. It must be a top-level function of a module that the child can
        import.
      jobs: How many runs are made at the same time; by default, the number of cores.
      keep_going: Continue after a failure: a run that is not valid, or has no verdict.
      max_seconds: The time after which the campaign stops, in seconds. Runs that have not ended then do not count.
      on_result: Called with each result as it arrives, in no particular order, to show progress. It may also get
        results of seeds after the first failure, which are not in the report.

    Raises:
      ValueError: if *jobs* is less than 1.
      CampaignInterrupted: a KeyboardInterrupt with the report on the runs that had ended.
      OSError: if a process cannot be started.
      RuntimeError: if called from an async function.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}; give 1 or more")
    campaign = _Campaign(options, node, seeds, make_run, keep_going, on_result)
    try:
        trio.run(campaign.run, multiprocessing.cpu_count() if jobs is None else jobs, max_seconds)
    except (KeyboardInterrupt, BaseExceptionGroup) as exc:
        first = _first(exc)
        if isinstance(first, KeyboardInterrupt):
            raise CampaignInterrupted(campaign.report("interrupt")) from None
        raise first from None
    return campaign.report("time" if campaign.is_late else None)


def with_seed(options: Options, seed: int) -> Options:
    """Return *options* with another seed, and with a new schedule if a nemesis made the old one from the old seed."""
    if options.faults != options.nemesis_schedule():
        return attrs.evolve(options, seed=seed)
    return options.with_schedule(seed=seed)


@final
class CampaignInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a campaign.

    Args:
      report: What came of the runs that had ended.
    """

    def __init__(self, report: CampaignReport) -> None:
        super().__init__()
        self.report: Final = report
        """What came of the runs that had ended."""


def _first(exc: BaseException) -> BaseException:
    """Return *exc*, or the first exception in a group and its subgroups, but prefer one that must end the program."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [exc]
    while waiting:
        exc = waiting.pop(0)
        if isinstance(exc, BaseExceptionGroup):
            waiting += exc.exceptions
        else:
            leaves.append(exc)
    return min(leaves, key=lambda exc: isinstance(exc, Exception))


@final
class _Campaign:
    def __init__(
        self,
        options: Options,
        node: Sequence[str],
        seeds: Iterable[int],
        make_run: MakeRun,
        keep_going: bool,
        on_result: Callable[[SeedResult], object],
    ) -> None:
        self.is_late: bool = False
        """Whether the time was up before all runs had ended."""
        self._options = options
        self._node: Final = tuple(node)
        self._planned = len(seeds) if isinstance(seeds, Sized) else None
        self._seeds: Final = iter(seeds)
        self._upcoming = next(self._seeds, None)
        self._make_run = make_run
        self._keep_going = keep_going
        self._on_result = on_result
        self._results: dict[int, SeedResult] = {}  # by the seed's position among the seeds
        self._running: dict[int, trio.CancelScope] = {}  # also by position
        self._next = 0
        self._end = math.inf  # one past the last position that counts; a failure lowers it

    def report(self, stopped: Literal["time", "interrupt"] | None) -> CampaignReport:
        """Return the report on the runs that have ended."""
        places = sorted(place for place in self._results if place < self._end)
        results = tuple(self._results[place] for place in places)
        return CampaignReport(results=results, planned=self._planned, stopped=stopped)

    async def run(self, jobs: int, max_seconds: float) -> None:
        with trio.move_on_after(max_seconds) as scope:
            async with trio.open_nursery() as nursery:
                for _ in range(jobs if self._planned is None else min(jobs, self._planned)):
                    nursery.start_soon(self._work)
        self.is_late = scope.cancelled_caught

    async def _work(self) -> None:
        while self._has_more():
            async with open_interpreter() as interpreter:
                while interpreter.is_alive and self._has_more():
                    place, seed = self._begin()
                    with trio.CancelScope() as self._running[place]:
                        options = with_seed(self._options, seed)
                        self._take(place, await interpreter.make(self._make_run, options, self._node))
                    del self._running[place]

    def _has_more(self) -> bool:
        return self._upcoming is not None and self._next < self._end

    def _begin(self) -> tuple[int, int]:
        """Return the position of the next seed, and the seed."""
        assert self._upcoming is not None
        place, seed = self._next, self._upcoming
        self._next, self._upcoming = place + 1, next(self._seeds, None)
        return place, seed

    def _take(self, place: int, result: SeedResult) -> None:
        self._results[place] = result
        if result.valid is not True and not self._keep_going:
            self._end = min(self._end, place + 1)
            for other, scope in self._running.items():
                if other >= self._end:
                    scope.cancel()
        self._on_result(result)
