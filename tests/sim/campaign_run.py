"""Put the verdicts to the test: `nox -s campaign`, or `python tests/sim/campaign_run.py`.

Nodes that are wrong, at least three for each workload, must be caught with every seed, and the ready-made ones must
pass with every seed, whatever breaks around them. Some seeds of the ready-made ones are runs of ten virtual minutes.
Each mistake in a ready-made node, Raft among them, must be caught with one of the seeds, and Raft without a mistake
must pass with all of them, with the same options.
"""

# ruff: noqa: T201 - a program that prints its findings

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `support` is found even under PYTHONSAFEPATH

from support.hunts import HUNTS, RIGHT, Hunt
from support.wrong_nodes import CASES, LONG_CASES, READY_MADE, Case, run_named

from trio_messenger.sim._campaigns.campaign import CampaignReport, run_campaign

EXAMPLES = """\
examples:
  campaign_run.py                         every wrong node with 100 seeds, every right one with 200, and 5 long ones
  campaign_run.py --seeds 1000 broadcast  those whose name has "broadcast" in it, with 1,000
  campaign_run.py --seeds 0 --long 20     only the long runs, with 20 seeds

exit status: 0 if each wrong node was caught and each right one passed with every seed; 1 if not; 2 for wrong arguments.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    cases = [
        case for case in (*certain_cases(), *LONG_CASES) if arguments.only in case.name and seeds_of(case, arguments)
    ]
    width = max((len(case.name) for case in cases), default=0)
    misses = []
    for case in cases:
        begun = time.perf_counter()
        report = run_campaign(
            case.options,
            case.arguments,
            range(arguments.first, arguments.first + seeds_of(case, arguments)),
            make_run=run_named,
            jobs=arguments.jobs,
            keep_going=True,
        )
        missed = misses_of(case, report)
        misses += missed
        print(f"{case.name:{width}}  {told(case, report):20} {time.perf_counter() - begun:6.1f} s", flush=True)
        for text in missed[:5]:
            print(f"  {text}", flush=True)
    for hunt in (*RIGHT, *HUNTS):
        if arguments.only in hunt.name and arguments.seeds != 0:
            misses += hunt_for(hunt, range(arguments.first, arguments.first + (arguments.seeds or 100)))
    runs = sum(seeds_of(case, arguments) for case in cases)
    print(f"\n{len(cases)} cases, {runs} runs: {len(misses) or 'no'} misses")
    return 1 if misses else 0


def certain_cases() -> list[Case]:
    """Return the cases whose verdict must be the same with every seed; the others are hunted."""
    return [case for case in CASES if case not in READY_MADE]


def hunt_for(hunt: Hunt, seeds: range) -> list[str]:
    """Run *hunt* until its mistake is caught, or with all *seeds* if it has none; return what is not as it must be."""
    begun = time.perf_counter()
    missed = [] if hunt in RIGHT else [f"MISS: {hunt.name} was not caught with {len(seeds)} seeds"]
    how = f"passed with {len(seeds)} seeds"
    for seed in seeds:
        if by := hunt.catch(seed):
            how = f"seed {seed}: {by}"
            missed = [f"MISS: {hunt.name}: {how}"] if hunt in RIGHT else []
            break
    print(f"{hunt.name}  {how}  {time.perf_counter() - begun:6.1f} s", *missed, sep="\n  ", flush=True)
    return missed


def seeds_of(case: Case, arguments: argparse.Namespace) -> int:
    """Return how many seeds *case* gets."""
    if case.is_long:
        return int(arguments.long)
    return int(arguments.seeds if arguments.seeds is not None else 200 if case.is_right else 100)


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
    parser.add_argument("--seeds", type=int, help="how many (default: 100 of a wrong node, 200 of a right one)")
    parser.add_argument("--long", type=int, default=5, help="how many of the long runs (default: 5)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    arguments = parser.parse_args(argv)
    names = [*(case.name for case in certain_cases()), *(hunt.name for hunt in (*RIGHT, *HUNTS))]
    if not any(arguments.only in name for name in names):
        parser.error(f"no case has {arguments.only!r} in its name")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
