"""Traffic: how much the processes of a run print, and which of them floods.

All that nodes print goes into the journal, so it has to have an end. What all print is measured against one bucket:
a leader may well print more than its part, and many may flood together. Which of them has to stop is then the one
that has printed the most since the bucket was full.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final, final

import trio

from .guard import BUSY_LIMIT

RATE: Final = 0.05
"""Lines per second that the nodes of a run together may print for any length of time, as a part of what they may print
at once. With `BUSY_LIMIT` that is 10,000: less than slow machines carry, or else a flood would be taken for what it
should be. Long lines count as one for each `LINE_SIZE`."""

LINE_SIZE: Final = 4096
"""Bytes."""


@final
class Traffic:
    """What the nodes of one run print.

    Args:
      burst: Lines that they may print at once: the ``busy_limit`` of the run.
      rate: Lines per second that they may print; see `RATE`.
    """

    def __init__(self, burst: int = BUSY_LIMIT, rate: float | None = None) -> None:
        self.burst: Final = burst
        """Lines that they may print at once."""
        self._rate = burst * RATE if rate is None else rate
        self._left: float = burst
        self._at = -math.inf
        self._full_at = 0.0
        self._lines: Counter[str] = Counter()  # since the bucket was full
        self._bytes: Counter[str] = Counter()

    def add(self, node_id: str, lines: int, size: int) -> bool:
        """Take note that *node_id* has printed *lines*, of *size* bytes; return whether it floods."""
        now = trio.current_time()
        self._left += (now - self._at) * self._rate
        self._at = now
        if self._left >= self.burst:
            self._left = self.burst
            self._full_at = now
            self._lines.clear()
            self._bytes.clear()
        self._left -= lines + size // LINE_SIZE
        self._lines[node_id] += lines
        self._bytes[node_id] += size
        if self._left >= 0 or self._cost(node_id) < max(map(self._cost, self._lines)):
            return False
        self._left = self._rate  # a second for the others: those that flood as well will have used it up
        return True

    def describe(self, node_id: str) -> tuple[str, float]:
        """Say how much *node_id* has printed lately, and in how many seconds, and forget it."""
        lines, size = self._lines.pop(node_id), self._bytes.pop(node_id)
        return f"{lines:,} lines ({size / 1e6:.1f} MB)", self._at - self._full_at

    def _cost(self, node_id: str) -> int:
        return self._lines[node_id] + self._bytes[node_id] // LINE_SIZE
