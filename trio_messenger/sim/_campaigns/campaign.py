"""Campaigns: the same run with many seeds, several at a time, each in a process of its own.

What a campaign reports does not depend on how many processes it has, or which of them is faster: it is what one would
see who made one run after another. Where that stops at the first failure, runs of seeds that come later are cancelled
or left out, and those of seeds that come before it are waited for.
"""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, final

import attrs
import trio

from .._checkers import Valid, worst
from .._judging.report import VERDICTS
from .._runs.options import Options
from .interpreters import MakeRun, SeedResult, open_interpreter


@final
@attrs.frozen(kw_only=True)
class CampaignReport:
    """What came of a campaign."""

    results: tuple[SeedResult, ...]
    """One for each seed up to the one at which it stopped, in the order in which they were given."""
    planned: int
    """How many seeds were given."""

    @property
    def failures(self) -> tuple[SeedResult, ...]:
        """Those whose run was not valid, or came to no verdict."""
        return tuple(result for result in self.results if result.valid is not True)

    @property
    def errors(self) -> tuple[SeedResult, ...]:
        """Those whose run came to no verdict."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def valid(self) -> Valid:
        """The worst of all verdicts; a run that came to none is not valid."""
        return worst(False if result.valid is None else result.valid for result in self.results)

    @property
    def warnings(self) -> list[str]:
        """What makes the verdicts say less than they seem to: a line for each kind of warning, the most frequent first.

        Warnings that differ in nothing but their figures and what is in parentheses are of one kind; the line quotes
        the first.
        """
        kinds: dict[str, list[tuple[int, str]]] = {}
        made = len(self.results)
        for result in self.results:
            for kind, text in {_FIGURES.sub("", text): text for text in reversed(result.warnings)}.items():
                kinds.setdefault(kind, []).append((result.seed, text))
        return [
            f"in {len(found)} of {made} run{'' if made == 1 else 's'}, as with seed {found[0][0]}: {found[0][1]}"
            for found in sorted(kinds.values(), key=lambda found: -len(found))
        ]

    def __str__(self) -> str:
        return summary(self)


_FIGURES: Final = re.compile(r"\([^()]*\)|\d[\d,.]*")


def summary(report: CampaignReport) -> str:
    """Return what a person wants to know of a campaign: how many runs ended how, warnings, and the first failure."""
    verdicts = Counter("without a verdict" if each.valid is None else VERDICTS[each.valid] for each in report.results)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    made, left = len(report.results), report.planned - len(report.results)
    lines = [f"{made} run{'' if made == 1 else 's'}: {counts or 'none'}" + (f"; {left} were not made" if left else "")]
    lines += report.warnings
    for first in report.failures[:1]:
        lines.append(f"the first that failed is that of seed {first.seed}:")
        lines += [f"  {line}" for text in (first.error or "", *first.reasons) for line in text.splitlines()]
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
    on_result: Callable[[SeedResult], object] = lambda _: None,
) -> CampaignReport:
    """Make a run with each of many seeds.

    When this returns or raises, KeyboardInterrupt for example, no process is left.

    Args:
      options: What to run; the seed aside. A schedule of faults that a nemesis made of the seed is made anew for each.
      node: How the command line names what is tested.
      seeds: The seeds.
      make_run: Makes one run, in a child process. A function at the top of a module that can be imported there.
      jobs: How many runs are made at the same time; by default as many as there are cores.
      keep_going: Go on after a failure: a run that is not valid, or came to no verdict.
      on_result: Called with each result when it comes, in no particular order, to show how far the campaign is. Of
        those after the first failure some may come here that are not in the report.

    Raises:
      ValueError: if *jobs* is less than 1.
      OSError: if no process can be started.
      RuntimeError: if called from an async function.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}; give 1 or more")
    campaign = _Campaign(options, node, list(seeds), make_run, keep_going, on_result)
    try:
        return trio.run(campaign.run, multiprocessing.cpu_count() if jobs is None else jobs)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def with_seed(options: Options, seed: int) -> Options:
    """Return *options* with another seed, and another schedule if it was a nemesis that made it of the seed."""
    if options.faults != options.nemesis_schedule():
        return attrs.evolve(options, seed=seed)
    reseeded = attrs.evolve(options, seed=seed, faults=())
    return attrs.evolve(reseeded, faults=reseeded.nemesis_schedule())


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what is in *group*: the first exception that is no group, but rather one that is to end the program."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
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
        seeds: Sequence[int],
        make_run: MakeRun,
        keep_going: bool,
        on_result: Callable[[SeedResult], object],
    ) -> None:
        self._options = options
        self._node: Final = tuple(node)
        self._seeds: Final = seeds
        self._make_run = make_run
        self._keep_going = keep_going
        self._on_result = on_result
        self._results: dict[int, SeedResult] = {}  # by the seed's place
        self._running: dict[int, trio.CancelScope] = {}  # likewise
        self._next = 0
        self._end = len(seeds)  # the first place that does not matter, as long as nothing before it fails

    async def run(self, jobs: int) -> CampaignReport:
        async with trio.open_nursery() as nursery:
            for _ in range(min(jobs, len(self._seeds))):
                nursery.start_soon(self._work)
        results = tuple(self._results[place] for place in range(self._end))
        return CampaignReport(results=results, planned=len(self._seeds))

    async def _work(self) -> None:
        while self._next < self._end:
            async with open_interpreter() as interpreter:
                while interpreter.is_alive and self._next < self._end:
                    place, self._next = self._next, self._next + 1
                    with trio.CancelScope() as self._running[place]:
                        options = with_seed(self._options, self._seeds[place])
                        self._take(place, await interpreter.make(self._make_run, options, self._node))

    def _take(self, place: int, result: SeedResult) -> None:
        self._results[place] = result
        if result.valid is not True and not self._keep_going:
            self._end = min(self._end, place + 1)
            for other, scope in self._running.items():
                if other >= self._end:
                    scope.cancel()
        self._on_result(result)
