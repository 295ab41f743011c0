"""The table of pending RPCs. No RPC stays in it: each has a memory channel for its outcome, and a deadline.

`PendingTable.open` or `PendingTable.open_callback` adds an RPC before its request is sent. It leaves exactly once:

- `PendingTable.settle`: the node that was asked has replied, and the reply goes into the channel;
- `PendingTable.expire_slice`: the deadline has passed, and a `RpcTimeout` goes into the channel;
- `PendingTable.forget`, `PendingTable.forget_callback`: its waiter was cancelled, or the request could not be sent;
- `PendingTable.close`: the node closes, and a `trio.ClosedResourceError` goes into the channel.

A caller that tries again may let an expired record *linger*: then a late reply still reaches its channel.
"""

from __future__ import annotations

import heapq
import logging
import math
import operator
import sys
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, final

import trio

from .._protocol.errors import RpcTimeout
from .._protocol.excerpts import excerpt
from .._protocol.messages import Body
from .._protocol.stats import Stats, worth_a_line
from .columns import CallbackRpcs
from .record import Callback, PendingRpc, end, end_into, has_expired
from .wheel import TimingWheel

_log = logging.getLogger("trio_messenger")

RPC_TIMEOUT: Final = 2.0
"""The default timeout of an RPC, in seconds."""

_LONGEST_TIMEOUT: Final = sys.float_info.max
"""The longest finite timeout: a larger integer cannot be added to a time."""

SLICE: Final = 512
"""RPCs that expire between two checkpoints: about 0.4 ms of work, during which no other task runs."""

REMEMBERED: Final = 1 << 16
"""How many ended RPCs the table remembers, to tell late replies from duplicates; 8 bytes each. A power of two."""


def check_timeout(timeout: float) -> None:
    """Raise ValueError unless *timeout* is a number of seconds that an RPC can wait."""
    if not isinstance(timeout, (int, float)) or not (0 <= timeout <= _LONGEST_TIMEOUT or timeout == math.inf):
        raise ValueError(f"the timeout of an RPC is {timeout!r} s; give 0 or more, or math.inf to wait forever")


@final
class PendingTable(Collection[PendingRpc]):
    """The pending RPCs, as a collection in the order of sending.

    If a task waits for an RPC, it is a record. A callback RPC is a row of `CallbackRpcs`, of which the collection shows
    a copy; it becomes a record when it ends.

    Args:
      stats: Counts how RPCs end.
      callbacks_ended: Receives the records of callback RPCs that have ended; a channel without a limit.
    """

    def __init__(self, stats: Stats, callbacks_ended: trio.MemorySendChannel[PendingRpc]) -> None:
        self.on_earlier: Callable[[float], object] = lambda _: None
        """Called with the new `next_due` if a new RPC is due earlier; the reaper sets it."""
        self._stats = stats
        self._rpcs: dict[int, PendingRpc] = {}
        self._callback_rpcs = CallbackRpcs()
        self._callbacks_ended = callbacks_ended
        self._wheel = TimingWheel(self._tell_of_earlier, self._is_pending)
        self._ended = _EndedRpcs()
        self._lingering: dict[int, tuple[PendingRpc, trio.MemorySendChannel[PendingRpc]]] = {}
        self.is_closed = False
        """True when no more RPCs can begin."""

    def __len__(self) -> int:
        return len(self._rpcs) + len(self._callback_rpcs)

    def __iter__(self) -> Iterator[PendingRpc]:
        return heapq.merge(self._rpcs.values(), self._callback_rpcs, key=operator.attrgetter("msg_id"))

    def __contains__(self, rpc: object) -> bool:
        if not isinstance(rpc, PendingRpc):
            return False
        if rpc.callback is None:
            return self._rpcs.get(rpc.msg_id) is rpc
        mine = self._callback_rpcs.get(rpc.msg_id)
        return mine is not None and (mine.callback, mine.sent_at) == (rpc.callback, rpc.sent_at)

    def open(self, msg_id: int, dest: str, timeout: float, channel: trio.MemorySendChannel[PendingRpc]) -> PendingRpc:
        """Register an RPC that is about to be sent.

        Args:
          msg_id: The number of its request.
          dest: The node that is asked.
          timeout: Seconds from now to its deadline; ``math.inf`` for none.
          channel: Receives the record when the RPC has ended. It must have room for one more item.

        Raises:
          ValueError: if *timeout* is negative or not a number.
          trio.ClosedResourceError: if the table is closed.
        """
        sent_at = self._admit(timeout)
        rpc = self._rpcs[msg_id] = PendingRpc(msg_id, dest, sent_at, timeout, channel)
        self._wheel.add(msg_id, sent_at + timeout)
        return rpc

    def open_callback(self, msg_id: int, dest: str, timeout: float, callback: Callback) -> None:
        """Register a callback RPC that is about to be sent.

        Args:
          msg_id: The number of its request.
          dest: The node that is asked.
          timeout: Seconds from now to its deadline; ``math.inf`` for none.
          callback: The table stores it in the record, and does not call it.

        Raises:
          ValueError: if *timeout* is negative or not a number.
          trio.ClosedResourceError: if the table is closed.
        """
        sent_at = self._admit(timeout)
        self._callback_rpcs.put(msg_id, dest, sent_at, timeout, callback)
        self._wheel.add(msg_id, sent_at + timeout)

    def settle(self, msg_id: int, src: str, reply: Body) -> None:
        """Pass *reply*, from node *src*, to the RPC with that *msg_id*; count and drop it if there is no such RPC.

        If the reply comes from another node than the one that was asked, it is dropped, and the RPC stays pending.
        """
        rpc = self._rpcs.get(msg_id)
        if rpc is not None:
            if rpc.dest != src:
                self._refuse_foreign(msg_id, src, rpc.dest)
                return
            self._remove(rpc, _ANSWERED)
            end(rpc, reply)
        else:
            dest = self._callback_rpcs.dest(msg_id)
            if dest is None:
                self._settle_late(msg_id, src, reply)
                return
            if dest != src:
                self._refuse_foreign(msg_id, src, dest)
                return
            rpc = self._take_callback(msg_id, _ANSWERED)
            assert rpc is not None  # it has a dest, so it exists
            end_into(self._callbacks_ended, rpc, reply)
        self._stats.answered += 1
        self._stats.rpc_latency.record(trio.current_time() - rpc.sent_at)

    def linger(self, rpc: PendingRpc, channel: trio.MemorySendChannel[PendingRpc]) -> None:
        """When *rpc* has expired, send it into *channel* again with a late reply, or when the table closes.

        The reply still counts as late. This lasts until `forget` or `close`.
        """
        self._lingering[rpc.msg_id] = (rpc, channel)

    def forget(self, rpc: PendingRpc) -> None:
        """Remove *rpc* if it is pending or lingers, because its waiter is gone, or its request was not sent."""
        self._lingering.pop(rpc.msg_id, None)
        if rpc in self:
            self._remove(rpc, _UNANSWERED)
            self._stats.abandoned += 1

    def forget_callback(self, msg_id: int) -> None:
        """Remove a callback RPC whose request was not sent."""
        if self._take_callback(msg_id, _UNANSWERED) is not None:
            self._stats.abandoned += 1

    def next_due(self) -> float:
        """Return the time on Trio's clock at which the first RPCs expire; ``math.inf`` if none ever will."""
        return self._wheel.next_due()

    def expire_slice(self, now: float) -> int:
        """Expire up to `SLICE` of the RPCs that are due at *now*, the earliest first.

        Returns:
          How many RPCs expired; 0 if no more are due.
        """
        rpcs = self._wheel.pop_due(now, SLICE, self._take)
        if not self._rpcs:
            self._rpcs.clear()  # an empty dict keeps its largest size until it is cleared
        for rpc in rpcs:
            # The outcome property makes the error on demand, since a million errors at once are expensive.
            if rpc.callback is None:
                end(rpc, RpcTimeout)
            else:
                end_into(self._callbacks_ended, rpc, RpcTimeout)
        self._ended.remember_all(rpcs, _UNANSWERED)
        self._stats.reaped += len(rpcs)
        return len(rpcs)

    def close(self) -> None:
        """End every RPC with `trio.ClosedResourceError`, and refuse new ones."""
        self.is_closed = True
        records = list(self._rpcs.values())
        callback_rpcs = list(self._callback_rpcs)
        closed = len(self)
        if closed:
            self._stats.closed += closed
            _log.info("RPCs closed without reply, as the node ends: %d", closed)
        lingering = [ends for msg_id, ends in self._lingering.items() if msg_id not in self._rpcs]
        self._rpcs.clear()
        self._callback_rpcs.clear()
        self._lingering.clear()
        self._wheel.close()
        for rpc in records:
            end(rpc, trio.ClosedResourceError)
        for rpc, channel in lingering:
            end_into(channel, rpc, trio.ClosedResourceError)
        for rpc in callback_rpcs:
            end_into(self._callbacks_ended, rpc, trio.ClosedResourceError)

    def _tell_of_earlier(self, due: float) -> None:
        self.on_earlier(due)

    def _admit(self, timeout: float) -> float:
        """Count a new RPC and return the current time; raise if the table refuses it."""
        if self.is_closed:
            raise trio.ClosedResourceError("the node is closed and sends no more RPCs")
        check_timeout(timeout)
        now = trio.current_time()  # raises outside of Trio, so call it before counting
        self._stats.rpcs += 1
        return now

    def _remove(self, rpc: PendingRpc, how: int) -> None:
        del self._rpcs[rpc.msg_id]
        self._wheel.remove(rpc.msg_id, rpc.deadline)
        self._ended.remember(rpc.msg_id, how)

    def _take_callback(self, msg_id: int, how: int) -> PendingRpc | None:
        rpc = self._callback_rpcs.take(msg_id)
        if rpc is None:
            return None
        self._wheel.remove(msg_id, rpc.deadline)
        self._ended.remember(msg_id, how)
        return rpc

    def _is_pending(self, msg_id: int) -> bool:
        return msg_id in self._rpcs or self._callback_rpcs.is_pending(msg_id)

    def _take(self, msg_id: int) -> PendingRpc | None:
        return self._rpcs.pop(msg_id, None) or self._callback_rpcs.take(msg_id)

    def _refuse_foreign(self, msg_id: int, src: str, dest: str) -> None:
        self._stats.foreign_replies += 1
        if worth_a_line(self._stats.foreign_replies):
            text = "dropped a reply to msg_id %s from %s, which had been sent to %s (%d so far)"
            _log.warning(text, excerpt(msg_id), excerpt(src), excerpt(dest), self._stats.foreign_replies)

    def _settle_late(self, msg_id: int, src: str, reply: Body) -> None:
        how = self._ended.recall(msg_id)
        if msg_id in self._lingering:
            rpc, channel = self._lingering[msg_id]
            if rpc.dest != src:
                self._refuse_foreign(msg_id, src, rpc.dest)
                return
            if has_expired(rpc):  # and this is its first late reply
                end_into(channel, rpc, reply)
        if how == _ANSWERED:
            self._stats.duplicate_replies += 1
            _note("duplicate", msg_id, self._stats.duplicate_replies)
        elif how == _UNANSWERED:
            self._stats.late_replies += 1
            _note("late", msg_id, self._stats.late_replies)
        else:
            self._stats.unknown_replies += 1
            _note("unknown", msg_id, self._stats.unknown_replies)


def _note(kind: str, msg_id: int, count: int) -> None:
    if worth_a_line(count):
        _log.warning("%s reply to msg_id %s (%d so far)", kind, excerpt(msg_id), count)


_UNKNOWN: Final = 0
_ANSWERED: Final = 1
_UNANSWERED: Final = 2


@final
class _EndedRpcs:
    """The ends of the latest RPCs, in a ring indexed by ``msg_id``; its memory does not grow with the rate."""

    def __init__(self) -> None:
        self._ring = array("q", bytes(8 * REMEMBERED))  # each entry is msg_id * 4 + how; 0 is _UNKNOWN

    def remember(self, msg_id: int, how: int) -> None:
        self._ring[msg_id % REMEMBERED] = msg_id * 4 + how

    def remember_all(self, rpcs: Iterable[PendingRpc], how: int) -> None:
        ring = self._ring
        for rpc in rpcs:
            msg_id = rpc.msg_id
            ring[msg_id % REMEMBERED] = msg_id * 4 + how

    def recall(self, msg_id: int) -> int:
        entry = self._ring[msg_id % REMEMBERED]
        return entry % 4 if entry // 4 == msg_id else _UNKNOWN
