"""Compare ways to draw schedules of faults: `nox -s bench -- search`, or `python tests/bench/search.py`.

Each run is one seed of one case with one search, in this process. All runs of a seed come before those of the next one,
so whenever the time is up, every search has had the same seeds. The results are in a file, one line for each run; with
the same file, the program goes on where it stopped. `mix` draws one of the other searches for each seed and gives the
same run, so its results are taken from theirs.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `support` is found even under PYTHONSAFEPATH

import attrs
from support.graded_bugs import GRADED, KINDS, NODES, WITH_SERVICES, Graded
from support.hunts import caught_by
from support.raft_invariants import raft_invariants
from support.raft_mistakes import MISTAKES, Small
from support.wrong_nodes import CASES

from trio_messenger import DurableStore, Node
from trio_messenger._cli.finding import find_build
from trio_messenger.nodes import raft
from trio_messenger.sim import FaultSearch, Latency, Options
from trio_messenger.sim._campaigns.simulation import run_simulation
from trio_messenger.sim._faults.fault_search import AIMED, MIX, SWARM, SWIZZLE, UNIFORM
from trio_messenger.sim._invariants.watch import named_invariants

DRAWN = (UNIFORM, SWARM, SWIZZLE, AIMED)
"""The searches whose runs are made."""

SEARCHES = (*DRAWN, MIX)

GROUPS = ("graded", "wrong", "raft")
"""Bugs that some seeds catch, and right nodes; wrong nodes of the tests; and mistakes in Raft."""

EXAMPLES = """\
examples:
  search.py --max-seconds 1200 --results runs.jsonl    20 minutes; repeat it to go on
  search.py --group raft --seeds 20                    only Raft's mistakes
  search.py --results runs.jsonl --seeds 0             only the table of what is in the file
"""

Run: TypeAlias = dict[str, Any]
"""A run: its case, search and seed, whether it failed, and its CPU seconds."""


def raft_of(member: type[raft.Raft]) -> Callable[[DurableStore], Node]:
    """Return what builds a node with this member; its store is durable, as a run sees by the parameter."""
    return lambda store: raft.build(store, member=member)


def wrong_nodes() -> Iterator[Graded]:
    """Yield the wrong nodes that need faults, with faults that are drawn."""
    for case in CASES:
        if case.options.faults and not case.is_right and case.options.workload != "kafka":
            kinds = WITH_SERVICES if case.options.workload == "txn-list-append" else KINDS
            own = [fault.kind for fault in case.options.faults if fault.kind not in kinds]
            options = attrs.evolve(
                case.options, faults=(), time_limit=12.0, nemesis=(*kinds, *own), nemesis_interval=4.0
            )
            yield Graded(name=case.name, build=find_build(case.node), options=options.with_schedule(), share=12)


def groups() -> dict[str, list[Graded]]:
    """Return all cases, by group."""
    of_raft = Options(
        workload="lin-kv",
        nodes=NODES,
        nemesis=("partition", "kill", "slow", "storage"),
        nemesis_interval=2.0,
        time_limit=10.0,
        rate=40.0,
        latency=Latency(10, "exponential"),
    )
    members = {"right raft": Small, **{f"raft {name}": member for name, member in MISTAKES.items()}}
    return {
        "graded": list(GRADED),
        "wrong": list(wrong_nodes()),
        "raft": [
            Graded(
                name=name,
                build=raft_of(member),
                options=of_raft,
                is_right=member is Small,
                invariants=raft_invariants,
                share=30,
            )
            for name, member in members.items()
        ],
    }


def runs_of(seeds: Iterable[int], cases: Iterable[Graded]) -> Iterator[tuple[Graded, str, int]]:
    """Yield the runs of each seed, one seed after another."""
    for seed in seeds:
        for case in cases:
            if seed % case.share == 0:
                yield from ((case, search, seed) for search in DRAWN)


def made(case: Graded, search: str, seed: int) -> Run:
    """Make one run."""
    begun = time.process_time()
    checked = named_invariants(case.invariants())
    named = attrs.evolve(case.options, invariants=tuple(checked))
    options = named.with_schedule(search=FaultSearch(search), seed=seed)
    report = run_simulation(options, case.build, invariants=tuple(checked.values()), node=())
    return {
        "case": case.name,
        "search": search,
        "seed": seed,
        "failed": bool(caught_by(report)),
        "cpu": round(time.process_time() - begun, 4),
    }


def with_mix(runs: Iterable[Run], cases: Iterable[Graded]) -> list[Run]:
    """Return *runs*, and those of ``mix``, each of which is the run of the search that its seed draws."""
    kinds = {case.name: case.options.nemesis for case in cases}
    known = [run for run in runs if run["case"] in kinds]
    chosen = [run for run in known if run["search"] == FaultSearch(MIX).of_seed(kinds[run["case"]], run["seed"])]
    return [*known, *({**run, "search": MIX} for run in chosen)]


def wilson(found: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of a fraction (Wilson's)."""
    if not count:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf(0.975)
    centre, spread = found + z * z / 2, z * math.sqrt(found * (count - found) / count + z * z / 4)
    return (centre - spread) / (count + z * z), (centre + spread) / (count + z * z)


def seeds_to_find(found: int, count: int) -> float:
    """Return the median number of seeds to the first find, if each seed finds the bug with the measured probability."""
    if found in (0, count):
        return 1.0 if found else math.inf
    return max(1.0, math.log(0.5) / math.log(1 - found / count))


def cell(runs: Sequence[Run]) -> str:
    """Return what the runs of a case with one search came to."""
    found, count = sum(run["failed"] for run in runs), len(runs)
    if not count:
        return "not possible"
    low, high = wilson(found, count)
    seeds = seeds_to_find(found, count)
    told = f"{found} of {count} ({100 * low:.1f} to {100 * high:.1f}%)"
    if not found:
        return told
    return f"{told}; {seeds:.0f}, {seeds * statistics.mean(run['cpu'] for run in runs):.2g} s"


def table(runs: Sequence[Run], cases: Sequence[Graded]) -> str:
    """Return the table: failures of N with their interval, then median seeds and CPU seconds to the first."""
    lines = [f"| case | {' | '.join(f'`{search}`' for search in SEARCHES)} |", "|---" * (len(SEARCHES) + 1) + "|"]
    for case in cases:
        of_case = [run for run in runs if run["case"] == case.name]
        cells = [cell([run for run in of_case if run["search"] == search]) for search in SEARCHES]
        lines += [f"| {case.name} | {' | '.join(cells)} |"] if of_case else []
    bugs = {case.name for case in cases if not case.is_right}
    all_bugs = [[run for run in runs if run["case"] in bugs and run["search"] == search] for search in SEARCHES]
    lines.append(f"| all bugs | {' | '.join(map(total, all_bugs))} |")
    return "\n".join(lines)


def total(runs: Sequence[Run]) -> str:
    """Return what the runs of all bugs with one search came to, and the CPU seconds for each failure."""
    found, count = sum(run["failed"] for run in runs), len(runs)
    low, high = wilson(found, count)
    told = f"{found} of {count} ({100 * low:.1f} to {100 * high:.1f}%)"
    return f"{told}; {sum(run['cpu'] for run in runs) / found:.2g} s each" if found else told


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="search.py", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--group", choices=GROUPS, help="only this group of cases (default: all)")
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many seeds (default: 300)")
    parser.add_argument("--first", type=int, default=100_000, metavar="N", help="the first of them (default: 100000)")
    parser.add_argument("--max-seconds", type=float, default=math.inf, metavar="S", help="stop after this time")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep the runs there, and make no run twice")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    until = time.monotonic() + arguments.max_seconds
    cases = [case for name, members in groups().items() if arguments.group in (None, name) for case in members]
    file = arguments.results
    runs: list[Run] = [json.loads(line) for line in file.read_text().splitlines()] if file and file.exists() else []
    done = {(run["case"], run["search"], run["seed"]) for run in runs}
    for case, search, seed in runs_of(range(arguments.first, arguments.first + arguments.seeds), cases):
        if time.monotonic() > until:
            break
        if (case.name, search, seed) not in done:
            runs.append(made(case, search, seed))
            if file:
                with file.open("a") as lines:
                    lines.write(json.dumps(runs[-1]) + "\n")
    print(table(with_mix(runs, cases), cases))
    print(f"\n{len(runs)} runs, {sum(run['cpu'] for run in runs):.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
