"""Trying an RPC again: which errors may be retried, how often, how long apart.

A timeout and error 11 (temporarily unavailable) are worth another attempt. Any other error is the peer's answer and
ends the call: trying again would get the same, or do twice what was done once.

Each attempt is a request of its own with a fresh ``msg_id``, but all share one channel, and records that expired
linger. So a reply that is late for its attempt is still in time for the call, during a later attempt as well as
during the wait before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import attrs
import trio

from .._protocol.errors import ErrorCode, RetriesExhausted, RpcError
from .._protocol.messages import Body
from .calls import Calls
from .record import PendingRpc

ATTEMPTS: Final = 6
"""Attempts by default: the first, and one after each of five delays, which come to 3.1 s."""

_RETRIABLE: Final = (ErrorCode.TIMEOUT, ErrorCode.TEMPORARILY_UNAVAILABLE)


@final
@attrs.frozen(kw_only=True)
class Retried:
    """The outcome of an RPC that was tried until it succeeded."""

    reply: Body
    """The whole body of the reply."""
    attempts: int
    """How many times the request was sent, the successful one included; 1 if it succeeded at once."""
    delay: float
    """Seconds spent between attempts, in all."""


@final
class Retry:
    """One RPC that is tried again: its attempts and their common channel.

    Args:
      calls: Makes the RPCs.
      attempts: How many at the most, 1 or more.
    """

    def __init__(self, calls: Calls, attempts: int) -> None:
        if not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"attempts is {attempts!r}; give a whole number: 1 (no retry) or more")
        self._calls = calls
        self._attempts = attempts
        self._rpcs: list[PendingRpc] = []
        # An attempt puts its record in when it expires, and again when its late reply comes.
        self._send_channel, self._receive_channel = trio.open_memory_channel[PendingRpc](2 * attempts)
        self._was_refused_only = True
        self._last: RpcError | None = None

    async def run(self, dest: str, body: object, timeout: float | None, delays: Iterator[float]) -> Retried:
        """Make the call; see `Node.rpc_retry`. Whatever ends it, no record and no channel stays behind."""
        waited = 0.0
        with self._send_channel, self._receive_channel:
            try:
                for attempt in range(1, self._attempts + 1):
                    if attempt > 1:
                        began = trio.current_time()
                        reply = await self._wait_for_late_reply(next(delays))
                        waited += trio.current_time() - began
                        if reply is not None:
                            return Retried(reply=reply, attempts=attempt - 1, delay=waited)
                    reply = await self._attempt(dest, body, timeout)
                    if reply is not None:
                        return Retried(reply=reply, attempts=attempt, delay=waited)
            finally:
                for rpc in self._rpcs:
                    self._calls.forget(rpc)
        assert self._last is not None  # the last attempt failed, or it would have returned
        raise RetriesExhausted(self._attempts, self._last, self._was_refused_only) from self._last

    async def _attempt(self, dest: str, body: object, timeout: float | None) -> Body | None:
        """Send the request once more; return a reply to it or to an earlier one, None if it failed."""
        await self._calls.wait_for_room()
        current = self._calls.open(dest, body, timeout, self._send_channel)
        self._rpcs.append(current)
        # At once, and not when it has expired: the late reply may be the next thing that comes after that.
        self._calls.linger(current, self._send_channel)
        while True:
            rpc = await self._receive_channel.receive()
            reply = self._judge(rpc)
            if reply is not None or rpc is current:
                return reply

    async def _wait_for_late_reply(self, delay: float) -> Body | None:
        with trio.move_on_after(delay):
            while True:
                reply = self._judge(await self._receive_channel.receive())
                if reply is not None:
                    return reply
        return None

    def _judge(self, rpc: PendingRpc) -> Body | None:
        """Return the reply to *rpc*, None if it may be tried again; raise what may not."""
        outcome = self._calls.outcome(rpc)
        if not isinstance(outcome, Exception):
            return outcome
        if not isinstance(outcome, RpcError) or outcome.code not in _RETRIABLE:
            try:
                raise outcome
            finally:
                del outcome  # this frame and the error would be in a cycle
        if outcome.code == ErrorCode.TIMEOUT:
            self._was_refused_only = False
        self._last = outcome
        return None
