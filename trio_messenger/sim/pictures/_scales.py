"""Axes: the positions of times, durations and rates in a chart, and the values that get a line and a label."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

import attrs

_TICKS: Final = 8
"""The approximate number of ticks on an axis of times."""
_RATE_TICKS: Final = 4
"""The approximate number of ticks on an axis of rates."""
_ROUND_STEPS: Final = (1, 2, 5, 10)
_BELOW: Final = 16
"""Pixels between the least duration of a logarithmic scale and 0 below it, if the scale has a 0."""


@final
@attrs.frozen
class Times:
    """A linear scale with 0 at the left."""

    end: float
    """The value at the right."""
    left: float
    right: float

    def x(self, value: float) -> float:
        """Return the position of *value*; a value beyond the end has the position of the right end."""
        return self.left + (self.right - self.left) * min(1.0, value / self.end)

    def ticks(self) -> Iterator[float]:
        """Yield round values at equal distances."""
        yield from _round_values(self.end, _TICKS)


def _round_values(end: float, about: int) -> Iterator[float]:
    """Yield at most *about* round values above 0 at equal distances, and 0, up to *end*."""
    rough = end / about
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * step for step in _ROUND_STEPS if size * step >= rough)
    for number in range(int(end / step) + 1):
        yield number * step


@final
@attrs.frozen(kw_only=True)
class Rates:
    """A linear scale with 0 at the bottom."""

    greatest: float
    """The value at the top; more than 0."""
    top: float
    """The position of the greatest value."""
    bottom: float
    """The position of 0."""

    def y(self, value: float) -> float:
        """Return the position of *value*."""
        return self.bottom - (self.bottom - self.top) * value / self.greatest

    def ticks(self) -> Iterator[float]:
        """Yield round values at equal distances."""
        yield from _round_values(self.greatest, _RATE_TICKS)


@final
@attrs.frozen(kw_only=True)
class Durations:
    """A logarithmic scale of whole decades, with 0 a little below them if 0 is among the values."""

    least: float
    greatest: float
    has_zero: bool
    top: float
    """The position of the greatest value."""
    bottom: float
    """The position of 0 if 0 is among the values, otherwise of the least value."""

    @classmethod
    def of(cls, values: list[int], top: float, bottom: float) -> Durations:
        """Return a scale that covers all of *values*."""
        positive = [value for value in values if value > 0] or [1_000_000]
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        has_zero = min(values, default=1) <= 0
        greatest = 10.0 ** max(high, low + 1)
        return cls(least=10.0**low, greatest=greatest, has_zero=has_zero, top=top, bottom=bottom)

    def y(self, value: float) -> float:
        """Return the position of *value*."""
        if value < self.least:
            return self.bottom
        part = math.log10(value / self.least) / math.log10(self.greatest / self.least)
        floor = self.bottom - (_BELOW if self.has_zero else 0)
        return floor - (floor - self.top) * part

    def ticks(self) -> Iterator[float]:
        """Yield 0 if the scale has it, and the beginning of each decade."""
        if self.has_zero:
            yield 0
        for number in range(round(math.log10(self.greatest / self.least)) + 1):
            yield self.least * 10**number
