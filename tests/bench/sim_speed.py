"""Measure how fast the simulator is: `python tests/bench/sim_speed.py`.

What counts is the CPU time of this process for a run, without and with its judgement, and without imports. Simulated
seconds are those of the main phase alone: the ten seconds of recovery cost little, and counting them would flatter.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Sequence

import attrs

from trio_messenger.nodes import broadcast
from trio_messenger.sim import Latency, Options
from trio_messenger.sim._campaigns.simulation import conduct
from trio_messenger.sim._judging.judgement import judge

EXAMPLES = """\
examples:
  sim_speed.py                      both loads, five rounds
  sim_speed.py large --profile 25   the larger one under cProfile, with the 25 functions that cost most

Figures never fail: what is slow is shown. Nothing else should run meanwhile.
"""

ROUNDS = 5


@attrs.frozen(kw_only=True)
class Load:
    """A load, and the goal that was set for it."""

    what: str
    options: Options
    goal: float
    """Simulated seconds per second of CPU time."""


LOADS = {
    "small": Load(
        what="broadcast, 5 nodes, 5 operations per second, 60 s",
        options=Options(workload="broadcast", rate=5.0, time_limit=60.0),
        goal=300.0,
    ),
    "large": Load(
        what="broadcast, 25 nodes, 100 operations per second, 100 ms latency, 20 s",
        options=Options(
            workload="broadcast",
            nodes=[f"n{number}" for number in range(1, 26)],
            rate=100.0,
            time_limit=20.0,
            latency=Latency(100),
        ),
        goal=10.0,
    ),
}


@attrs.frozen(kw_only=True)
class Sample:
    """What one run cost, in seconds of CPU time, and how many messages were sent in it."""

    running: float
    judging: float
    messages: int


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    for name in arguments.loads or LOADS:
        load = LOADS[name]
        if arguments.profile:
            show_profile(load, arguments.profile)
            continue
        samples = [measure(load.options) for _ in range(arguments.rounds)]
        print(told(load, samples), flush=True)
    return 0


def told(load: Load, samples: Sequence[Sample]) -> str:
    """Return the medians of *samples* in words."""
    running = statistics.median(sample.running for sample in samples)
    both = statistics.median(sample.running + sample.judging for sample in samples)
    seconds = load.options.time_limit
    return "\n".join(
        [
            load.what,
            f"  simulated seconds per CPU second: {seconds / running:.0f} to run,"
            f" {seconds / both:.0f} with its judgement (goal: {load.goal:g})",
            f"  CPU seconds: {running:.3f} to run, {both - running:.3f} to judge;"
            f" {running / samples[0].messages * 1e6:.0f} us for each of {samples[0].messages} messages",
        ]
    )


def measure(options: Options) -> Sample:
    """Make one run and judge it."""
    begun = time.process_time()
    run = conduct(options, broadcast.build)
    ended = time.process_time()
    results = judge(run)
    judged = time.process_time()
    assert results["valid?"] is True
    return Sample(running=ended - begun, judging=judged - ended, messages=results["net"]["all"]["msg-count"])


def show_profile(load: Load, lines: int) -> None:
    """Print which functions cost most, by their own time."""
    conduct(load.options, broadcast.build)
    with cProfile.Profile() as profile:
        judge(conduct(load.options, broadcast.build))
    pstats.Stats(profile).sort_stats("tottime").print_stats(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sim_speed.py", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("loads", nargs="*", metavar="LOAD", help=f"which (default: all): {', '.join(LOADS)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs of each (default: {ROUNDS})")
    parser.add_argument("--profile", type=int, metavar="N", help="the N costliest functions instead")
    arguments = parser.parse_args(argv)
    for name in arguments.loads:
        if name not in LOADS:
            parser.error(f"there is no load {name!r}; there are: {', '.join(LOADS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
