"""Tests with many seeds, each in a separate process: ``trio-messenger test --seeds N``."""

from __future__ import annotations

import argparse
import itertools
import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from ..sim._for_cli import (
    CONFIDENCE,
    FIRST_FAILED,
    NOT_THE_SEED,
    VERDICTS,
    CampaignInterrupted,
    CampaignReport,
    Options,
    Report,
    SeedResult,
    run_campaign,
    with_seed,
)
from .ending import CRASH, STATUSES
from .outcome import keep, put_json, report_as_json, tell_and_keep, time_name
from .output import Console, Ticker, put
from .subject import Subject, find_subject

_NO_VERDICT: Final = "without a verdict"

_OTHER_RUN: Final = "a second run of seed {seed}, for this report, is different and may not fail: " + NOT_THE_SEED


def run_seeds(subject: Subject, options: Options, arguments: argparse.Namespace) -> int:
    """Run *subject* with the number of seeds in *arguments*, report the results, and return the exit status."""
    try:
        campaign = _run_all(subject, options, arguments)
    except CampaignInterrupted as exc:
        _tell_all(exc.report, arguments)
        raise
    again = _first_failure(subject, campaign)
    if not arguments.json:
        _tell(campaign, is_shown=again is None)
    first = None if again is None else _run_again(subject, options, again)
    keep_it = None
    if first is not None and not arguments.no_store:
        keep_it = partial(keep, first, arguments.store, f"{first.options.seed}", replace=True)

    def in_json(folder: Path | None) -> dict[str, Any]:
        return _in_json(campaign, None if first is None else report_as_json(first, folder))

    if first is not None:
        tell_and_keep(first, keep_it, in_json=in_json if arguments.json else None)
    elif arguments.json:
        put_json(in_json(None))
    return CRASH if campaign.errors else STATUSES[campaign.valid]


def _tell_all(campaign: CampaignReport, arguments: argparse.Namespace) -> None:
    """Print what is known of a campaign that was interrupted, without another run."""
    if arguments.json:
        put_json(_in_json(campaign, None))
    else:
        _tell(campaign, is_shown=True)


def _in_json(campaign: CampaignReport, first_failure: dict[str, Any] | None) -> dict[str, Any]:
    below = campaign.failures_below
    return {
        "valid?": campaign.valid,
        "planned": campaign.planned,
        "stopped": campaign.stopped,
        "cpu-seconds": campaign.cpu_seconds,
        "failures": None if below is None else {"fewer-than": below, "confidence": CONFIDENCE},
        "counts": campaign.counts,
        "warnings": campaign.warnings,
        "seeds": list(map(_as_json, campaign.results)),
        "first-failure": first_failure,
    }


@final
class _Figures:
    """The progress of a campaign, in figures.

    Args:
      planned: The number of seeds; 0 if there is no end to them.
    """

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._verdicts = Counter[str]()
        self._cpu_seconds = 0.0
        self._held = Counter[str]()  # how often the condition of each `sometimes` was true

    def add(self, result: SeedResult) -> None:
        self._verdicts[_NO_VERDICT if result.valid is None else VERDICTS[result.valid]] += 1
        self._cpu_seconds += result.cpu_seconds
        for text, (_, held) in result.assertions.items():
            if text.startswith("sometimes("):
                self._held[text] += held

    def __str__(self) -> str:
        done = self._verdicts.total()
        count = f"{done} of {self._planned} seeds" if self._planned else f"{done} seed{'' if done == 1 else 's'}"
        first = f"{count}: {_listed(self._verdicts)}; {self._cpu_seconds:.0f} s of CPU"
        rarest_first = sorted(self._held.items(), key=lambda item: item[1])
        return "; ".join([first, *(f"{held:,} {text}" for text, held in rarest_first)])


def _run_all(subject: Subject, options: Options, arguments: argparse.Namespace) -> CampaignReport:
    ticker, figures = Ticker(Console()), _Figures(arguments.seeds)
    first, end = options.seed, options.seed + arguments.seeds

    def count(result: SeedResult) -> None:
        figures.add(result)
        ticker.tick(lambda: f"{figures}")

    store = None if arguments.no_store or subject.is_virtual else arguments.store
    one_job = None if subject.is_virtual else 1  # several clusters at once would slow each other down
    try:
        return run_campaign(
            options,
            subject.name,
            range(first, end) if arguments.seeds else itertools.count(first),
            make_run=make_run if store is None else partial(make_and_keep_run, store.absolute()),
            jobs=arguments.jobs or one_job,
            keep_going=arguments.keep_going,
            max_seconds=math.inf if arguments.max_seconds is None else arguments.max_seconds,
            on_result=count,
        )
    finally:
        ticker.close()


def make_run(options: Options, node: tuple[str, ...]) -> Report:
    """Make one run, in a child process."""
    return find_subject(node).run(options)


def make_and_keep_run(store: Path, options: Options, node: tuple[str, ...]) -> Report:
    """Make one run, in a child process, and save it if it fails, since a run in real time cannot be repeated."""
    report = make_run(options, node)
    if report.valid is not True:
        keep(report, store, f"{options.seed}-{time_name()}", replace=False)
    return report


def _first_failure(subject: Subject, campaign: CampaignReport) -> SeedResult | None:
    """Return the first failure if its run can be repeated, for a full report with all files."""
    found = campaign.failures[:1]
    return found[0] if found and found[0].error is None and subject.is_virtual else None


def _run_again(subject: Subject, options: Options, result: SeedResult) -> Report:
    report = subject.run(with_seed(options, result.seed))
    if report.digest != result.digest:
        Console().say(_OTHER_RUN.format(seed=result.seed))
    return report


def _tell(campaign: CampaignReport, *, is_shown: bool) -> None:
    """Print the results of all runs. If *is_shown*, add the reasons of the first failure; else its report follows."""
    lines = f"{campaign}".split("\n")
    count = len([*itertools.takewhile(lambda line: not line.startswith(FIRST_FAILED), lines)])
    failed = [" ".join([f"{result.seed}", *(f"({name})" for name in result.drawn[:1])]) for result in campaign.failures]
    if len(failed) > 1:
        lines[1:1] = [f"failed seeds: {', '.join(failed)}"]
    put("\n".join(lines if is_shown else [*lines[: count + (len(failed) > 1)], "the first failure:"]))


def _listed(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))


def _as_json(result: SeedResult) -> dict[str, Any]:
    return {
        "seed": result.seed,
        "valid?": result.valid,
        "reasons": result.reasons,
        "warnings": result.warnings,
        "checks": result.checks,
        "assertions": result.assertions,
        "drawn": result.drawn,
        "digest": result.digest,
        "command": result.command,
        "seconds": result.seconds,
        "cpu-seconds": result.cpu_seconds,
        "error": result.error,
    }
