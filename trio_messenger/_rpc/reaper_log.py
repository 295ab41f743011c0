"""The reaper's log line. Sweeps that follow each other within a second share one.

A burst of RPCs without replies expires in up to 128 sweeps per second. One line for each sweep would fill the log and
say little. So the first sweep logs its line at once, and the log holds back the RPCs that the sweeps of the next second
reap. One line reports all of them when the second is over, or when the node closes. The numbers of all lines add up to
the number of reaped RPCs.

The reaper does not poll: it wakes up once per line, and only while RPCs are held back. It does so at most 1/128 s after
the end of that second. So a sweep that is due just then comes first, and its RPCs are in the line. Each node has its
own moment, which depends on its id. In a simulation, the scheduler shuffles tasks that wake up at the same time, and
that takes a random number from the seed. A task that wakes up alone takes none, so a log line does not change a run.
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
"""Seconds after a line without another one: short enough for people who watch the log of a running node."""


@final
class ReaperLog:
    """Counts reaped RPCs, and logs the count. All times are in seconds on Trio's clock.

    Args:
      node_id: Returns the id of the node; called after RPCs were reaped.
    """

    def __init__(self, node_id: Callable[[], str]) -> None:
        self._node_id = node_id
        self._held = 0  # reaped RPCs that are not in a line yet
        self._pending = 0  # how many RPCs were still pending after the last of them
        self._quiet_until = -math.inf

    def due(self) -> float:
        """Return the time for the next `report`, unless a sweep comes before; ``math.inf`` if no RPCs are held back."""
        if not self._held:
            return math.inf
        return self._quiet_until + Random(self._node_id()).random() / BUCKETS_PER_SECOND

    def add(self, reaped: int, pending: int) -> None:
        """Count *reaped* RPCs; *pending* others are still in the table."""
        self._held += reaped
        self._pending = pending

    def report(self, now: float) -> None:
        """Log the RPCs added since the last line, unless that line is less than a second old."""
        if self._held and now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            self.flush()

    def flush(self) -> None:
        """Log the RPCs added since the last line, at once."""
        if self._held:
            _log.warning("RPCs reaped without reply: %d; still pending: %d", self._held, self._pending)
            self._held = 0
