"""A timing wheel: who is due when, at the same cost to add and to remove however many there are.

Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987). Deadlines fall into buckets, and a sweep touches
nothing that is not due. A heap would keep answered RPCs until their deadline; a scan of all that is pending stalls the
event loop for 100 ms when a million RPCs are.
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
"""Buckets from which on empty ones are looked for: eight seconds' worth, four times what a timeout of 2 s needs."""

_SPARSE: Final = 4
"""Numbers that a bucket may hold for each callback RPC that is still in it, beyond `_FEW`."""

_FEW: Final = 64


@final
class Bucket:
    """RPCs that expire at the same time: records, and the numbers of callback RPCs.

    The records are a list linked through themselves, in a ring with a head: to add one, or to remove it from anywhere,
    moves nothing, and there is no table to grow or to free. Numbers are plain integers in an array. One that is
    removed stays there, unless it is the last, until few of those that are there have not been.
    """

    def __init__(self) -> None:
        self._head = PendingRpc(-1, "", 0.0, 0.0)
        self._head._previous = self._head._next = self._head
        self._numbers = array("q")
        self._popped = 0  # how many of them, from the front
        self._waiting = 0  # how many of the others have not been removed

    def is_empty(self) -> bool:
        """Tell whether nothing is left that will expire."""
        return self._head._next is self._head and not self._waiting

    def append(self, rpc: PendingRpc) -> None:
        """Add a record; `unlink` removes it."""
        last = self._head._previous
        assert last is not None
        last._next = self._head._previous = rpc
        rpc._previous, rpc._next = last, self._head

    def pop(self) -> PendingRpc | None:
        """Take out the record that was added first; None if there is none."""
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
        """*Take* up to *limit* callback RPCs, those that were added first; `take` returns None for one that left."""
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
        """Remove a callback RPC, which *is_pending* no more."""
        self._waiting -= 1
        if self._numbers[-1] == msg_id:  # it could not be sent, perhaps, and the next RPC will have its number
            self._numbers.pop()
        elif len(self._numbers) - self._popped > _SPARSE * self._waiting + _FEW:
            self._numbers = array("q", filter(is_pending, self._numbers[self._popped :]))
            self._popped = 0

    def close(self) -> None:
        """Break the ring, which nobody else would: the records are not garbage-collected."""
        while self.pop() is not None:
            pass
        self._head._previous = self._head._next = None


def unlink(rpc: PendingRpc) -> None:
    """Remove a record from the bucket that it is in, if it is in one."""
    if rpc._next is not None and rpc._previous is not None:
        rpc._previous._next, rpc._next._previous = rpc._next, rpc._previous
        rpc._previous = rpc._next = None


@final
class TimingWheel:
    """The buckets that have something in them, and some that are empty by now.

    Args:
      on_earlier: Called with the new `next_due` when a bucket brings it forward.
    """

    def __init__(self, on_earlier: Callable[[float], object]) -> None:
        self._on_earlier = on_earlier
        self._buckets: dict[int, Bucket] = {}
        self._ticks: list[int] = []  # a heap of the keys of _buckets, each once
        self._crowd = _CROWD

    def bucket(self, deadline: float) -> Bucket | None:
        """Return the bucket for what is due at *deadline*, in seconds on Trio's clock; None for never."""
        tick = deadline * BUCKETS_PER_SECOND
        if tick == math.inf:
            return None
        number = math.ceil(tick)
        return self._buckets.get(number) or self._new_bucket(number)

    def next_due(self) -> float:
        """Return the time on Trio's clock at which the first bucket expires; ``math.inf`` if none ever will."""
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
        """Drop buckets all of whose RPCs were answered; done when they have doubled in number, so it costs little."""
        for tick in [tick for tick, bucket in self._buckets.items() if bucket.is_empty()]:
            self._buckets.pop(tick).close()
        self._ticks = sorted(self._buckets)  # a sorted list is a heap
        self._crowd = max(_CROWD, 2 * len(self._buckets))
