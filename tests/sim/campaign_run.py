"""Put the verdicts to the test: `nox -s campaign`, or `python tests/sim/campaign_run.py`.

Nodes that are wrong, at least three for each workload, must be caught with every seed, and the ready-made ones must
pass with every seed, whatever breaks around them.
"""

# ruff: noqa: T201 - a program that prints its findings

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `support` is found even under PYTHONSAFEPATH

from support.wrong_nodes import CASES, Case, run_named

from trio_messenger.sim._campaigns.campaign import CampaignReport, run_campaign

EXAMPLES = """\
examples:
  campaign_run.py                         every case with 100 seeds
  campaign_run.py --seeds 1000 broadcast  those whose name has "broadcast" in it, with 1,000

exit status: 0 if each wrong node was caught and each right one passed with every seed; 1 if not; 2 for wrong arguments.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    cases = [case for case in CASES if arguments.only in case.name]
    width = max(len(case.name) for case in cases)
    misses = []
    for case in cases:
        begun = time.perf_counter()
        report = run_campaign(
            case.options,
            case.arguments,
            range(arguments.first, arguments.first + arguments.seeds),
            make_run=run_named,
            jobs=arguments.jobs,
            keep_going=True,
        )
        missed = misses_of(case, report)
        misses += missed
        print(f"{case.name:{width}}  {told(case, report):20} {time.perf_counter() - begun:6.1f} s", flush=True)
        for text in missed[:5]:
            print(f"  {text}", flush=True)
    print(f"\n{len(cases)} cases with {arguments.seeds} seeds each: {len(misses) or 'no'} misses")
    return 1 if misses else 0


def told(case: Case, report: CampaignReport) -> str:
    """Return how the runs of *case* ended."""
    total = len(report.results)
    good = total - len(misses_of(case, report))
    verb = "passed" if case.is_right else "caught"
    return f"{good} of {total} {verb}"


def misses_of(case: Case, report: CampaignReport) -> list[str]:
    """Return what is not as it must be, a line for each seed."""
    return [
        f"MISS: {result.command or f'seed {result.seed}'}: {result.valid} {result.error or '; '.join(result.reasons)}"
        for result in report.results
        if not case.is_as_expected(result.valid, result.reasons)
    ]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="campaign_run.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("only", nargs="?", default="", metavar="TEXT", help="only cases whose name has TEXT in it")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    arguments = parser.parse_args(argv)
    if not any(arguments.only in case.name for case in CASES):
        parser.error(f"no case has {arguments.only!r} in its name")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
