"""The reaper ends each pending RPC with a timeout error when its deadline passes.

It sleeps until the first bucket of the table is due. If the table has no bucket, it sleeps forever. It does not poll:
polling wastes CPU and keeps a virtual clock from jumping. If a record with an earlier deadline is registered, the table
moves the deadline of the reaper's sleep, and does not have to wake the reaper for that.

The reaper also wakes up for its log line, once for all RPCs that `ReaperLog` holds back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, final

import trio

from .reaper_log import ReaperLog
from .table import PendingTable


@final
class Reaper:
    """Ends overdue RPCs of *table*; a task of the node runs `run`.

    Args:
      table: Holds the records.
      node_id: Returns the id of the node; called only after ``init``.
    """

    def __init__(self, table: PendingTable, node_id: Callable[[], str]) -> None:
        self._table = table
        self._log = ReaperLog(node_id)
        self._nap = trio.CancelScope()
        table.on_earlier = self._bring_forward

    async def run(self) -> NoReturn:
        """Sweep whenever records are due, and log the number of reaped RPCs, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._table.next_due()) as self._nap:  # a line in between does not change it
                with trio.CancelScope(deadline=self._log.due()):
                    await trio.sleep_forever()
                self._log.report(trio.current_time())
                await trio.sleep_forever()
            await self.sweep()
            self._log.report(trio.current_time())

    async def sweep(self) -> int:
        """Expire every record that is due now. Other tasks run between slices, so that the event loop never stalls.

        Always a checkpoint. If cancelled, the records that the sweep has not reached stay pending.

        Returns:
          The number of reaped RPCs.
        """
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        reaped = 0
        while expired := self._table.expire_slice(now):
            reaped += expired
            self._log.add(expired, len(self._table))
            if self._table.next_due() > now:
                break  # without a checkpoint, which would only take another pass of the scheduler
            await trio.lowlevel.checkpoint()
        return reaped

    def close(self) -> None:
        """Log the RPCs that are held back, because the node closes and reaps no more."""
        self._log.flush()

    def _bring_forward(self, due: float) -> None:
        self._nap.deadline = min(self._nap.deadline, due)
