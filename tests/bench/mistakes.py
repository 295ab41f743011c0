"""Measure how soon the simulator catches each mistake of `support.hunts`, and print the table of the page.

A search runs one seed after another until a run is invalid. The searches of a mistake begin at different seeds, from
10,000 on; the seeds below that are for finding good options. All searches that are done are in a file, a line of JSON
each, so the program can be interrupted and started again. The first run that a search finds is shrunk.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `support` is found even under PYTHONSAFEPATH

from support.hunts import HUNTS, Hunt, caught_by

from trio_messenger.sim import shrink

FIRST_SEED = 10_000
SEEDS_APART = 1000
"""Between the first seeds of two searches."""

Line = dict[str, Any]


def search(hunt: Hunt, number: int, most: int) -> Line:
    """Run seeds until one is invalid, but not more than *most*."""
    begun, first, by = time.process_time(), FIRST_SEED + SEEDS_APART * number, ""
    for seed in range(first, first + most):
        by = hunt.catch(seed)
        if by:
            break
    seconds = time.process_time() - begun
    return {"mistake": hunt.name, "search": number, "seed": seed, "runs": seed - first + 1, "cpu": seconds, "by": by}


def shrunk(hunt: Hunt, seed: int, budget: int) -> Line:
    """Reduce the schedule of the run with *seed*."""
    faults = hunt.faults(seed)
    nodes = hunt.options["nodes"]
    left = shrink(faults, lambda fewer: bool(caught_by(hunt.run(seed, fewer))), nodes=nodes, budget=budget)
    return {"mistake": hunt.name, "faults": len(faults), "left": len(left.faults), "minimal": left.is_minimal}


def measure(hunts: Sequence[Hunt], searches: int, path: Path, seconds: float, most: int, budget: int) -> None:
    """Make what is missing in the file, for at most *seconds* of CPU: first searches, then reductions.

    The mistakes take turns, so that all have as many searches when the time is up.
    """
    ends_at = time.process_time() + seconds
    for number, hunt in product(range(searches), hunts):
        if time.process_time() > ends_at:
            return
        if not any(line.get("search") == number for line in of(hunt, read(path))):
            write(path, search(hunt, number, most))
    for hunt in hunts if budget else ():
        lines = list(of(hunt, read(path)))
        found = next((line["seed"] for line in lines if line.get("by")), None)
        if time.process_time() < ends_at and found is not None and not any("left" in line for line in lines):
            write(path, shrunk(hunt, found, budget))


def read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(path: Path, line: Line) -> None:
    with path.open("a") as file:
        print(json.dumps(line), file=file)


def of(hunt: Hunt, lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the lines about *hunt*."""
    return (line for line in lines if line["mistake"] == hunt.name)


def table(hunts: Sequence[Hunt], lines: Sequence[Line]) -> str:
    """Return the table of the page."""
    rows = ["| mistake | caught by | searches | runs | CPU seconds | faults left |", "|---|---|---|---|---|---|"]
    for hunt in hunts:
        found = [line for line in of(hunt, lines) if "runs" in line]
        if not found:
            rows.append(f"| `{hunt.name}` | not measured | 0 | | | |")
            continue
        caught = [line for line in found if line["by"]]
        runs, cpu = (statistics.median(line[name] for line in found) for name in ("runs", "cpu"))
        more = "" if 2 * len(caught) > len(found) else "more than "
        by = sorted({name for line in caught for name in line["by"].split(", ")})
        left = next((f"{line['left']} of {line['faults']}" for line in of(hunt, lines) if "left" in line), "")
        done = f"{len(found)}" if len(caught) == len(found) else f"{len(caught)} of {len(found)}"
        rows.append(f"| `{hunt.name}` | {', '.join(by)} | {done} | {more}{runs:g} | {more}{cpu:.1f} | {left} |")
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mistakes.py", description=__doc__)
    parser.add_argument("only", nargs="?", default="", metavar="TEXT", help="only mistakes whose name has TEXT in it")
    parser.add_argument("--searches", type=int, default=20, help="of each mistake (default: 20)")
    parser.add_argument("--runs", type=int, default=60, help="of each search, at most (default: 60)")
    parser.add_argument("--shrink", type=int, default=60, help="runs to reduce each schedule (default: 60)")
    parser.add_argument("--max-seconds", type=float, default=1500.0, help="of CPU time for this call (default: 1500)")
    parser.add_argument("--file", type=Path, default=Path("store/mistakes.jsonl"), help="where the searches are kept")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page")
    arguments = parser.parse_args(argv)
    hunts = [hunt for hunt in HUNTS if arguments.only in hunt.name]
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    measure(hunts, arguments.searches, arguments.file, arguments.max_seconds, arguments.runs, arguments.shrink)
    rows = table(hunts, read(arguments.file))
    print(rows)
    if arguments.write is not None:
        page = arguments.write.read_text()
        arguments.write.write_text(
            re.sub(r"^\| mistake \| caught by .*?\n(?!\|)", rows + "\n", page, flags=re.M | re.S)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
