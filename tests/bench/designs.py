"""Compares the timing wheel with other designs for deadlines: prints a table, or writes it into a page (``--write``).

Each design keeps the deadlines of pending RPCs, and nothing else: no channel, no statistics. In one slice, each takes
up to 512 RPCs, except the scan, which looks through all of them anyway.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import math
import re
import statistics
import sys
import time
import tracemalloc
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from trio_messenger._rpc.wheel import TimingWheel

SLICE: Final = 512
TIMEOUT: Final = 2.0
RATE: Final = 50_000.0
"""RPCs per second that the deadlines are for."""


class Design(ABC):
    """A table of deadlines, by the numbers of RPCs."""

    @abstractmethod
    def add(self, number: int, now: float) -> None:
        """Add an RPC that is due `TIMEOUT` seconds after *now*."""

    @abstractmethod
    def answer(self, number: int) -> None:
        """Remove an RPC that has its reply."""

    @abstractmethod
    def expire(self, now: float) -> list[int]:
        """Remove a slice of the RPCs that are due, and return their numbers."""


class Scan(Design):
    """A dict, which is looked through as a whole."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}

    def add(self, number: int, now: float) -> None:
        self._deadlines[number] = now + TIMEOUT

    def answer(self, number: int) -> None:
        del self._deadlines[number]

    def expire(self, now: float) -> list[int]:
        due = [number for number, deadline in self._deadlines.items() if deadline <= now]
        for number in due:
            del self._deadlines[number]
        return due


class Heap(Design):
    """A heap with lazy deletion: an answered RPC stays in it until its deadline."""

    def __init__(self) -> None:
        self._pending: set[int] = set()
        self._heap: list[tuple[float, int]] = []

    def add(self, number: int, now: float) -> None:
        self._pending.add(number)
        heapq.heappush(self._heap, (now + TIMEOUT, number))

    def answer(self, number: int) -> None:
        self._pending.remove(number)

    def expire(self, now: float) -> list[int]:
        due: list[int] = []
        for _ in range(SLICE):
            if not self._heap or self._heap[0][0] > now:
                break
            number = heapq.heappop(self._heap)[1]
            if number in self._pending:
                self._pending.remove(number)
                due.append(number)
        return due


class Queue(Design):
    """The queue of one timeout: a dict, in the order of deadlines. A table has one for each timeout in use."""

    def __init__(self) -> None:
        self._deadlines: OrderedDict[int, float] = OrderedDict()  # a dict looks through removed items at its front

    def add(self, number: int, now: float) -> None:
        self._deadlines[number] = now + TIMEOUT

    def answer(self, number: int) -> None:
        del self._deadlines[number]

    def expire(self, now: float) -> list[int]:
        due: list[int] = []
        for number, deadline in self._deadlines.items():
            if deadline > now or len(due) == SLICE:
                break
            due.append(number)
        for number in due:
            del self._deadlines[number]
        return due


class Wheel(Design):
    """The timing wheel of the package, and a dict with the deadlines, by which an answered RPC is found."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._wheel = TimingWheel(lambda _: None, self._deadlines.__contains__)

    def add(self, number: int, now: float) -> None:
        self._deadlines[number] = deadline = now + TIMEOUT
        self._wheel.add(number, deadline)

    def answer(self, number: int) -> None:
        self._wheel.remove(number, self._deadlines.pop(number))

    def expire(self, now: float) -> list[int]:
        def take(number: int) -> Any:
            return number if self._deadlines.pop(number, None) is not None else None

        taken: list[Any] = self._wheel.pop_due(now, SLICE, take)
        return taken


DESIGNS: Final[dict[str, Callable[[], Design]]] = {
    "scan": Scan,
    "heap with lazy deletion": Heap,
    "queue of one timeout": Queue,
    "timing wheel": Wheel,
}

HEADINGS: Final = (
    "design",
    "bytes for each pending RPC",
    "bytes left by each answered RPC",
    "to add, us",
    "to add and to answer, us",
    "to expire, us",
    "a look with nothing due, ms",
    "longest pause when all expire, ms",
)


def filled(make: Callable[[], Design], count: int) -> Design:
    """Return a design with *count* pending RPCs."""
    design = make()
    for number in range(count):
        design.add(number, number / RATE)
    return design


def seconds(do: Callable[[], object]) -> float:
    """Return the CPU time of *do*."""
    begun = time.thread_time()
    do()
    return time.thread_time() - begun


def bytes_of(make: Callable[[], Design], count: int) -> tuple[float, float]:
    """Return the bytes for each of *count* pending RPCs, and for each of *count* RPCs that were answered at once."""
    tracemalloc.start()
    design = filled(make, count)
    pending = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del design
    tracemalloc.start()
    design = make()
    for number in range(count):
        design.add(number, number / RATE)
        design.answer(number)
    answered = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return pending / count, answered / count


def times_of(make: Callable[[], Design], count: int) -> tuple[float, ...]:
    """Return the times that the table shows, with *count* pending RPCs: in us, and in ms the last two."""
    design = make()

    def add() -> None:
        for number in range(count):
            design.add(number, number / RATE)

    def add_and_answer() -> None:
        for number in range(count, count + count // 2):
            design.add(number, number / RATE)
            design.answer(number)

    to_add = seconds(add) / count * 1e6
    to_answer = seconds(add_and_answer) / (count // 2) * 1e6
    look = seconds(lambda: design.expire(0.0)) * 1e3
    pauses, expired = [], 0
    while expired < count:
        begun = time.thread_time()
        expired += len(design.expire(math.inf))
        pauses.append(time.thread_time() - begun)
    return to_add, to_answer, sum(pauses) / count * 1e6, look, max(pauses) * 1e3


def table(count: int, rounds: int) -> str:
    """Return the table as Markdown: medians of the rounds, in which the designs take turns."""
    gc.disable()
    rows = {name: [times_of(make, count)] for name, make in DESIGNS.items()}
    for _ in range(rounds - 1):
        for name, make in DESIGNS.items():
            rows[name].append(times_of(make, count))
    lines = [f"| {' | '.join(HEADINGS)} |", f"|---|{'--:|' * (len(HEADINGS) - 1)}"]
    for name, make in DESIGNS.items():
        figures = [*bytes_of(make, count // 5), *map(statistics.median, zip(*rows[name], strict=True))]
        lines.append(f"| {name} | {' | '.join(map(_written, figures))} |")
    return "\n".join(lines)


def _written(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="pending RPCs (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into the page that has one already")
    arguments = parser.parse_args()
    made = table(arguments.count, arguments.rounds)
    print(made)
    if arguments.write is not None:
        page = arguments.write.read_text(encoding="utf-8")
        new, count = re.subn(rf"^\| {HEADINGS[0]} \| {HEADINGS[1]} .*(?:\n\|.*)*", lambda _: made, page, flags=re.M)
        if count != 1:
            sys.exit(f"{arguments.write} has {count} such tables, not 1")
        arguments.write.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
