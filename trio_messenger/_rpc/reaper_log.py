"""The reaper's log line. Sweeps that follow each other within a second share one.

A burst of RPCs that get no reply expires in up to 128 sweeps per second. One line for each of them would fill the log
and say little. So the first sweep logs its line at once, and what the sweeps of the next second reap is held back. One
line reports all of that as soon as the second is over, or when the node closes. The numbers of all lines add up to the
number of RPCs that were reaped.

Nothing ticks: the reaper wakes up for a line only while something is held back, once per line. It does so at most
1/128 s after the end of that second. So a sweep that is due just then comes first, and its RPCs are in the line. Each
node has its own moment, which depends on its id. In a simulation, tasks that wake up at the same time are shuffled, and
that takes a number from the seeded scheduler. A task that wakes up alone takes none, so a log line changes no run.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from random import Random
from typing import Final, final

from .wheel import BUCKETS_PER_SECOND

_log = logging.getLogger("trio_messenger")

_QUIET: Final = 1.0
"""Seconds after a line during which there is no other: short enough for whoever watches the log of a running node."""


@final
class ReaperLog:
    """Adds up what was reaped, and logs it. All times are in seconds on Trio's clock.

    Args:
      node_id: Returns the id of the node; called once something was reaped.
    """

    def __init__(self, node_id: Callable[[], str]) -> None:
        self._node_id = node_id
        self._held = 0  # RPCs that were reaped and are in no line yet
        self._pending = 0  # how many RPCs were still pending after the last of them
        self._quiet_until = -math.inf

    def due(self) -> float:
        """Return when to call `report` next, if no sweep does before; ``math.inf`` while nothing is held back."""
        if not self._held:
            return math.inf
        return self._quiet_until + Random(self._node_id()).random() / BUCKETS_PER_SECOND

    def add(self, reaped: int, pending: int) -> None:
        """Count *reaped* RPCs, which left *pending* others in the table."""
        self._held += reaped
        self._pending = pending

    def report(self, now: float) -> None:
        """Log what was added since the last line, unless that line is less than a second old."""
        if self._held and now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            self.flush()

    def flush(self) -> None:
        """Log what was added since the last line, however old that is."""
        if self._held:
            _log.warning("RPCs reaped without reply: %d; still pending: %d", self._held, self._pending)
            self._held = 0
