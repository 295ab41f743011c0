"""Pending RPCs: each a memory channel and a deadline, in a table that nothing stays in.

A record enters by `PendingTable.open`, before its request is sent. It leaves exactly once:

- `PendingTable.settle`: a reply came, which goes into the record's channel;
- `PendingTable.expire_slice`: its deadline passed, and a `RpcTimeout` goes into the channel;
- `PendingTable.forget`: its waiter was cancelled, or the request could not be sent;
- `PendingTable.close`: the node closes, and a `trio.ClosedResourceError` goes into the channel.

A caller that tries again may let an expired record *linger*: a late reply then still finds its channel.

Deadlines are kept in a timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987)
whose buckets are `BUCKET` wide. To add or remove a record costs the same however many there are, and a sweep
touches nothing that is not due. A heap would keep answered records alive until their deadline; a scan of the
whole table stalls the event loop for 100 ms when a million RPCs are pending.
"""

from __future__ import annotations

import heapq
import logging
import math
from array import array
from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeAlias, final

import msgspec
import trio

from ._errors import RpcTimeout, excerpt
from ._message import Body
from ._stats import Stats, worth_a_line

_log = logging.getLogger("trio_messenger")

RPC_TIMEOUT: Final = 2.0
"""Seconds an RPC waits for its reply, where nobody says otherwise."""

BUCKETS_PER_SECOND: Final = 128
"""Deadlines are rounded up to 1/128 s (7.8 ms): a power of two, so that binary fractions stay exact."""

_CROWD: Final = 1024
"""Buckets from which on empty ones are looked for: eight seconds' worth, four times what `RPC_TIMEOUT` needs."""

SLICE: Final = 512
"""Records that expire between two checkpoints: about 0.4 ms of work, during which no other task runs."""

REMEMBERED: Final = 1 << 16
"""Ended RPCs that are remembered, to tell a late reply from a duplicate one; 8 bytes each. A power of two."""

Outcome: TypeAlias = Body | Exception
"""How an RPC ended: the body of the reply, or a `RpcTimeout`, or a `trio.ClosedResourceError`."""

Callback: TypeAlias = Callable[[Body | Exception], object]
"""What is called with the outcome of a callback RPC."""


@final
class PendingRpc(msgspec.Struct, gc=False, eq=False):
    """An RPC that waits for its reply.

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


class _Bucket:
    """Records that expire at the same time, as a list linked through the records themselves, in a ring with a head.

    Adding, and removing from anywhere, cost the same however many there are; there is no table to grow or to free.
    """

    def __init__(self) -> None:
        self._head = PendingRpc(-1, "", 0.0, 0.0)
        self._head._previous = self._head._next = self._head

    def is_empty(self) -> bool:
        return self._head._next is self._head

    def append(self, rpc: PendingRpc) -> None:
        last = self._head._previous
        assert last is not None
        last._next = self._head._previous = rpc
        rpc._previous, rpc._next = last, self._head

    def pop_first(self) -> PendingRpc | None:
        first = self._head._next
        if first is None or first is self._head:
            return None
        _unlink(first)
        return first

    def close(self) -> None:
        """Break the ring, which nobody else would: the records are not garbage-collected."""
        while self.pop_first() is not None:
            pass
        self._head._previous = self._head._next = None


def _unlink(rpc: PendingRpc) -> None:
    if rpc._next is not None and rpc._previous is not None:
        rpc._previous._next, rpc._next._previous = rpc._next, rpc._previous
        rpc._previous = rpc._next = None


def check_timeout(timeout: float) -> None:
    """Raise ValueError unless *timeout* is a number of seconds that an RPC can wait."""
    if not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise ValueError(f"the timeout of an RPC is {timeout!r} s; give 0 or more, or math.inf to wait for ever")


@final
class PendingTable(Collection[PendingRpc]):
    """The RPCs that are pending; to whoever looks at it, a collection in the order of sending.

    Args:
      stats: Where the table counts what becomes of its records.
    """

    def __init__(self, stats: Stats) -> None:
        self.on_earlier: Callable[[float], object] = lambda _: None
        """Called with the new `next_due` when `open` brings it forward; set by the reaper."""
        self._stats = stats
        self._rpcs: dict[int, PendingRpc] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._ticks: list[int] = []  # a heap of the keys of _buckets, each once
        self._crowd = _CROWD
        self._ended = _EndedRpcs()
        self._lingering: dict[int, tuple[PendingRpc, trio.MemorySendChannel[PendingRpc]]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._rpcs)

    def __iter__(self) -> Iterator[PendingRpc]:
        return iter(self._rpcs.values())

    def __contains__(self, rpc: object) -> bool:
        return isinstance(rpc, PendingRpc) and self._rpcs.get(rpc.msg_id) is rpc

    def open(
        self,
        msg_id: int,
        dest: str,
        timeout: float,
        channel: trio.MemorySendChannel[PendingRpc],
        callback: Callback | None = None,
    ) -> PendingRpc:
        """Register an RPC that is about to be sent.

        Args:
          msg_id: The number its request will have.
          dest: The node that is asked.
          timeout: Seconds from now to its deadline; ``math.inf`` for none.
          channel: Where the record goes when the RPC has ended. It must have room for one item more.
          callback: Kept with the record for whoever receives it from the channel.

        Raises:
          ValueError: if *timeout* is negative or not a number.
          trio.ClosedResourceError: if the table is closed.
        """
        if self._closed:
            raise trio.ClosedResourceError("the node is closed and sends no more RPCs")
        check_timeout(timeout)
        rpc = PendingRpc(msg_id, dest, trio.current_time(), timeout, channel, callback)
        self._rpcs[msg_id] = rpc
        self._stats.rpcs += 1
        tick = rpc.deadline * BUCKETS_PER_SECOND
        if tick < math.inf:
            self._put_in_bucket(rpc, math.ceil(tick))
        return rpc

    def settle(self, msg_id: int, reply: Body) -> None:
        """Hand *reply* to the RPC with that *msg_id*; count and drop it if there is none."""
        rpc = self._rpcs.get(msg_id)
        if rpc is None:
            self._settle_late(msg_id, reply)
            return
        self._remove(rpc, _ANSWERED)
        self._stats.answered += 1
        self._stats.rpc_latency.record(trio.current_time() - rpc.sent_at)
        rpc._end(reply)

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

    def next_due(self) -> float:
        """Return the time on Trio's clock at which the first records expire; ``math.inf`` if none ever will."""
        while self._ticks:
            if not self._buckets[self._ticks[0]].is_empty():
                return self._ticks[0] / BUCKETS_PER_SECOND
            self._buckets.pop(heapq.heappop(self._ticks)).close()
        return math.inf

    def expire_slice(self, now: float) -> int:
        """Expire some of the records that are due at *now*, `SLICE` at the most, the earliest first.

        Returns:
          How many; 0 when nothing is due any more.
        """
        if self.next_due() > now:
            return 0
        bucket = self._buckets[self._ticks[0]]
        expired = 0
        while expired < SLICE and (rpc := bucket.pop_first()) is not None:
            del self._rpcs[rpc.msg_id]
            self._ended.remember(rpc.msg_id, _UNANSWERED)
            rpc._end(RpcTimeout)  # the error itself is made when it is looked at: a million at once are dear
            expired += 1
        if not self._rpcs:
            self._rpcs.clear()  # a dict that was large stays so, empty or not, until it is cleared
        self._stats.reaped += expired
        return expired

    def close(self) -> None:
        """End every record with `trio.ClosedResourceError`, and let no more be opened."""
        self._closed = True
        if self._rpcs:
            self._stats.closed += len(self._rpcs)
            _log.info("RPCs closed without reply, as the node ends: %d", len(self._rpcs))
        rpcs = list(self._rpcs.values())
        for msg_id, (rpc, channel) in self._lingering.items():
            if msg_id not in self._rpcs:
                rpc._state = channel
                rpcs.append(rpc)
        self._rpcs.clear()
        self._lingering.clear()
        for bucket in self._buckets.values():
            bucket.close()
        self._buckets.clear()
        self._ticks.clear()
        for rpc in rpcs:
            rpc._end(trio.ClosedResourceError)

    def _put_in_bucket(self, rpc: PendingRpc, tick: int) -> None:
        bucket = self._buckets.get(tick)
        if bucket is None:
            if len(self._buckets) >= self._crowd:
                self._drop_empty_buckets()
            bucket = self._buckets[tick] = _Bucket()
            heapq.heappush(self._ticks, tick)
            if self._ticks[0] == tick:
                self.on_earlier(tick / BUCKETS_PER_SECOND)
        bucket.append(rpc)

    def _drop_empty_buckets(self) -> None:
        """Drop buckets all of whose RPCs were answered; done when they have doubled in number, so it costs little."""
        for tick in [tick for tick, bucket in self._buckets.items() if bucket.is_empty()]:
            self._buckets.pop(tick).close()
        self._ticks = sorted(self._buckets)  # a sorted list is a heap
        self._crowd = max(_CROWD, 2 * len(self._buckets))

    def _remove(self, rpc: PendingRpc, how: int) -> None:
        del self._rpcs[rpc.msg_id]
        _unlink(rpc)
        self._ended.remember(rpc.msg_id, how)

    def _settle_late(self, msg_id: int, reply: Body) -> None:
        how = self._ended.recall(msg_id)
        if msg_id in self._lingering:
            rpc, channel = self._lingering[msg_id]
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

    def recall(self, msg_id: int) -> int:
        entry = self._ring[msg_id % REMEMBERED]
        return entry % 4 if entry // 4 == msg_id else _UNKNOWN
