"""The reaper: closes each pending RPC with a timeout error when its deadline passes.

It sleeps until the first bucket of the table falls due, and forever while none can. It never ticks: a ticking
reaper burns CPU for nothing and keeps a virtual clock from ever jumping. A record that is registered with an earlier
deadline moves the deadline of the nap itself, so that nobody has to wake the reaper to tell it.

It also wakes up for its log line, at most once for what `ReaperLog` holds back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, final

import trio

from .reaper_log import ReaperLog
from .table import PendingTable


@final
class Reaper:
    """Watches over *table*; a task of the node runs `run`.

    Args:
      table: Holds the records.
      node_id: Returns the id of the node, once it is known.
    """

    def __init__(self, table: PendingTable, node_id: Callable[[], str]) -> None:
        self._table = table
        self._log = ReaperLog(node_id)
        self._nap = trio.CancelScope()
        table.on_earlier = self._bring_forward

    async def run(self) -> NoReturn:
        """Sweep whenever records fall due, and log how many were reaped, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._table.next_due()) as self._nap:  # a line in between does not change it
                with trio.CancelScope(deadline=self._log.due()):
                    await trio.sleep_forever()
                self._log.report(trio.current_time())
                await trio.sleep_forever()
            await self.sweep()
            self._log.report(trio.current_time())

    async def sweep(self) -> int:
        """Expire every record that is due now. Other tasks run between slices, so that the loop never stalls.

        A checkpoint. Records that a cancelled sweep had not come to stay pending.

        Returns:
          How many were reaped.
        """
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        reaped = 0
        while expired := self._table.expire_slice(now):
            reaped += expired
            self._log.add(expired, len(self._table))
            if self._table.next_due() > now:
                break  # at once: what is logged is how things stood before anyone could act on it
            await trio.lowlevel.checkpoint()
        return reaped

    def close(self) -> None:
        """Log what is held back: the node closes, and no more can be reaped."""
        self._log.flush()

    def _bring_forward(self, due: float) -> None:
        self._nap.deadline = min(self._nap.deadline, due)
