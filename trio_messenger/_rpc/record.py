"""The record of a pending RPC: the request, the deadline and the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import msgspec
import trio

from .._protocol.errors import RpcTimeout
from .._protocol.messages import Body

Outcome: TypeAlias = Body | Exception
"""The end of an RPC: the body of the reply, or a `RpcTimeout`, or a `trio.ClosedResourceError`."""

Callback: TypeAlias = Callable[[Body | Exception], object]
"""A function that takes the outcome of a callback RPC."""


@final
class PendingRpc(msgspec.Struct, gc=False, eq=False):
    """An RPC that waits for its reply.

    For an RPC with a callback, `Node.pending` shows a copy, which never has an outcome.

    This is a msgspec struct that the garbage collector does not track. With a million pending attrs records, a full
    collection stops the event loop for 100 ms, and each record takes 24 bytes more. In return, a record must not be in
    a reference cycle. So it gives up its channel when it goes into it.
    """

    msg_id: int
    """The number of the request."""
    dest: str
    """The node that was asked."""
    sent_at: float
    """The time of registration, in seconds on Trio's clock."""
    timeout: float
    """Seconds from registration until it expires; ``math.inf`` for never."""
    _state: trio.MemorySendChannel[PendingRpc] | Body | type[Exception] | None = None
    # The channel for the ended record while the RPC is pending, and then the outcome. One slot for both saves 16 bytes.
    callback: Callback | None = None
    """The function to call with the outcome; None if a task waits for it."""

    @property
    def deadline(self) -> float:
        """The time when it expires, in seconds on Trio's clock; ``math.inf`` for never."""
        return self.sent_at + self.timeout

    @property
    def outcome(self) -> Outcome | None:
        """The outcome; None while it is pending. If it expired, each access makes a new error."""
        state = self._state
        if isinstance(state, dict):
            return state
        if state is RpcTimeout:
            return RpcTimeout(self.dest, self.msg_id, self.timeout)
        if state is trio.ClosedResourceError:  # a stored and raised error would be in a cycle that nobody collects
            return trio.ClosedResourceError(f"the node closed before {self.dest!r} replied to msg_id {self.msg_id}")
        return None


def end(rpc: PendingRpc, result: Body | type[Exception]) -> None:
    """End a pending RPC that a task waits for: set its *result* and send it into its channel."""
    channel = rpc._state
    assert isinstance(channel, trio.MemorySendChannel)  # a record ends once
    end_into(channel, rpc, result)


def end_into(channel: trio.MemorySendChannel[PendingRpc], rpc: PendingRpc, result: Body | type[Exception]) -> None:
    """Set the *result* of an RPC and send it into *channel*.

    Neither the router nor the reaper may wait, so *channel* must have room.
    """
    rpc._state = result
    channel.send_nowait(rpc)


def has_expired(rpc: PendingRpc) -> bool:
    """Tell whether the deadline ended *rpc*, and no late reply has changed that."""
    return rpc._state is RpcTimeout
