"""The outbox: encoded lines between those who send and the one writer, with a limit in bytes.

Whoever sends puts lines in without waiting; the writer takes all there are at once, so that a batch of replies leaves
in one write. The limit is soft: senders that can wait, such as async ones, wait for room first; what others put in goes
in all the same. Which limits a node has, and what it does about them, is decided in `_serving.admission`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import trio


@final
class Outbox:
    """Lines on their way to the writer.

    Args:
      limit: Bytes from which on `is_full` holds.
      busy_from: Bytes from which on `is_busy` holds; not more than *limit*.
    """

    def __init__(self, limit: int, busy_from: int) -> None:
        self.limit = limit
        self.busy_from = busy_from
        self.is_full = False
        """True while the lines that wait have reached the limit."""
        self.is_busy = False
        """True while they have reached the lower limit: no more requests should be taken, so that senders find room."""
        self._is_corked = False  # more lines are to come at once: the writer need not wake up for the first
        self._lines: list[bytes] = []
        self._size = 0
        self._closed = False
        self._takes_requests = True
        self._writer = trio.lowlevel.ParkingLot()
        self._senders = trio.lowlevel.ParkingLot()

    def put(self, line: bytes) -> None:
        """Add *line*, full or not.

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
        """Let the writer sleep, whatever is put in, until `uncork`; nothing but the caller may run before that."""
        self._is_corked = True

    def uncork(self, send_now: Callable[[list[bytes]], list[bytes]]) -> None:
        """End `cork`. What is inside goes through *send_now*, if the writer is idle, and its rest to the writer.

        Args:
          send_now: Sends what it can without waiting, and returns what is left; what it was given, if it sent nothing.
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
        """Wait as `wait_for_room` does, but not past `refuse_requests`."""
        await trio.lowlevel.checkpoint()
        while self.is_full and self._takes_requests and not self._closed:
            await self._senders.park()

    def refuse_requests(self) -> None:
        """Let nobody wait for room to ask somebody: no reply could come any more."""
        self._takes_requests = False
        self._senders.unpark_all()

    async def wait_until_calm(self) -> None:
        """Wait until the outbox is not busy, or is closed. Always a checkpoint; cancelling it leaves nothing behind."""
        await trio.lowlevel.checkpoint()
        while self.is_busy and not self._closed:
            await self._senders.park()

    async def take(self) -> list[bytes]:
        """Wait for lines and take all there are, for the one writer. Not a checkpoint if there are any.

        Returns:
          The lines in the order they were put in; an empty list once the outbox is closed and empty.
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
        """Take no more lines. Those inside can still be taken; whoever waits for room wakes up."""
        self._closed = True
        self.is_full = self.is_busy = False  # there is nothing to wait for
        self._writer.unpark()
        self._senders.unpark_all()
