"""The envelope log: who sent what to whom lately, without the bodies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, final

import attrs
import trio

_LONGEST: Final = 256
"""Characters kept of a name or type: peers choose them, as long as they like."""

Direction: TypeAlias = Literal["RECV", "SENT"]


@final
@attrs.frozen
class Envelope:
    """One message that a node received or sent."""

    ts: str
    """When, as ISO 8601 in UTC: read off Trio's clock, and set by `Node.wall_time` when the log is looked at."""
    dir: Direction
    """``RECV`` or ``SENT``, as seen from the node."""
    src: str
    """Who sent it."""
    dest: str
    """To whom."""
    msg_type: str
    """The type of its body."""


@final
class EnvelopeLog:
    """A ring of the latest envelopes, in the order in which the node took or sent them; newest last.

    Costs under a microsecond a message, and memory for *capacity* envelopes.

    Args:
      capacity: How many are kept; 0 keeps none, and costs nothing.
      wall_time: Tells the time of day, in seconds since the epoch, when the log is looked at.
    """

    def __init__(self, capacity: int, wall_time: Callable[[], float] = time.time) -> None:
        if not isinstance(capacity, int) or capacity < 0:
            raise ValueError(f"envelope_log is {capacity!r}; give 0 (no log) or more")
        self.is_on: bool = capacity > 0
        """Whether anything is kept."""
        self._wall_time = wall_time
        self._ring: deque[tuple[float, Direction, str, str, str]] = deque(maxlen=capacity)

    def note(self, at: float, direction: Direction, src: str, dest: str, msg_type: str) -> None:
        """Add a message that came or went at *at*, on Trio's clock."""
        self._ring.append((at, direction, src[:_LONGEST], dest[:_LONGEST], msg_type[:_LONGEST]))

    def latest(self, count: int) -> list[Envelope]:
        """Return the last *count* envelopes, or as many as there are, oldest first."""
        return list(self)[max(len(self) - count, 0) :]

    def __len__(self) -> int:
        """How many envelopes are kept now."""
        return len(self._ring)

    def __iter__(self) -> Iterator[Envelope]:
        offset = self._wall_time() - trio.current_time()
        for at, direction, src, dest, msg_type in self._ring:
            ts = datetime.fromtimestamp(at + offset, UTC).isoformat()
            yield Envelope(ts, direction, src, dest, msg_type)
