"""The outbox holds encoded lines for the one writer, with a limit in bytes.

Senders put lines in without waiting. The writer takes all lines at once, so a batch of replies leaves in one write. The
limit is soft: async senders wait for room first, but plain handlers cannot wait, so their lines always go in.
`_serving.admission` sets the limits, and decides what the node does when they are reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import trio


@final
class Outbox:
    """Lines on their way to the writer.

    Args:
      limit: The size in bytes at which `is_full` becomes True.
      busy_from: The size in bytes at which `is_busy` becomes True; not more than *limit*.
    """

    def __init__(self, limit: int, busy_from: int) -> None:
        self.limit = limit
        self.busy_from = busy_from
        self.is_full = False
        """True while the size of the waiting lines has reached the limit."""
        self.is_busy = False
        """True while their size has reached the lower limit; then the node takes no requests, to leave room."""
        self._is_corked = False  # True if more lines follow immediately, so that the writer need not wake up yet
        self._lines: list[bytes] = []
        self._size = 0
        self._closed = False
        self._takes_requests = True
        self._writer = trio.lowlevel.ParkingLot()
        self._senders = trio.lowlevel.ParkingLot()

    def put(self, line: bytes) -> None:
        """Add *line*, even if the outbox is full.

        Raises:
          trio.ClosedResourceError: if the outbox is closed.
        """
        if self._closed:
            raise trio.ClosedResourceError("the node is closed and sends nothing more")
        self._lines.append(line)
        self._size += len(line)
        if self._size >= self.busy_from:
            self.is_busy = True
            self.is_full = self._size >= self.limit
        if len(self._lines) == 1 and not self._is_corked:
            self._writer.unpark()

    def cork(self) -> None:
        """Do not wake the writer until `uncork`. No other task may run before that."""
        self._is_corked = True

    def uncork(self, send_now: Callable[[list[bytes]], list[bytes]]) -> None:
        """End `cork`. If the writer is idle, send the lines through *send_now*, and leave the rest to the writer.

        Args:
          send_now: Sends as many lines as possible without waiting, and returns the rest; if it sends nothing, it
            returns its argument.
        """
        self._is_corked = False
        if self._lines and self._writer:
            left = send_now(self._lines)
            if left is self._lines:
                self._writer.unpark()
            else:
                self._empty()
                for line in left:
                    self.put(line)

    async def wait_for_room(self) -> None:
        """Wait until the outbox is not full, or is closed. Always a checkpoint; cancelling it leaves nothing behind."""
        await trio.lowlevel.checkpoint()
        while self.is_full and not self._closed:
            await self._senders.park()

    async def wait_for_room_to_ask(self) -> None:
        """Wait as `wait_for_room` does, but only until `refuse_requests`."""
        await trio.lowlevel.checkpoint()
        while self.is_full and self._takes_requests and not self._closed:
            await self._senders.park()

    def refuse_requests(self) -> None:
        """End all waits for room for requests, since no reply can come any more."""
        self._takes_requests = False
        self._senders.unpark_all()

    async def wait_until_calm(self) -> None:
        """Wait until the outbox is not busy, or is closed. Always a checkpoint; cancelling it leaves nothing behind."""
        await trio.lowlevel.checkpoint()
        while self.is_busy and not self._closed:
            await self._senders.park()

    async def take(self) -> list[bytes]:
        """Wait for lines and take all of them, for the one writer. Not a checkpoint if there are lines already.

        Returns:
          The lines in their order; an empty list if the outbox is closed and empty.
        """
        while not self._lines and not self._closed:
            await self._writer.park()
        return self._empty()

    def _empty(self) -> list[bytes]:
        lines, self._lines = self._lines, []
        self._size = 0
        self.is_full = self.is_busy = False
        self._senders.unpark_all()
        return lines

    def close(self) -> None:
        """Accept no more lines. The writer can still take the lines inside, and tasks that wait for room wake up."""
        self._closed = True
        self.is_full = self.is_busy = False  # so that nobody waits any more
        self._writer.unpark()
        self._senders.unpark_all()
