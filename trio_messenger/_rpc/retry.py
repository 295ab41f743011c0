"""Retry RPCs: which errors permit another attempt, how many attempts, and how long to wait between them.

A timeout and error 11 (temporarily unavailable) permit another attempt. Any other error is the peer's answer and ends
the call: another attempt would get the same answer, or do the operation twice.

Each attempt is a separate request with a new ``msg_id``, but all attempts share one channel, and expired records
linger. So the call accepts a late reply to an earlier attempt, both during a later attempt and during the wait before
it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar, final

import attrs
import trio

from .._protocol.errors import ErrorCode, RetriesExhausted, RpcError
from .._protocol.messages import is_id
from .calls import Calls
from .record import PendingRpc

_T = TypeVar("_T")

ATTEMPTS: Final = 6
"""The default number of attempts: the first, and one after each of five delays, 3.1 s in total without jitter."""

_LINGERING: Final = 64
"""How many of the latest attempts are answered by a late reply: a call without a limit must not grow."""

_RETRIABLE: Final = (ErrorCode.TIMEOUT, ErrorCode.TEMPORARILY_UNAVAILABLE)


def check_attempts(attempts: object) -> None:
    """Raise ValueError unless *attempts* can be the largest number of attempts."""
    if attempts != math.inf and not (is_id(attempts) and attempts >= 1):
        raise ValueError(
            f"attempts is {attempts!r}; give a whole number, 1 (no retry) or more, or math.inf for no limit"
        )


@final
@attrs.frozen(kw_only=True)
class Retried(Generic[_T]):
    """The outcome of an RPC that was tried until it succeeded."""

    reply: _T
    """The reply: its whole body, or a record if the call has ``as_``."""
    attempts: int
    """How many times the request was sent, the successful one included; 1 if it succeeded at once."""
    delay: float
    """The total time between attempts, in seconds."""


@final
class Retry:
    """One RPC with retries: its attempts and their common channel.

    Args:
      calls: Makes the RPCs.
      attempts: The largest number of attempts, 1 or more; ``math.inf`` for no limit.
      as_: The class of the reply; None for a plain body.
    """

    def __init__(self, calls: Calls, attempts: float, as_: type[Any] | None = None) -> None:
        check_attempts(attempts)
        self._calls = calls
        self._attempts = attempts
        self._as = as_
        self._rpcs: deque[PendingRpc] = deque()
        # The record of an attempt goes in when it expires, and again when its late reply comes.
        self._send_channel, self._receive_channel = trio.open_memory_channel[PendingRpc](math.inf)
        self._was_refused_only = True
        self._last: RpcError | None = None

    async def run(self, dest: str, body: object, timeout: float | None, delays: Iterator[float]) -> Retried[Any]:
        """Make the call; see `Node.rpc_retry`. In every case, no record and no channel stays behind."""
        attempt, waited = 0, 0.0
        with self._send_channel, self._receive_channel:
            try:
                while attempt < self._attempts:
                    attempt += 1
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
        raise RetriesExhausted(attempt, self._last, self._was_refused_only) from self._last

    async def _attempt(self, dest: str, body: object, timeout: float | None) -> Any:
        """Send the request again; return a reply to it or to an earlier one, or None if it failed."""
        await self._calls.wait_for_room()
        current = self._calls.open(dest, body, timeout, self._send_channel)
        self._rpcs.append(current)
        if len(self._rpcs) > _LINGERING:
            self._calls.forget(self._rpcs.popleft())
        # Call this now, not when the record has expired: the late reply may follow immediately.
        self._calls.linger(current, self._send_channel)
        while True:
            rpc = await self._receive_channel.receive()
            reply = self._judge(rpc)
            if reply is not None or rpc is current:
                return reply

    async def _wait_for_late_reply(self, delay: float) -> Any:
        with trio.move_on_after(delay):
            while True:
                reply = self._judge(await self._receive_channel.receive())
                if reply is not None:
                    return reply
        return None

    def _judge(self, rpc: PendingRpc) -> Any:
        """Return the reply to *rpc*, or None after an error that permits another attempt; raise any other error."""
        outcome = self._calls.outcome(rpc, self._as)
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
