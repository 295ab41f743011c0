"""A timing wheel for deadlines. Adding and removing cost the same on average, regardless of the number of RPCs.

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
"""How many numbers a bucket may hold for each RPC that is still pending in it, in addition to `_FEW`."""

_FEW: Final = 512
"""4 KiB at most. With 64, most buckets are searched for pending RPCs twice before the last of them is answered."""


@final
class _Bucket:
    """The numbers of RPCs that expire at the same time, in the order of adding.

    A removed number stays in the array, unless it is the last, until only few numbers in the array are still pending.
    """

    __slots__ = ("numbers", "popped", "waiting")

    def __init__(self) -> None:
        self.numbers = array("q")
        self.popped = 0  # how many numbers were popped from the front
        self.waiting = 0  # how many of the other numbers are still pending


@final
class TimingWheel:
    """The buckets with RPCs, and some that have become empty. It knows RPCs by their numbers only.

    All deadlines are in seconds on Trio's clock.

    Args:
      on_earlier: Called with the new `next_due` if a new bucket is due earlier.
      is_pending: Tells whether the RPC with a number is still pending.
    """

    def __init__(self, on_earlier: Callable[[float], object], is_pending: Callable[[int], bool]) -> None:
        self._on_earlier = on_earlier
        self._is_pending = is_pending
        self._buckets: dict[int, _Bucket] = {}
        self._ticks: list[int] = []  # a heap of the keys of _buckets, each once
        self._crowd = _CROWD

    def add(self, msg_id: int, deadline: float) -> None:
        """Add an RPC that is due at *deadline*; ``math.inf`` for never."""
        tick = deadline * BUCKETS_PER_SECOND
        if tick != math.inf:
            tick = math.ceil(tick)
            bucket = self._buckets.get(tick) or self._new_bucket(tick)
            bucket.numbers.append(msg_id)
            bucket.waiting += 1

    def remove(self, msg_id: int, deadline: float) -> None:
        """Remove an RPC that was added with that *deadline* and is no longer pending."""
        tick = deadline * BUCKETS_PER_SECOND
        if tick == math.inf:
            return
        bucket = self._buckets[math.ceil(tick)]
        bucket.waiting -= 1
        numbers = bucket.numbers
        if not bucket.waiting:
            del numbers[:]
            bucket.popped = 0
        elif numbers[-1] == msg_id:  # perhaps it could not be sent; then the next RPC has the same number
            numbers.pop()
        elif len(numbers) - bucket.popped > _SPARSE * bucket.waiting + _FEW:
            bucket.numbers = array("q", filter(self._is_pending, numbers[bucket.popped :]))
            bucket.popped = 0

    def next_due(self) -> float:
        """Return the time on Trio's clock at which the first bucket expires; ``math.inf`` if none will ever expire."""
        while self._ticks:
            if self._buckets[self._ticks[0]].waiting:
                return self._ticks[0] / BUCKETS_PER_SECOND
            del self._buckets[heapq.heappop(self._ticks)]
        return math.inf

    def pop_due(self, now: float, limit: int, take: Callable[[int], PendingRpc | None]) -> list[PendingRpc]:
        """Take up to *limit* RPCs of the bucket that expires first, if it is due at *now*, in the order of adding.

        Args:
          now: The current time.
          limit: The largest number of RPCs to take.
          take: Removes an RPC from the table and returns it; returns None for an RPC that has left.
        """
        if self.next_due() > now or not self._ticks:
            return []
        bucket = self._buckets[self._ticks[0]]
        numbers, popped = bucket.numbers, bucket.popped
        rpcs: list[PendingRpc] = []
        count = min(limit, bucket.waiting)
        while len(rpcs) < count:
            rpc = take(numbers[popped])
            popped += 1
            if rpc is not None:
                rpcs.append(rpc)
        bucket.popped = popped
        bucket.waiting -= count
        return rpcs

    def close(self) -> None:
        """Empty all buckets."""
        self._buckets.clear()
        self._ticks.clear()

    def _new_bucket(self, tick: int) -> _Bucket:
        if len(self._buckets) >= self._crowd:
            self._drop_empty_buckets()
        bucket = self._buckets[tick] = _Bucket()
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            self._on_earlier(tick / BUCKETS_PER_SECOND)
        return bucket

    def _drop_empty_buckets(self) -> None:
        """Drop buckets whose RPCs were all answered. It runs when their number has doubled, so it costs little."""
        for tick in [tick for tick, bucket in self._buckets.items() if not bucket.waiting]:
            del self._buckets[tick]
        self._ticks = sorted(self._buckets)  # a sorted list is a heap
        self._crowd = max(_CROWD, 2 * len(self._buckets))
