"""Measure this package against references, in turns: `nox -s bench`, or `python tests/bench/run.py`. Needs Linux."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench` is found even under PYTHONSAFEPATH

from bench import cases_judging, cases_load, cases_nats, cases_state, report, search
from bench.child import ChildError
from bench.contestants import Peer
from bench.table import Case, Samples, progress, results_of, run_case

OTHERS = cases_state.CASES | cases_judging.CASES
WITH_PEERS = cases_load.CASES | cases_nats.CASES
NAMES = (*WITH_PEERS, *OTHERS)
ROUNDS = 5
QUICK_ROUNDS = 2
QUICK_SIZE = 0.1

EXAMPLES = """\
examples:
  run.py                                       everything, in about five minutes
  run.py --quick                               everything once over, in less than one: figures are rough
  run.py echo relay --rounds 9                 two benchmarks, nine rounds
  run.py echo --peer 'go=./maelstrom-echo -v'  another node takes part, wherever it serves the requests
  run.py --write docs/                         write docs/benchmarks.md and docs/benchmarks.svg
  run.py search --help                         compare ways to draw schedules of faults, which takes long

Figures never fail: what is slow is shown. The exit status is 1 if a process dies, hangs or answers wrongly.
Compare ratios only; nothing else should run meanwhile.
"""


def main() -> int:
    if sys.argv[1:2] == ["search"]:
        return search.main(sys.argv[2:])
    arguments = parse(sys.argv[1:])
    size = QUICK_SIZE if arguments.quick else 1.0
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    cases = [make_case(name, size, arguments.peer) for name in arguments.names or NAMES]
    begun = time.perf_counter()
    samples: dict[str, Samples] = {}
    try:
        for case in cases:
            samples[case.name] = run_case(case, rounds)
    except ChildError as exc:
        progress(f"error: {exc}")
        return 1
    progress(f"took {time.perf_counter() - begun:.0f} s\n")
    results = [result for case in cases for result in results_of(case, samples[case.name])]
    print(report.text_table(results))
    print("; ".join(report.environment()))
    if arguments.quick:
        print("A tenth of each load: the goals are meant for the whole of it.")
    if arguments.json:
        everything = {"environment": report.environment(), "rounds": rounds, "samples": samples}
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n")
    if arguments.write:
        report.write_page(arguments.write, cases, results, rounds)
    return 0


def make_case(name: str, size: float, peers: Sequence[Peer]) -> Case:
    """Return the benchmark called *name*, with *size* times the messages of a full run."""
    if name in WITH_PEERS:
        return WITH_PEERS[name](size, peers)
    return OTHERS[name](size)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which benchmarks (default: all): {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=positive, help=f"rounds of each (default: {ROUNDS}; fewer where one is long)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, and two rounds")
    parser.add_argument(
        "--peer", type=peer, action="append", default=[], metavar="NAME=CMD", help="another node; may be repeated"
    )
    parser.add_argument("--write", type=Path, metavar="DIR", help="write benchmarks.md and benchmarks.svg there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every round there")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    return arguments


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds; give 1 or more")
    return int(text)


def peer(text: str) -> Peer:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=CMD, such as 'go=./node --fast'")
    if name in ("messenger", "plain handler", "bare", "asyncio", "relay", "own echo"):
        raise argparse.ArgumentTypeError(f"{name!r} is the name of a contestant already")
    return Peer(name, shlex.split(command))


if __name__ == "__main__":
    sys.exit(main())
