"""The envelope log: sender, receiver and type of the latest messages."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, final

import attrs
import trio

_NAME_LIMIT: Final = 256
"""Characters kept of a name or type, since peers may choose very long ones."""

Direction: TypeAlias = Literal["RECV", "SENT"]


@final
@attrs.frozen
class Envelope:
    """One message that a node received or sent."""

    ts: str
    """The time, as ISO 8601 in UTC. It is measured on Trio's clock, and converted by `Node.wall_time` when the log is
    read."""
    dir: Direction
    """``RECV`` or ``SENT``, as seen from the node."""
    src: str
    """The id of the sender."""
    dest: str
    """The id of the receiver."""
    msg_type: str
    """The type of its body."""


@final
class EnvelopeLog:
    """A ring of the latest envelopes, in the order in which the node received or sent them, the newest last.

    The log takes less than a microsecond per message, and memory for *capacity* envelopes.

    Args:
      capacity: The number of envelopes to keep; 0 keeps none, and costs nothing.
      wall_time: Returns the time of day, in seconds since the epoch; called when the log is read.

    Example:
      >>> node = Node(envelope_log=100)
      >>> @node.on("ping")
      ... def ping():
      ...     return {}
      >>> async def main():
      ...     async with running(node) as network:
      ...         await network.request("ping")
      ...         for envelope in node.envelopes.latest(2):
      ...             print(envelope.dir, envelope.src, envelope.dest, envelope.msg_type)
      ...         print(len(node.envelopes), node.envelopes.is_on)
      >>> trio.run(main)
      RECV c1 n1 ping
      SENT n1 c1 ping_ok
      4 True
    """

    def __init__(self, capacity: int, wall_time: Callable[[], float] = time.time) -> None:
        if not isinstance(capacity, int) or capacity < 0:
            raise ValueError(f"envelope_log is {capacity!r}; give 0 (no log) or more")
        self.is_on: bool = capacity > 0
        """True if the log keeps envelopes."""
        self._wall_time = wall_time
        self._ring: deque[tuple[float, Direction, str, str, str]] = deque(maxlen=capacity)

    def note(self, at: float, direction: Direction, src: str, dest: str, msg_type: str) -> None:
        """Add a message that was received or sent at *at*, on Trio's clock."""
        self._ring.append((at, direction, src[:_NAME_LIMIT], dest[:_NAME_LIMIT], msg_type[:_NAME_LIMIT]))

    def latest(self, count: int) -> list[Envelope]:
        """Return the last *count* envelopes (or all, if there are fewer), the oldest first."""
        return list(self)[max(len(self) - count, 0) :]

    def __len__(self) -> int:
        """Return the number of envelopes in the log."""
        return len(self._ring)

    def __iter__(self) -> Iterator[Envelope]:
        offset = self._wall_time() - trio.current_time()
        for at, direction, src, dest, msg_type in self._ring:
            ts = datetime.fromtimestamp(at + offset, UTC).isoformat()
            yield Envelope(ts, direction, src, dest, msg_type)
