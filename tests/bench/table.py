"""What a benchmark is made of, and the figures that come out: contestants, rounds, rows with their goals."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

Figures: TypeAlias = dict[str, float]
"""Figures of one run, by name."""

Samples: TypeAlias = dict[str, list[Figures]]
"""Figures of all rounds, by contestant."""

DRIVER_SHARE = 1.0
"""The benchmark's own CPU time over the child's wall time; above it, the row says so."""


@attrs.frozen
class Row:
    """One line of the table: *ours*, alone or against a reference."""

    title: str
    ours: str
    """The contestant."""
    figure: str = "cpu"
    """Which of its figures."""
    unit: str = "us"
    reference: str = ""
    """The contestant to divide by, if any."""
    goals: tuple[float, ...] = ()
    """Upper limits: of the ratio if there is a reference, else of the figure itself; the strictest last."""
    reference_figure: str = ""
    """The figure of the reference, if it is another one."""
    against: str = ""
    """What to call the reference, if not by its name."""

    @property
    def reference_name(self) -> str:
        return self.against or self.reference


@attrs.frozen
class Case:
    """A benchmark: contestants that run in turns, and what is made of their figures."""

    name: str
    about: str
    """How it is measured, in one or two sentences."""
    contestants: dict[str, Callable[[], Figures]]
    rows: Sequence[Row]
    max_rounds: int = 1_000
    """Fewer rounds than asked for, where one takes long or repeats itself by design."""


@attrs.frozen
class Result:
    """A row with its figures."""

    row: Row
    ours: float
    reference: float | None
    values: list[float]
    """The ratio of each round; without a reference, our figure of each round."""
    driver_is_slow: bool

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> list[bool]:
        return [self.median <= goal for goal in self.row.goals]


def run_case(case: Case, rounds: int) -> Samples:
    """Run every contestant once in each round, beginning with another one each time."""
    samples: Samples = {name: [] for name in case.contestants}
    names = list(case.contestants)
    rounds = min(rounds, case.max_rounds)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            progress(f"{case.name}, round {number + 1} of {rounds}: {name}")
            begun = time.perf_counter()
            figures = case.contestants[name]()
            samples[name].append(figures)
            shown = "  ".join(f"{key} {value:.4g}" for key, value in figures.items())
            progress(f"    {shown}  ({time.perf_counter() - begun:.1f} s)")
    return samples


def results_of(case: Case, samples: Samples) -> list[Result]:
    """Make the rows of *case* out of its *samples*."""
    return [_result(row, samples) for row in case.rows]


def _result(row: Row, samples: Samples) -> Result:
    ours = [figures[row.figure] for figures in samples[row.ours]]
    runs = [figures for name in (row.ours, row.reference) for figures in samples.get(name, [])]
    slow = any(figures["driver"] > DRIVER_SHARE * figures["wall"] for figures in runs if "driver" in figures)
    if not row.reference:
        return Result(row, statistics.median(ours), None, ours, slow)
    figure = row.reference_figure or row.figure
    reference = [figures[figure] for figures in samples[row.reference]]
    ratios = [mine / theirs for mine, theirs in zip(ours, reference, strict=True)]
    return Result(row, statistics.median(ours), statistics.median(reference), ratios, slow)


def progress(text: str) -> None:
    """Say on stderr what goes on."""
    print(text, file=sys.stderr, flush=True)
