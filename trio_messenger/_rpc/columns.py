"""Pending callback RPCs, stored in columns instead of records.

A node that sends requests without waiting for replies has many of them at once, and they all end together when their
deadlines pass. Records would leave holes in the interpreter's arenas of small objects. An arena goes back to the system
only if no living object is in it, so the memory that a process keeps after such a burst would be a matter of luck.
Columns are a few large blocks that are allocated and freed as a whole, and take a quarter of the memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sized
from typing import Final, final

from .record import Callback, PendingRpc

_PAGE: Final = 128
"""How many message numbers share a page; less than 256, because a page stores row numbers in bytes."""


class _Page:
    """The callback RPCs among `_PAGE` consecutive message numbers. Each is a row of the columns, in order of adding."""

    __slots__ = ("callbacks", "dests", "pending", "rows", "sent_at", "timeouts")

    def __init__(self) -> None:
        self.rows = bytearray(_PAGE)  # the row of each message number, counted from 1; 0 if there is no such RPC
        self.pending = 0
        self.sent_at = array("d")
        self.timeouts = array("d")
        self.dests: list[str] = []
        self.callbacks: list[Callback | None] = []  # a removed RPC has None here, and its dest is empty

    def add(self, offset: int, dest: str, sent_at: float, timeout: float, callback: Callback) -> None:
        self.sent_at.append(sent_at)
        self.timeouts.append(timeout)
        self.dests.append(dest)
        self.callbacks.append(callback)
        self.rows[offset] = len(self.dests)
        self.pending += 1

    def get(self, offset: int, msg_id: int) -> PendingRpc:
        row = self.rows[offset] - 1
        return PendingRpc(msg_id, self.dests[row], self.sent_at[row], self.timeouts[row], None, self.callbacks[row])

    def pop(self, offset: int, msg_id: int) -> PendingRpc:
        rpc = self.get(offset, msg_id)
        row = self.rows[offset] - 1
        self.rows[offset] = 0
        self.pending -= 1
        if row < len(self.dests) - 1:
            self.callbacks[row], self.dests[row] = None, ""  # the page may stay, and names can be as long as a message
        else:  # perhaps the RPC could not be sent; then the next one has the same number, and may fail as well
            del self.sent_at[-1], self.timeouts[-1], self.dests[-1], self.callbacks[-1]
        return rpc


@final
class CallbackRpcs(Sized, Iterable[PendingRpc]):
    """The pending callback RPCs. Iteration yields copies of them as records, in the order of their numbers."""

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}
        self._newest = 0  # the latest page; kept even if it is empty, so that single RPCs do not need a new page each
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[PendingRpc]:
        for number, page in list(self._pages.items()):
            for offset in range(_PAGE):
                if page.rows[offset]:
                    yield page.get(offset, number * _PAGE + offset)

    def is_pending(self, msg_id: int) -> bool:
        """Tell whether there is an RPC with that *msg_id*."""
        page = self._pages.get(msg_id // _PAGE)
        return page is not None and page.rows[msg_id % _PAGE] != 0

    def dest(self, msg_id: int) -> str | None:
        """Return the destination of the RPC with that *msg_id*; None if there is no such RPC."""
        page = self._pages.get(msg_id // _PAGE)
        row = page.rows[msg_id % _PAGE] if page is not None else 0
        return page.dests[row - 1] if page is not None and row else None

    def get(self, msg_id: int) -> PendingRpc | None:
        """Return a copy of the RPC with that *msg_id*; None if there is no such RPC."""
        page = self._pages.get(msg_id // _PAGE)
        offset = msg_id % _PAGE
        return page.get(offset, msg_id) if page is not None and page.rows[offset] else None

    def put(self, msg_id: int, dest: str, sent_at: float, timeout: float, callback: Callback) -> None:
        """Add an RPC with a unique *msg_id*."""
        page = self._pages.get(msg_id // _PAGE) or self._new_page(msg_id // _PAGE)
        page.add(msg_id % _PAGE, dest, sent_at, timeout, callback)
        self._count += 1

    def take(self, msg_id: int) -> PendingRpc | None:
        """Remove the RPC with that *msg_id* and return it as a record; return None if there is no such RPC."""
        number, offset = msg_id // _PAGE, msg_id % _PAGE
        page = self._pages.get(number)
        if page is None or not page.rows[offset]:
            return None
        rpc = page.pop(offset, msg_id)
        if not page.pending and number != self._newest:
            del self._pages[number]
        self._count -= 1
        return rpc

    def clear(self) -> None:
        """Remove all RPCs."""
        self._pages.clear()
        self._count = 0

    def _new_page(self, number: int) -> _Page:
        newest = self._pages.get(self._newest)
        if newest is not None and not newest.pending:
            del self._pages[self._newest]
        self._newest = number
        page = self._pages[number] = _Page()
        return page
