"""Axes: where a time, and where a duration, stands in a chart, and which of them have a line and a label."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

import attrs

_TICKS: Final = 8
"""About how many ticks an axis of time has."""
_RATE_TICKS: Final = 4
"""About how many ticks an axis of rates has."""
_STEPS: Final = (1, 2, 5, 10)
_BELOW: Final = 16
"""Pixels below the least duration of a logarithmic scale at which 0 stands, if there is one."""


@final
@attrs.frozen
class Times:
    """A linear scale, from 0 at the left."""

    end: float
    """What stands at the right."""
    left: float
    right: float

    def x(self, value: float) -> float:
        """Return where *value* stands; what is beyond the right end stands there."""
        return self.left + (self.right - self.left) * min(1.0, value / self.end)

    def ticks(self) -> Iterator[float]:
        """Yield round values at equal distances."""
        yield from _round_values(self.end, _TICKS)


def _round_values(end: float, about: int) -> Iterator[float]:
    """Yield round values at equal distances, from 0 up to *end*; *about* so many, or fewer."""
    rough = end / about
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * step for step in _STEPS if size * step >= rough)
    for number in range(int(end / step) + 1):
        yield number * step


@final
@attrs.frozen(kw_only=True)
class Rates:
    """A linear scale, from 0 at the bottom."""

    greatest: float
    """What stands at the top; more than 0."""
    top: float
    """Where that stands."""
    bottom: float
    """Where 0 stands."""

    def y(self, value: float) -> float:
        """Return where *value* stands."""
        return self.bottom - (self.bottom - self.top) * value / self.greatest

    def ticks(self) -> Iterator[float]:
        """Yield round values at equal distances."""
        yield from _round_values(self.greatest, _RATE_TICKS)


@final
@attrs.frozen(kw_only=True)
class Durations:
    """A logarithmic scale of whole decades, and 0 somewhat below, if it is among the values."""

    least: float
    greatest: float
    has_zero: bool
    top: float
    """Where the greatest stands."""
    bottom: float
    """Where the least stands, or 0 if it is among the values."""

    @classmethod
    def of(cls, values: list[int], top: float, bottom: float) -> Durations:
        """Return a scale on which all of *values* stand."""
        positive = [value for value in values if value > 0] or [1_000_000]
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        has_zero = min(values, default=1) <= 0
        greatest = 10.0 ** max(high, low + 1)
        return cls(least=10.0**low, greatest=greatest, has_zero=has_zero, top=top, bottom=bottom)

    def y(self, value: float) -> float:
        """Return where *value* stands."""
        if value < self.least:
            return self.bottom
        part = math.log10(value / self.least) / math.log10(self.greatest / self.least)
        floor = self.bottom - (_BELOW if self.has_zero else 0)
        return floor - (floor - self.top) * part

    def ticks(self) -> Iterator[float]:
        """Yield 0 if it is there, and the beginning of each decade."""
        if self.has_zero:
            yield 0
        for number in range(round(math.log10(self.greatest / self.least)) + 1):
            yield self.least * 10**number
