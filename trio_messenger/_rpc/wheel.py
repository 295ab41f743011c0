"""A timing wheel for deadlines. Adding and removing cost the same, regardless of the number of RPCs.

The algorithm is from Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987). Deadlines fall into buckets,
and a sweep touches only RPCs that are due. A heap would keep answered RPCs until their deadline. A scan of all pending
RPCs would stop the event loop for 100 ms if a million are pending.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Callable
from typing import Final, final

from .record import PendingRpc

BUCKETS_PER_SECOND: Final = 128
"""Deadlines are rounded up to 1/128 s (7.8 ms): a power of two, so that binary fractions stay exact."""

_CROWD: Final = 1024
"""The number of buckets at which the wheel looks for empty ones: 8 s of deadlines, four times a timeout of 2 s."""

_SPARSE: Final = 4
"""How many numbers a bucket may hold for each callback RPC that is still pending in it, in addition to `_FEW`."""

_FEW: Final = 64


@final
class Bucket:
    """RPCs that expire at the same time: records, and the numbers of callback RPCs.

    The records are linked to each other in a ring with a head. Adding a record, or removing it from any place, moves no
    other record, and there is no table to grow or to free. The numbers are plain integers in an array. A removed number
    stays in the array, unless it is the last, until only few numbers in the array are still pending.
    """

    def __init__(self) -> None:
        self._head = PendingRpc(-1, "", 0.0, 0.0)
        self._head._previous = self._head._next = self._head
        self._numbers = array("q")
        self._popped = 0  # how many numbers were popped from the front
        self._waiting = 0  # how many of the other numbers are still pending

    def is_empty(self) -> bool:
        """Return True if no RPC is left that will expire."""
        return self._head._next is self._head and not self._waiting

    def append(self, rpc: PendingRpc) -> None:
        """Add a record; `unlink` removes it."""
        last = self._head._previous
        assert last is not None
        last._next = self._head._previous = rpc
        rpc._previous, rpc._next = last, self._head

    def pop(self) -> PendingRpc | None:
        """Remove and return the record that was added first; None if there are no records."""
        first = self._head._next
        if first is None or first is self._head:
            return None
        unlink(first)
        return first

    def append_number(self, msg_id: int) -> None:
        """Add a callback RPC."""
        self._numbers.append(msg_id)
        self._waiting += 1

    def pop_numbers(self, limit: int, take: Callable[[int], PendingRpc | None]) -> list[PendingRpc]:
        """Take up to *limit* callback RPCs, in the order of adding; *take* returns None for an RPC that has left."""
        rpcs: list[PendingRpc] = []
        popped = self._popped
        most = min(limit, self._waiting)
        while len(rpcs) < most:
            rpc = take(self._numbers[popped])
            popped += 1
            if rpc is not None:
                rpcs.append(rpc)
        self._popped = popped
        self._waiting -= most
        return rpcs

    def remove_number(self, msg_id: int, is_pending: Callable[[int], bool]) -> None:
        """Remove a callback RPC that has left the table; *is_pending* tells which numbers are still pending."""
        self._waiting -= 1
        if self._numbers[-1] == msg_id:  # perhaps it could not be sent; then the next RPC has the same number
            self._numbers.pop()
        elif len(self._numbers) - self._popped > _SPARSE * self._waiting + _FEW:
            self._numbers = array("q", filter(is_pending, self._numbers[self._popped :]))
            self._popped = 0

    def close(self) -> None:
        """Break the ring, because the garbage collector does not track the records and would not free them."""
        while self.pop() is not None:
            pass
        self._head._previous = self._head._next = None


def unlink(rpc: PendingRpc) -> None:
    """Remove a record from its bucket, if it is in one."""
    if rpc._next is not None and rpc._previous is not None:
        rpc._previous._next, rpc._next._previous = rpc._next, rpc._previous
        rpc._previous = rpc._next = None


@final
class TimingWheel:
    """The buckets with RPCs, and some that have become empty.

    Args:
      on_earlier: Called with the new `next_due` if a new bucket is due earlier.
    """

    def __init__(self, on_earlier: Callable[[float], object]) -> None:
        self._on_earlier = on_earlier
        self._buckets: dict[int, Bucket] = {}
        self._ticks: list[int] = []  # a heap of the keys of _buckets, each once
        self._crowd = _CROWD

    def bucket(self, deadline: float) -> Bucket | None:
        """Return the bucket for RPCs that are due at *deadline*, in seconds on Trio's clock; None for never."""
        tick = deadline * BUCKETS_PER_SECOND
        if tick == math.inf:
            return None
        number = math.ceil(tick)
        return self._buckets.get(number) or self._new_bucket(number)

    def next_due(self) -> float:
        """Return the time on Trio's clock at which the first bucket expires; ``math.inf`` if none will ever expire."""
        while self._ticks:
            if not self._buckets[self._ticks[0]].is_empty():
                return self._ticks[0] / BUCKETS_PER_SECOND
            self._buckets.pop(heapq.heappop(self._ticks)).close()
        return math.inf

    def due(self, now: float) -> Bucket | None:
        """Return the bucket that expires first, if it is due at *now*."""
        return self._buckets[self._ticks[0]] if self.next_due() <= now and self._ticks else None

    def close(self) -> None:
        """Empty all buckets."""
        for bucket in self._buckets.values():
            bucket.close()
        self._buckets.clear()
        self._ticks.clear()

    def _new_bucket(self, tick: int) -> Bucket:
        if len(self._buckets) >= self._crowd:
            self._drop_empty_buckets()
        bucket = self._buckets[tick] = Bucket()
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            self._on_earlier(tick / BUCKETS_PER_SECOND)
        return bucket

    def _drop_empty_buckets(self) -> None:
        """Drop buckets whose RPCs were all answered. It runs when their number has doubled, so it costs little."""
        for tick in [tick for tick, bucket in self._buckets.items() if bucket.is_empty()]:
            self._buckets.pop(tick).close()
        self._ticks = sorted(self._buckets)  # a sorted list is a heap
        self._crowd = max(_CROWD, 2 * len(self._buckets))
