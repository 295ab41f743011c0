"""Admission: what a node does when more messages arrive than it can handle, decided in one place.

A node reads a batch of messages and routes them one after another. It has two limits: the bytes in the outbox, since
somebody else decides how fast they are read, and the async handlers that run at once, since each takes memory. Before
each limit there is a pause, and behind it a refusal or a wait:

| what there is too much of | from | what happens |
|---|---|---|
| bytes in the outbox | a quarter of `OUTBOX_LIMIT` | the router pauses until the writer has taken all there is |
| | `OUTBOX_LIMIT` | whoever awaits a send waits; what cannot wait gets `trio.WouldBlock` |
| handlers started in a row | `BURST` | the router pauses for one pass of the scheduler, so that they run |
| handlers that run | `MAX_HANDLERS` | the router pauses for up to `PATIENCE` passes in each batch |
| | and no patience left | overload is shed: the router refuses requests for async handlers with error 11 |

While the router pauses, the reader waits, the pipe fills, and whoever sends to the node waits in turn. The router must
not wait for handlers any longer than that: the reply that a handler waits for may be behind the request that waits. It
may wait for the writer, which needs nothing from this node.

Plain handlers are not counted. They run in place and their replies always go into the outbox, which may pass its limit
by what one message makes the node send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import trio

from .._protocol.messages import Message
from .._sending.outbox import Outbox

OUTBOX_LIMIT: Final = 1024 * 1024
"""Bytes of encoded lines that may wait for the writer: 16 pipes full. More only delays the back-pressure."""

MAX_HANDLERS: Final = 1000
"""Async handlers that run at once, about 5 kB each."""

BURST: Final = 128
"""Async handlers that are started in a row. If more start, each finds at its turn that the next ones have taken its
place in the processor's cache: 20 % of the time of a handler that waits once."""

PATIENCE: Final = 8
"""Passes of the scheduler that too many handlers get, in each batch of messages, before requests are refused. Enough
for handlers that never wait for anything outside; those that wait for a reply must not keep it from being read."""


@final
class Admission:
    """Decides which messages of a batch are routed now, when the router pauses, and which requests are refused.

    Args:
      outbox_limit: Bytes that may wait in the outbox.
      max_handlers: Async handlers that may run at once.
    """

    def __init__(self, outbox_limit: int, max_handlers: int) -> None:
        self.outbox = Outbox(outbox_limit, busy_from=-(-outbox_limit // 4))
        """The outbox of the node. It is busy from a quarter of its limit on, so that whoever sends finds room."""
        self.running = 0
        """Async handlers that run."""
        self._max_handlers = max_handlers
        self._in_a_row = 0  # handlers that were started since the router began or paused
        self._patience = PATIENCE  # what is left of it in this batch
        self._must_pause = False  # for handlers to run, before the next message

    def route_until_pause(self, messages: list[Message], route: Callable[[Message], object]) -> list[Message]:
        """Call *route* with each of *messages*, a batch or the rest of one, up to the first before which to `pause`.

        Returns:
          Those that were not routed.
        """
        outbox = self.outbox
        self._in_a_row = 0
        self._must_pause = self._is_crowded() and self._patience > 0
        waiting = iter(messages)
        for message in waiting:
            if outbox.is_busy or self._must_pause:
                return [message, *waiting]
            route(message)
        self._patience = PATIENCE
        return []

    async def pause(self) -> None:
        """Let go on what the next message has to wait for: the writer, or else handlers. Always a checkpoint."""
        if self.outbox.is_busy:
            await self.outbox.wait_until_calm()
        else:
            await trio.lowlevel.checkpoint()
            self._patience -= self._is_crowded()

    def start_handler(self) -> bool:
        """Count an async handler that is about to start; or return False: it must not, and its request is shed."""
        if self.running >= self._max_handlers:
            return False
        self.running += 1
        self._in_a_row += 1
        self._must_pause = (self._in_a_row >= BURST or self._is_crowded()) and self._patience > 0
        return True

    def end_handler(self) -> None:
        """Count a handler out that has ended."""
        self.running -= 1

    def _is_crowded(self) -> bool:
        return self.running >= self._max_handlers
