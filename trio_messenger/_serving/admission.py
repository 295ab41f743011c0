"""Admission decides what a node does when more messages arrive than it can handle.

A node reads a batch of messages and routes them one after another. It has two limits: for the bytes in the outbox,
since the receiver may read them slowly, and for the async handlers that run at once, since each takes memory. Below
each limit the router pauses; beyond the limit, calls wait or requests are refused:

| quantity | from | what happens |
|---|---|---|
| bytes in the outbox | a quarter of `OUTBOX_LIMIT` | the router pauses until the writer has taken everything |
| | `OUTBOX_LIMIT` | async sends wait; the ``_nowait`` methods and callback RPCs raise `trio.WouldBlock` |
| handlers started in a row | `BURST` | the router pauses for one pass of the scheduler, so that they run |
| handlers that run | `MAX_HANDLERS` | the router pauses for up to `HANDLER_PATIENCE` passes in each batch |
| | and no patience left | the router sheds load: it refuses requests for async handlers with error 11 |

While the router pauses, the reader waits, the pipe fills, and the senders of messages wait in turn. The router must not
wait longer for handlers: the reply that a handler waits for may come after the request that waits. The router may wait
for the writer, which needs nothing from this node.

Plain handlers do not count. The router calls them directly, and their replies always go into the outbox, as error
replies and the requests of one `rpc_all` do. So the outbox may exceed its limit by these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import trio

from .._protocol.messages import Message
from .._sending.outbox import Outbox

OUTBOX_LIMIT: Final = 1024 * 1024
"""Bytes of encoded lines that may wait for the writer: 16 full pipes. A larger limit only delays the backpressure."""

MAX_HANDLERS: Final = 1000
"""The most async handlers that run at once, about 5 kB each."""

BURST: Final = 128
"""The most async handlers that start in a row. If more start, the later ones push the earlier ones out of the
processor's cache before these run. This costs 20 % of the time of a handler that waits once."""

HANDLER_PATIENCE: Final = 8
"""Passes of the scheduler, in each batch of messages, in which handlers may end before requests are refused. This is
enough for handlers that wait only inside the node. The router must not wait longer for handlers that wait for a reply,
since it has to route that reply."""


@final
class Admission:
    """Decides which messages of a batch are routed now, when the router pauses, and which requests are refused.

    Args:
      outbox_limit: Bytes that may wait in the outbox.
      max_handlers: How many async handlers may run at once.
    """

    def __init__(self, outbox_limit: int, max_handlers: int) -> None:
        self.outbox = Outbox(outbox_limit, busy_from=-(-outbox_limit // 4))
        """The outbox of the node. It is busy from a quarter of its limit, to leave room for senders."""
        self.running = 0
        """The number of running async handlers."""
        self._max_handlers = max_handlers
        self._in_a_row = 0  # how many handlers have started since the router began or paused
        self._patience = HANDLER_PATIENCE  # the remaining passes in this batch
        self._must_pause = False  # True if handlers must run before the next message

    def route_until_pause(self, messages: list[Message], route: Callable[[Message], object]) -> list[Message]:
        """Call *route* with each of *messages*, a batch or the rest of one, until a message has to wait for a `pause`.

        Returns:
          The messages that were not routed.
        """
        outbox = self.outbox
        self._in_a_row = 0
        self._must_pause = self._is_crowded() and self._patience > 0
        waiting = iter(messages)
        for message in waiting:
            if outbox.is_busy or self._must_pause:
                return [message, *waiting]
            route(message)
        self._patience = HANDLER_PATIENCE
        return []

    async def pause(self) -> None:
        """Let the writer run if the outbox is busy, otherwise handlers. Always a checkpoint."""
        if self.outbox.is_busy:
            await self.outbox.wait_until_calm()
        else:
            await trio.lowlevel.checkpoint()
            self._patience -= self._is_crowded()

    def start_handler(self) -> bool:
        """Count an async handler that is about to start and return True; return False if it must not start."""
        if self.running >= self._max_handlers:
            return False
        self.running += 1
        self._in_a_row += 1
        self._must_pause = (self._in_a_row >= BURST or self._is_crowded()) and self._patience > 0
        return True

    def end_handler(self) -> None:
        """Count the end of a handler."""
        self.running -= 1

    def _is_crowded(self) -> bool:
        return self.running >= self._max_handlers
