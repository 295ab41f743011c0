"""A pending RPC as one record: what was asked, until when, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import msgspec
import trio

from .._protocol.errors import RpcTimeout
from .._protocol.messages import Body

Outcome: TypeAlias = Body | Exception
"""How an RPC ended: the body of the reply, or a `RpcTimeout`, or a `trio.ClosedResourceError`."""

Callback: TypeAlias = Callable[[Body | Exception], object]
"""What is called with the outcome of a callback RPC."""


@final
class PendingRpc(msgspec.Struct, gc=False, eq=False):
    """An RPC that waits for its reply.

    `Node.pending` shows a copy, made for whoever looks, of an RPC that has a callback; it does not tell how it ended.

    A msgspec struct that the garbage collector does not track: a full collection with a million attrs records pending
    stops the event loop for 100 ms, and each is 24 bytes larger. In return nothing but the table may link records to
    each other, and it unlinks each one that leaves.
    """

    msg_id: int
    """The number of the request."""
    dest: str
    """The node that was asked."""
    sent_at: float
    """When it was registered, in seconds on Trio's clock."""
    timeout: float
    """Seconds from then until it expires; ``math.inf`` for never."""
    _state: trio.MemorySendChannel[PendingRpc] | Body | type[Exception] | None = None
    # While it is pending, the channel it goes into when it has ended; then how it ended. A slot saved is 16 bytes.
    callback: Callback | None = None
    """What to call with the outcome; None if a task waits for it."""
    _previous: PendingRpc | None = None
    _next: PendingRpc | None = None

    @property
    def deadline(self) -> float:
        """When it expires, in seconds on Trio's clock; ``math.inf`` for never."""
        return self.sent_at + self.timeout

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it is pending. The error of one that expired is made anew each time."""
        state = self._state
        if isinstance(state, dict):
            return state
        if state is RpcTimeout:
            return RpcTimeout(self.dest, self.msg_id, self.timeout)
        if state is trio.ClosedResourceError:  # kept here it would, raised, be in a cycle that nobody collects
            return trio.ClosedResourceError(f"the node closed before {self.dest!r} replied to msg_id {self.msg_id}")
        return None

    def _end(self, result: Body | type[Exception]) -> None:
        channel = self._state
        assert isinstance(channel, trio.MemorySendChannel)  # a record ends once
        self._state = result
        # Neither the router nor the reaper may wait: the channel has room, for this is the record's only outcome.
        channel.send_nowait(self)
