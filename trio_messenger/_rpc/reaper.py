"""The reaper: closes each pending RPC with a timeout error when its deadline passes.

It sleeps until the first bucket of the table falls due, and for ever while nothing can. It never ticks: a ticking
reaper burns CPU for nothing and keeps a virtual clock from ever jumping. A record that is registered with an earlier
deadline moves the deadline of the nap itself, so that nobody has to wake the reaper to tell it.
"""

from __future__ import annotations

import logging
from typing import NoReturn, final

import trio

from .table import PendingTable

_log = logging.getLogger("trio_messenger")


@final
class Reaper:
    """Watches over *table*; a task of the node runs `run`."""

    def __init__(self, table: PendingTable) -> None:
        self._table = table
        self._nap = trio.CancelScope()
        table.on_earlier = self._bring_forward

    async def run(self) -> NoReturn:
        """Sweep whenever records fall due, and report each sweep in one log line, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._table.next_due()) as self._nap:
                await trio.sleep_forever()
            reaped = await self.sweep()
            if reaped:
                _log.warning("RPCs reaped without reply: %d; still pending: %d", reaped, len(self._table))

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
            if self._table.next_due() > now:
                break  # at once: what is reported is how things stood before anyone could act on it
            await trio.lowlevel.checkpoint()
        return reaped

    def _bring_forward(self, due: float) -> None:
        self._nap.deadline = min(self._nap.deadline, due)
