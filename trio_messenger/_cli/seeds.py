"""Tests with many seeds, each in a separate process: ``trio-messenger test --seeds N``."""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from ..sim._for_cli import (
    FIRST_FAILED,
    NOT_THE_SEED,
    VERDICTS,
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
    seeds = range(options.seed, options.seed + arguments.seeds)
    campaign = _run_all(subject, options, seeds, arguments)
    again = _first_failure(subject, campaign)
    if not arguments.json:
        _tell(campaign, is_shown=again is None)
    first = None if again is None else _run_again(subject, options, again)
    keep_it = None
    if first is not None and not arguments.no_store:
        keep_it = partial(keep, first, arguments.store, f"{first.options.seed}", replace=True)

    def in_json(folder: Path | None) -> dict[str, Any]:
        return {
            "valid?": campaign.valid,
            "planned": campaign.planned,
            "counts": campaign.counts,
            "warnings": campaign.warnings,
            "seeds": list(map(_as_json, campaign.results)),
            "first-failure": None if first is None else report_as_json(first, folder),
        }

    if first is not None:
        tell_and_keep(first, keep_it, in_json=in_json if arguments.json else None)
    elif arguments.json:
        put_json(in_json(None))
    return CRASH if campaign.errors else STATUSES[campaign.valid]


def _run_all(subject: Subject, options: Options, seeds: range, arguments: argparse.Namespace) -> CampaignReport:
    ticker, verdicts = Ticker(Console()), Counter[str]()

    def count(result: SeedResult) -> None:
        verdicts[_NO_VERDICT if result.valid is None else VERDICTS[result.valid]] += 1
        ticker.tick(lambda: f"{verdicts.total()} of {len(seeds)} seeds: {_listed(verdicts)}")

    store = None if arguments.no_store or subject.is_virtual else arguments.store
    one_job = None if subject.is_virtual else 1  # several clusters at once would slow each other down
    try:
        return run_campaign(
            options,
            subject.name,
            seeds,
            make_run=make_run if store is None else partial(make_and_keep_run, store.absolute()),
            jobs=arguments.jobs or one_job,
            keep_going=arguments.keep_going,
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
    count = len([*takewhile(lambda line: not line.startswith(FIRST_FAILED), lines)])
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
        "error": result.error,
    }
