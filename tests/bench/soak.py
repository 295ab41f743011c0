"""Serve a mixed load for long, and then count: `nox -s soak`, or `python tests/bench/soak.py`. Needs Linux.

One node, as the executable runs it, between two pipes. Around it are clients that send echoes, duplicates, requests
without a number, malformed lines and replies to nothing; a peer that loses RPCs, answers late or twice; and phases in
which its output is read slowly or not at all. Every line that comes back is checked as it comes. At the end the
counters that the node prints must be those of the books, and its memory must not have grown since it settled.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import attrs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench` is found even under PYTHONSAFEPATH

from bench.soak_load import Load
from bench.soak_node import NodeProcess, SoakError

EXAMPLES = """\
examples:
  soak.py                                ten minutes
  soak.py --seconds 20 --seed 7          a short one, with another load
  soak.py --seconds 3600 --json out.json an hour; figures and all samples of memory go to a file

The seed decides what is sent. When it is handled is up to the machine, so no two runs are quite the same.
exit status: 0 if all is as it must be; 1 if not; 2 for wrong arguments.
"""

READ_SIZE = 1 << 16
SLOW_READ_SIZE = 1 << 13
"""Bytes that a slow reader takes at a time, and then waits for `SLOW_PAUSE`: a few hundred messages a second."""

SLOW_PAUSE = 0.02

SETTLED_AFTER = 30.0
"""Seconds of warm-up after which the garbage collector and the allocator have found their level, and some to spare."""

GROWTH = 0.05
"""Of the median, by which memory may grow from then on, whatever its noise: the steps of the allocator."""

EARLY_GROWTH = 0.1
"""The same of a run that is too short for that: what a young process takes until it has seen every peak of the load."""

NOISE_FACTOR = 3.0
"""Standard deviations of the samples within which a trend is taken for noise."""

MIN_SAMPLES = 5
"""Fewer tell nothing of a trend."""

WARM_UP = 0.1
"""The part of the run after which memory must not grow."""

MIN_WARM_UP = 5.0
"""Seconds of it at least; and never less than the first round of phases takes."""

SAMPLE_EVERY = 1.0
SHOW_EVERY = 5.0

STUCK = 0.3
"""Seconds without a write after which the node, whose output nobody reads, has stopped to take input: then it may."""

MAX_BACKLOG = 100_000
"""Requests that may be on their way by then; what the pipes and the node's buffers hold is about a tenth of that."""

TIMEOUT = 0.02
"""Seconds between looks at the clock while nothing can be read or written."""

LAST_REQUESTS = 100
"""Requests of two kinds each that are on their way when the input ends."""

ROUND = 7
"""Phases in a round. One round is always completed, and memory is looked at after that."""

MIN_MESSAGES = 1000
"""What the node sends in a phase in which it is to send anything; on a fast machine it is far more."""

Verdict: TypeAlias = tuple[str, str, str, bool]
"""A line of the table: what it is about, what was found, what was to be, and whether it was."""


@attrs.frozen
class Phase:
    """What the driver does for a while."""

    name: str
    seconds: float
    plain: float = 200
    """Plain requests to keep in flight; infinity stops at a full pipe."""
    calls: int = 400
    """Requests to keep in flight that wait for the peer; far from the node's limit of 1000."""
    crowd: int = 0
    """Further ones to begin with."""
    read: int = READ_SIZE
    """Bytes of output to read at a time; 0 for none."""
    pause: float = 0.0
    """Seconds between reads."""


def phases(random: Random) -> Iterator[Phase]:
    """Give one phase after the other, without end; the first round is short, for the node to meet everything soon."""
    for length in itertools.chain([0.25], itertools.repeat(1.0)):
        yield Phase("crowd", 1.5 * length, crowd=1200)
        yield Phase("mixed", random.uniform(2, 4) * length)
        yield Phase("stall", max(1.0, random.uniform(0.5, 3) * length), plain=float("inf"), read=0)
        yield Phase("mixed", random.uniform(2, 4) * length)
        yield Phase("slow", 2 * length, plain=2000, read=SLOW_READ_SIZE, pause=SLOW_PAUSE)
        yield Phase("mixed", random.uniform(2, 4) * length)
        yield Phase("idle", 0.8 * length, plain=0, calls=0)


REST = Phase("rest", 0.0, plain=0, calls=0)


def counters(errors: str) -> dict[str, int]:
    """Return the counters of the last line of statistics in *errors*; those that it leaves out are 0."""
    lines = re.findall(r"statistics: (.*)", errors)
    if not lines:
        raise SoakError("there is no line of statistics on stderr")
    return {name: int(value) for name, value in re.findall(r"\b(\w+)=(\d+)(?=\s|$)", lines[-1])}


@attrs.frozen(kw_only=True)
class Trend:
    """How memory went on after the first part of the run. All in MiB.

    Growth is the Theil-Sen slope (the median of the slopes between any two samples) times the time measured: load
    comes in phases, and a few high samples, which would tilt a line of least squares, do not move a median. Noise is
    the standard deviation about that line, as the median of the deviations tells it.

    Memory is flat if its growth is within three times the noise, or within 5 % of the median (10 % in a run so short
    that it begins to count before the process has settled). The first is for the phases of the load; the second for
    the steps in which memory is taken at each new peak of the load and kept: they get rarer the longer the run, while
    a leak has the more to show.
    """

    allowance: float
    """Of the median."""
    median: float
    peak: float
    growth: float
    noise: float
    seconds: float

    @property
    def limit(self) -> float:
        return max(self.allowance * self.median, NOISE_FACTOR * self.noise)

    @property
    def is_flat(self) -> bool:
        return self.growth <= self.limit

    def __str__(self) -> str:
        limit = f"the larger of {self.allowance:.0%} and {NOISE_FACTOR:g} x the noise of {self.noise:.2f}"
        growth = f"{self.growth:+.2f} MiB in {self.seconds:.0f} s, limit {self.limit:.2f}: {limit}"
        return f"median {self.median:.1f} MiB, peak {self.peak:.1f}; grew {growth}"


def trend(samples: list[tuple[float, float]]) -> Trend | None:
    """Return the trend of *samples*, pairs of seconds since the start and MiB; None if they are too few to have one."""
    if len(samples) < MIN_SAMPLES:
        return None
    slope = statistics.median(
        (later[1] - sooner[1]) / (later[0] - sooner[0])
        for index, sooner in enumerate(samples)
        for later in samples[index + 1 :]
    )
    offset = statistics.median(value - slope * at for at, value in samples)
    noise = 1.4826 * statistics.median(abs(value - slope * at - offset) for at, value in samples)
    values = [value for _, value in samples]
    seconds = samples[-1][0] - samples[0][0]
    return Trend(
        allowance=GROWTH if samples[0][0] >= SETTLED_AFTER else EARLY_GROWTH,
        median=statistics.median(values),
        peak=max(values),
        growth=slope * seconds,
        noise=noise,
        seconds=seconds,
    )


class Soak:
    """One run.

    Args:
      seconds: How long to go on making requests.
      seed: Of the load.
      shows_progress: Whether to say on stderr how it goes.
    """

    def __init__(self, seconds: float, seed: int, shows_progress: bool) -> None:
        self.load = Load(seed)
        self.samples: list[tuple[float, float]] = []
        """Seconds since the beginning, and MiB of memory."""
        self.warm_up = max(MIN_WARM_UP, WARM_UP * seconds)
        """Seconds before the samples that count; longer if the first round of phases takes longer."""
        self.counters: dict[str, int] = {}
        """What the node has counted."""
        self.trend: Trend | None = None
        self.took = 0.0
        """Seconds until the end, so far."""
        self._seconds = seconds
        self._phases = phases(Random(seed))
        self._shows_progress = shows_progress
        self._begun = time.monotonic()
        self._torn = b""  # the beginning of a line whose end has not been read
        self._next_sample = self._next_show = self._next_read = 0.0

    def run(self, node: NodeProcess) -> list[Verdict]:
        """Do everything, and return what came of it.

        Raises:
          SoakError: at the first thing that makes the rest meaningless.
        """
        load = self.load
        load.start()
        self._serve_phases(node)
        while not load.has_answers():
            self._step(node, REST)
        load.stop_clock()
        while not load.is_at_rest():
            self._step(node, REST)
        load.ask_at_rest()
        while not load.is_at_rest():
            self._step(node, REST)
        load.part(LAST_REQUESTS)
        while load.traffic.output:
            self._step(node, REST)
        node.close_stdin()
        self._take(node.read_rest())
        status = node.wait()
        self.took = self._now()
        if self._torn or not load.is_at_rest():
            raise SoakError(f"the node ended with {self._torn!r:.300} and without an answer to {load.missing()}")
        return self._judge(status, node.errors())

    def _serve_phases(self, node: NodeProcess) -> None:
        for number, phase in enumerate(self._phases, start=1):
            self.load.crowd(phase.crowd)
            seen = self.load.traffic.last_msg_id
            end = min(self._now() + phase.seconds, self._seconds)
            while self._now() < end or not self._is_complete(node, phase, seen):
                self.load.fill(phase.plain, phase.calls)
                self._step(node, phase)
            if number == ROUND:
                self.warm_up = max(self.warm_up, self._now())
            if number >= ROUND and self._now() >= self._seconds:
                return

    def _is_complete(self, node: NodeProcess, phase: Phase, seen: int) -> bool:
        """Tell whether *phase*, which began after message *seen*, was what it is to be, on a slow machine too."""
        if phase.read == 0:
            backlog = len(self.load.traffic.wanted)
            if backlog > MAX_BACKLOG:
                raise SoakError(f"nobody reads its output, yet the node goes on to take requests: {backlog} wait")
            return node.has_taken_nothing_for(STUCK)
        return phase.plain == 0 or self.load.traffic.last_msg_id - seen >= MIN_MESSAGES

    def _step(self, node: NodeProcess, phase: Phase) -> None:
        """Write and read once, and look after whatever else is due."""
        now = self.took = self._now()
        is_due = now >= self._next_read
        if is_due:
            self._next_read = now + phase.pause
        self._take(node.exchange(self.load.traffic.output, read=phase.read if is_due else 0, timeout=TIMEOUT))
        if self._next_sample <= now < self._seconds:
            self._next_sample = now + SAMPLE_EVERY
            resident = node.resident()
            if resident is not None:
                self.samples.append((now, resident))
            if phase.plain:
                self.load.poll()
        if self._shows_progress and now >= self._next_show:
            self._next_show = now + SHOW_EVERY
            received, sent = (self.load.traffic.books.certain[name] for name in ("received", "sent"))
            memory = f"{self.samples[-1][1]:.1f} MiB" if self.samples else ""
            print(f"{now:6.0f} s  {phase.name:6} {received:10,} in {sent:10,} out  {memory}", file=sys.stderr)

    def _take(self, data: bytes) -> None:
        if data:
            *lines, self._torn = (self._torn + data).split(b"\n")
            for line in lines:
                self.load.take(line)

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _judge(self, status: int, errors: str) -> list[Verdict]:
        self.counters = counters(errors)
        ended = [self.counters.get(name, 0) for name in ("answered", "reaped", "abandoned", "closed")]
        dropped = [self.counters.get(name, 0) for name in ("late_replies", "duplicate_replies", "unknown_replies")]
        books = self.load.traffic.books
        verdicts = [_compare(name, self.counters.get(name, 0), *wanted) for name, wanted in books.ranges().items()]
        rpcs = self.counters.get("rpcs", 0)
        replies = ended[0] + sum(dropped)
        verdicts += [
            _compare("answered + reaped + abandoned + closed", sum(ended), rpcs, rpcs),
            _compare("answered + late + duplicate + unknown", replies, books.replies, books.replies),
            _compare("exit status", status, 0, 0),
            _compare("tracebacks on stderr", errors.count("Traceback"), 0, 0),
        ]
        self.trend = trend([sample for sample in self.samples if sample[0] >= self.warm_up])
        growth = ("unknown", "(too short a run)", True)
        if self.trend is not None:
            growth = (f"{self.trend.growth:.2f}", f"<= {self.trend.limit:.2f}", self.trend.is_flat)
        return [*verdicts, ("growth of memory, MiB", *growth)]


def _compare(name: str, found: int, least: int, most: int) -> Verdict:
    return name, str(found), str(least) if least == most else f"{least} to {most}", least <= found <= most


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    soak = Soak(arguments.seconds, arguments.seed, arguments.progress or sys.stderr.isatty())
    verdicts: list[Verdict] = []
    with NodeProcess() as node:
        try:
            verdicts = soak.run(node)
            failures = [f"{name} is {found}, not {wanted}" for name, found, wanted, is_well in verdicts if not is_well]
        except SoakError as exc:
            failures = [str(exc)]
        errors = node.errors()
    print(summary(soak, verdicts))
    if failures:
        print(f"\nFAILED with seed {arguments.seed}: " + "\n        ".join(failures))
        print("the end of its stderr:\n" + errors[-3000:], file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures(soak, arguments, failures), indent=1) + "\n")
    return 1 if failures else 0


def summary(soak: Soak, verdicts: list[Verdict]) -> str:
    """Return the table, and what is worth saying beside it."""
    rows = [("what", "the node's", "the books'", "")]
    rows += [(name, found, wanted, "" if is_well else "WRONG") for name, found, wanted, is_well in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
    books = soak.load.traffic.books
    lines.append(f"\ntook {soak.took:.0f} s, {books.certain['received'] / max(soak.took, 1):,.0f} lines a second")
    for name, counts in ("sent", books.sent), ("came", books.got):
        lines.append(f"{name}: " + ", ".join(f"{kind} {count}" for kind, count in counts.most_common()))
    lines.append(f"memory after {soak.warm_up:.0f} s: {soak.trend or 'unknown'}")
    return "\n".join(lines)


def figures(soak: Soak, arguments: argparse.Namespace, failures: list[str]) -> dict[str, Any]:
    """Return everything that is worth keeping."""
    books = soak.load.traffic.books
    return {
        "seconds": arguments.seconds,
        "seed": arguments.seed,
        "failures": failures,
        "took": soak.took,
        "sent": books.sent,
        "came": books.got,
        "counters": soak.counters,
        "books": books.ranges(),
        "replies": books.replies,
        "warm_up": soak.warm_up,
        "memory": None if soak.trend is None else attrs.asdict(soak.trend),
        "samples": soak.samples,
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soak.py", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=seconds, default=600.0, help="how long to make requests, at least (default: 600)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is sent (default: 1)")
    parser.add_argument("--progress", action="store_true", help="say on stderr how it goes; at a terminal it does")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(argv)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; give seconds, 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
