"""Latencies: a histogram of durations, whose memory does not grow with their number."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Final, final

_BUCKETS: Final = 51
"""Buckets per factor of e: each is a little less than 2 % wide, so a quantile is at most 1 % off."""

_LEAST: Final = 1e-9
"""The shortest duration in seconds; shorter ones count as this, since 0 has no logarithm."""


@final
class Latencies:
    """A histogram of durations with logarithmic buckets (as in G. Tene's HdrHistogram, but by logarithm).

    For durations from a microsecond to a day, it holds at most 1300 integers.

    Example:
      >>> latencies = Latencies()
      >>> for milliseconds in range(1, 101):
      ...     latencies.record(milliseconds / 1000)
      >>> latencies.count, round(latencies.mean(), 4)
      (100, 0.0505)
      >>> round(latencies.quantile(0.5), 3), round(latencies.quantile(0.99), 3)
      (0.05, 0.099)
    """

    def __init__(self) -> None:
        self.count: int = 0
        """The number of recorded durations."""
        self.total: float = 0.0
        """Their sum in seconds; exact except for rounding of floating-point numbers."""
        self._buckets: dict[int, int] = {}

    def record(self, seconds: float) -> None:
        """Add one duration in seconds. A duration below a nanosecond counts as a nanosecond."""
        self.count += 1
        self.total += seconds
        bucket = round(math.log(seconds if seconds > _LEAST else _LEAST) * _BUCKETS)  # max() is slower
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def up_to(self, bounds: Iterable[float]) -> list[int]:
        """Return how many durations do not exceed each of *bounds*, in seconds; bounds count within 1 %.

        Example:
          >>> latencies = Latencies()
          >>> for seconds in (0.02, 0.2, 2.0):
          ...     latencies.record(seconds)
          >>> latencies.up_to([0.1, 1.0])
          [1, 2]
        """
        buckets = sorted(self._buckets)
        sums = [0, *accumulate(self._buckets[bucket] for bucket in buckets)]
        return [sums[bisect_right(buckets, math.log(bound) * _BUCKETS)] for bound in bounds]

    def mean(self) -> float:
        """Return the mean in seconds; 0 if there are no durations."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """Return the *q*-quantile in seconds, within 1 %: a fraction *q* of all durations do not exceed it.

        Returns 0 if there are no durations.

        Raises:
          ValueError: if *q* is not from 0 to 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}; give a fraction from 0 to 1, such as 0.99")
        rest = max(math.ceil(q * self.count), 1)
        for bucket in sorted(self._buckets):
            rest -= self._buckets[bucket]
            if rest <= 0:
                return math.exp(bucket / _BUCKETS)
        return 0.0
