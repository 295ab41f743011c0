"""Traffic: measures how much the processes of a run print, and detects a process that floods.

All output of nodes goes into the journal, so it needs a limit. One token bucket measures the output of all nodes
together, because a leader may print more than its share, and several nodes may flood together. If the bucket is empty,
the node that printed the most since the bucket was full must stop.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final, final

import trio

from .guard import BUSY_LIMIT

RATE: Final = 0.05
"""The rate at which the bucket fills, in lines per second, as a fraction of its size. With `BUSY_LIMIT` it is 10,000
lines per second for all nodes of a run together. Slow machines can carry more than that; otherwise a flood would pass
as normal output. A long line counts as one more line for each `LINE_SIZE` bytes."""

LINE_SIZE: Final = 4096
"""Bytes of a long line that count as one more line."""


@final
class Traffic:
    """The output of all nodes of one run.

    Args:
      burst: The number of lines that they may print at once: the ``busy_limit`` of the run.
      rate: The number of lines per second that they may print; see `RATE`.
    """

    def __init__(self, burst: int = BUSY_LIMIT, rate: float | None = None) -> None:
        self.burst: Final = burst
        """The number of lines that all nodes together may print at once."""
        self._rate = burst * RATE if rate is None else rate
        self._left: float = burst
        self._at = -math.inf
        self._full_at = 0.0
        self._lines: Counter[str] = Counter()  # by node, since the bucket was full
        self._bytes: Counter[str] = Counter()

    def add(self, node_id: str, lines: int, size: int) -> bool:
        """Count *lines* of *size* bytes that *node_id* printed; return whether it floods."""
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
        self._left = self._rate  # the other nodes get one more second; if they flood too, they soon use it up
        return True

    def describe(self, node_id: str) -> tuple[str, float]:
        """Return how much *node_id* has printed lately, and in how many seconds; then reset its counts."""
        lines, size = self._lines.pop(node_id), self._bytes.pop(node_id)
        return f"{lines:,} lines ({size / 1e6:.1f} MB)", self._at - self._full_at

    def _cost(self, node_id: str) -> int:
        return self._lines[node_id] + self._bytes[node_id] // LINE_SIZE
