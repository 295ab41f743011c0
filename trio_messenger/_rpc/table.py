"""Pending RPCs, in a table that nothing stays in: each a memory channel to end in, and a deadline.

One enters by `PendingTable.open` or `PendingTable.open_callback`, before its request is sent. It leaves exactly once:

- `PendingTable.settle`: a reply came from the node that was asked, and goes into its channel;
- `PendingTable.expire_slice`: its deadline passed, and a `RpcTimeout` goes into the channel;
- `PendingTable.forget`, `PendingTable.forget_callback`: its waiter was cancelled, or the request could not be sent;
- `PendingTable.close`: the node closes, and a `trio.ClosedResourceError` goes into the channel.

A caller that tries again may let an expired record *linger*: a late reply then still finds its channel.
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

from .._protocol.errors import RpcTimeout, excerpt
from .._protocol.messages import Body
from .._protocol.stats import Stats, worth_a_line
from .columns import CallbackRpcs
from .record import Callback, PendingRpc
from .wheel import Bucket, TimingWheel, unlink

_log = logging.getLogger("trio_messenger")

RPC_TIMEOUT: Final = 2.0
"""Seconds an RPC waits for its reply, where nobody says otherwise."""

_LONGEST: Final = sys.float_info.max
"""A longer timeout would be a number that no time can be added to."""

SLICE: Final = 512
"""RPCs that expire between two checkpoints: about 0.4 ms of work, during which no other task runs."""

REMEMBERED: Final = 1 << 16
"""Ended RPCs that are remembered, to tell a late reply from a duplicate one; 8 bytes each. A power of two."""


def check_timeout(timeout: float) -> None:
    """Raise ValueError unless *timeout* is a number of seconds that an RPC can wait."""
    if not isinstance(timeout, (int, float)) or not (0 <= timeout <= _LONGEST or timeout == math.inf):
        raise ValueError(f"the timeout of an RPC is {timeout!r} s; give 0 or more, or math.inf to wait for ever")


@final
class PendingTable(Collection[PendingRpc]):
    """The RPCs that are pending; to whoever looks at it, a collection in the order of sending.

    An RPC that a task waits for is a record. A callback RPC becomes one when it ends; till then it is a row of
    `CallbackRpcs`, of which the collection shows copies.

    Args:
      stats: Where the table counts what becomes of its RPCs.
      callbacks_ended: Where the records of callback RPCs go when they have ended; a channel without a limit.
    """

    def __init__(self, stats: Stats, callbacks_ended: trio.MemorySendChannel[PendingRpc]) -> None:
        self.on_earlier: Callable[[float], object] = lambda _: None
        """Called with the new `next_due` when an RPC brings it forward; set by the reaper."""
        self._stats = stats
        self._rpcs: dict[int, PendingRpc] = {}
        self._callback_rpcs = CallbackRpcs()
        self._callbacks_ended = callbacks_ended
        self._wheel = TimingWheel(self._tell_of_earlier)
        self._ended = _EndedRpcs()
        self._lingering: dict[int, tuple[PendingRpc, trio.MemorySendChannel[PendingRpc]]] = {}
        self.is_closed = False
        """True once no more RPCs can begin."""

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
          msg_id: The number its request will have.
          dest: The node that is asked.
          timeout: Seconds from now to its deadline; ``math.inf`` for none.
          channel: Where the record goes when the RPC has ended. It must have room for one item more.

        Raises:
          ValueError: if *timeout* is negative or not a number.
          trio.ClosedResourceError: if the table is closed.
        """
        rpc = self._rpcs[msg_id] = PendingRpc(msg_id, dest, self._admit(timeout), timeout, channel)
        bucket = self._wheel.bucket(rpc.deadline)
        if bucket is not None:
            bucket.append(rpc)
        return rpc

    def open_callback(self, msg_id: int, dest: str, timeout: float, callback: Callback) -> None:
        """Register a callback RPC that is about to be sent.

        Args:
          msg_id: The number its request will have.
          dest: The node that is asked.
          timeout: Seconds from now to its deadline; ``math.inf`` for none.
          callback: Kept for whoever receives the record.

        Raises:
          ValueError: if *timeout* is negative or not a number.
          trio.ClosedResourceError: if the table is closed.
        """
        sent_at = self._admit(timeout)
        self._callback_rpcs.put(msg_id, dest, sent_at, timeout, callback)
        bucket = self._wheel.bucket(sent_at + timeout)
        if bucket is not None:
            bucket.append_number(msg_id)

    def settle(self, msg_id: int, src: str, reply: Body) -> None:
        """Hand *reply*, from node *src*, to the RPC with that *msg_id*; count and drop it if it answers none.

        A reply from another node than the one that was asked answers nothing: the RPC stays pending.
        """
        rpc = self._rpcs.get(msg_id)
        if rpc is not None:
            if rpc.dest != src:
                self._refuse_foreign(msg_id, src, rpc.dest)
                return
            self._remove(rpc, _ANSWERED)
            rpc._end(reply)
        else:
            dest = self._callback_rpcs.dest(msg_id)
            if dest is None:
                self._settle_late(msg_id, src, reply)
                return
            if dest != src:
                self._refuse_foreign(msg_id, src, dest)
                return
            rpc = self._take_callback(msg_id, _ANSWERED)
            assert rpc is not None  # it has a dest
            self._end_callback(rpc, reply)
        self._stats.answered += 1
        self._stats.rpc_latency.record(trio.current_time() - rpc.sent_at)

    def linger(self, rpc: PendingRpc, channel: trio.MemorySendChannel[PendingRpc]) -> None:
        """Once *rpc* has expired, let it go into *channel* again with a late reply, or when the table closes.

        The late reply is counted as one all the same. Lasts until `forget` or `close`.
        """
        self._lingering[rpc.msg_id] = (rpc, channel)

    def forget(self, rpc: PendingRpc) -> None:
        """Take *rpc* out, if it is still in or lingers: its waiter is gone, or its request was not sent."""
        self._lingering.pop(rpc.msg_id, None)
        if rpc in self:
            self._remove(rpc, _UNANSWERED)
            self._stats.abandoned += 1

    def forget_callback(self, msg_id: int) -> None:
        """Take a callback RPC out, whose request was not sent."""
        if self._take_callback(msg_id, _UNANSWERED) is not None:
            self._stats.abandoned += 1

    def next_due(self) -> float:
        """Return the time on Trio's clock at which the first RPCs expire; ``math.inf`` if none ever will."""
        return self._wheel.next_due()

    def expire_slice(self, now: float) -> int:
        """Expire some of the RPCs that are due at *now*, `SLICE` at the most, the earliest first.

        Returns:
          How many; 0 when nothing is due any more.
        """
        bucket = self._wheel.due(now)
        if bucket is None:
            return 0
        # The error itself is made when it is looked at: a million at once are dear.
        rpcs = self._pop_records(bucket)
        for rpc in rpcs:
            rpc._end(RpcTimeout)
        callback_rpcs = bucket.pop_numbers(SLICE - len(rpcs), self._callback_rpcs.take)
        for rpc in callback_rpcs:
            self._end_callback(rpc, RpcTimeout)
        rpcs += callback_rpcs
        self._ended.remember_all(rpcs, _UNANSWERED)
        self._stats.reaped += len(rpcs)
        return len(rpcs)

    def close(self) -> None:
        """End every RPC with `trio.ClosedResourceError`, and let no more be opened."""
        self.is_closed = True
        records = list(self._rpcs.values())
        callback_rpcs = list(self._callback_rpcs)
        closed = len(self)
        if closed:
            self._stats.closed += closed
            _log.info("RPCs closed without reply, as the node ends: %d", closed)
        for msg_id, (rpc, channel) in self._lingering.items():
            if msg_id not in self._rpcs:
                rpc._state = channel
                records.append(rpc)
        self._rpcs.clear()
        self._callback_rpcs.clear()
        self._lingering.clear()
        self._wheel.close()
        for rpc in records:
            rpc._end(trio.ClosedResourceError)
        for rpc in callback_rpcs:
            self._end_callback(rpc, trio.ClosedResourceError)

    def _tell_of_earlier(self, due: float) -> None:
        self.on_earlier(due)

    def _admit(self, timeout: float) -> float:
        """Count an RPC, unless it is refused, and return when that was."""
        if self.is_closed:
            raise trio.ClosedResourceError("the node is closed and sends no more RPCs")
        check_timeout(timeout)
        now = trio.current_time()  # raises outside of Trio: before anything is counted
        self._stats.rpcs += 1
        return now

    def _remove(self, rpc: PendingRpc, how: int) -> None:
        del self._rpcs[rpc.msg_id]
        unlink(rpc)
        self._ended.remember(rpc.msg_id, how)

    def _take_callback(self, msg_id: int, how: int) -> PendingRpc | None:
        rpc = self._callback_rpcs.take(msg_id)
        if rpc is None:
            return None
        bucket = self._wheel.bucket(rpc.deadline)
        if bucket is not None:
            bucket.remove_number(msg_id, self._callback_rpcs.is_pending)
        self._ended.remember(msg_id, how)
        return rpc

    def _end_callback(self, rpc: PendingRpc, result: Body | type[Exception]) -> None:
        rpc._state = result
        self._callbacks_ended.send_nowait(rpc)

    def _pop_records(self, bucket: Bucket) -> list[PendingRpc]:
        rpcs: list[PendingRpc] = []
        while len(rpcs) < SLICE and (rpc := bucket.pop()) is not None:
            del self._rpcs[rpc.msg_id]
            rpcs.append(rpc)
        if not self._rpcs:
            self._rpcs.clear()  # a dict that was large stays so, empty or not, until it is cleared
        return rpcs

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
            if rpc._state is RpcTimeout:  # it has expired, and no late reply came before this one
                rpc._state = channel
                rpc._end(reply)
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
    """How the latest RPCs ended, in a ring indexed by ``msg_id``: flat memory, whatever the rate."""

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
