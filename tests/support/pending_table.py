"""A table of pending RPCs with all that it needs around it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import trio

from trio_messenger import PendingRpc, Stats
from trio_messenger._rpc.record import Callback
from trio_messenger._rpc.table import PendingTable

BUCKET = 1 / 128


class Desk:
    """A table, its counters, and the one channel into which its RPCs end.

    Args:
      callbacks: Let `open` register callback RPCs, instead of such as a task waits for.
    """

    def __init__(self, callbacks: bool = False) -> None:
        self.stats = Stats()
        self.send_channel, self._receive_channel = trio.open_memory_channel[PendingRpc](math.inf)
        self.table = PendingTable(self.stats, self.send_channel)
        self._callbacks = callbacks
        self._opened: dict[int, PendingRpc] = {}

    def open(self, msg_id: int, timeout: float = 1.0, dest: str = "n2", callback: Callback = print) -> None:
        """Register an RPC; *callback* is for those that have one."""
        if self._callbacks:
            self.table.open_callback(msg_id, dest, timeout, callback)
        else:
            self._opened[msg_id] = self.table.open(msg_id, dest, timeout, self.send_channel)

    def forget(self, msg_id: int) -> None:
        """Take out the RPC that had that number last."""
        if self._callbacks:
            self.table.forget_callback(msg_id)
        else:
            self.table.forget(self._opened[msg_id])

    def forget_all(self) -> None:
        """Keep no records, as whoever waited for them would not."""
        self._opened.clear()

    def ended(self) -> list[PendingRpc]:
        """Take what has ended since the last time."""
        return [*self._take()]

    def _take(self) -> Iterator[PendingRpc]:
        while self._receive_channel.statistics().current_buffer_used:
            yield self._receive_channel.receive_nowait()

    def numbers(self) -> list[int]:
        """Return the numbers of what is pending, in the order of the table."""
        return [rpc.msg_id for rpc in self.table]

    def counts(self) -> dict[str, int]:
        """Return the counters that are not 0."""
        return self.stats.counters()
