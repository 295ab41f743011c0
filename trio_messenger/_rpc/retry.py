"""Retry RPCs: which errors permit another attempt, how many attempts, and how long to wait between them.

A timeout and error 11 (temporarily unavailable) permit another attempt. Any other error is the peer's answer and ends
the call: another attempt would get the same answer, or do the operation twice.

Each attempt is a separate request with a new ``msg_id``, but all attempts share one channel, and expired records
linger. So the call accepts a late reply to an earlier attempt, both during a later attempt and during the wait before
it.
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
"""The default number of attempts: the first, and one after each of five delays, 3.1 s in total without jitter."""

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
    """The total time between attempts, in seconds."""


@final
class Retry:
    """One RPC with retries: its attempts and their common channel.

    Args:
      calls: Makes the RPCs.
      attempts: The largest number of attempts, 1 or more.
    """

    def __init__(self, calls: Calls, attempts: int) -> None:
        if not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"attempts is {attempts!r}; give a whole number: 1 (no retry) or more")
        self._calls = calls
        self._attempts = attempts
        self._rpcs: list[PendingRpc] = []
        # The record of an attempt goes in when it expires, and again when its late reply comes.
        self._send_channel, self._receive_channel = trio.open_memory_channel[PendingRpc](2 * attempts)
        self._was_refused_only = True
        self._last: RpcError | None = None

    async def run(self, dest: str, body: object, timeout: float | None, delays: Iterator[float]) -> Retried:
        """Make the call; see `Node.rpc_retry`. In every case, no record and no channel stays behind."""
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
        assert self._last is not None  # an attempt either returns or sets it
        raise RetriesExhausted(self._attempts, self._last, self._was_refused_only) from self._last

    async def _attempt(self, dest: str, body: object, timeout: float | None) -> Body | None:
        """Send the request again; return a reply to it or to an earlier one, or None if it failed."""
        await self._calls.wait_for_room()
        current = self._calls.open(dest, body, timeout, self._send_channel)
        self._rpcs.append(current)
        # Call this now, not when the record has expired: the late reply may follow immediately.
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
        """Return the reply to *rpc*, or None after an error that permits another attempt; raise any other error."""
        outcome = self._calls.outcome(rpc)
        if not isinstance(outcome, Exception):
            return outcome
        if not isinstance(outcome, RpcError) or outcome.code not in _RETRIABLE:
            try:
                raise outcome
            finally:
                del outcome  # otherwise this frame and the error would be in a cycle
        if outcome.code == ErrorCode.TIMEOUT:
            self._was_refused_only = False
        self._last = outcome
        return None
