"""Contiguity: successive polls, and successive sends, of one client move forward in the log without gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias, final

import attrs

from ..values import original
from .log_operations import ASSIGNMENTS, LogHistory, LogOperation, OffsetValue
from .version_orders import VersionOrder

SKIPPED_LISTED: Final = 32
"""The number of skipped messages that an error lists; ``delta`` tells how many there are."""

Orders: TypeAlias = Mapping[str, VersionOrder]
"""The version order of each key."""


@final
@attrs.frozen(eq=False)
class Leap:
    """A pair of messages of one key that do not follow each other in the log, although they should."""

    key: str
    before: OffsetValue
    after: OffsetValue
    ops: Sequence[LogOperation]
    """The operation that has both, or the one that has *before* and the one that has *after*."""
    order: VersionOrder

    @property
    def delta(self) -> int:
        """The distance of the two in the log: over 1 for a gap, 0 or less for a step back."""
        return self.order.distance(self.before, self.after)

    def as_json(self) -> dict[str, Any]:
        """Return the error under Jepsen's names."""
        mentioned = [operation.mention(self.key, self.before[1], self.after[1]) for operation in self.ops]
        return {
            "key": self.key,
            "values": [original(self.before[1]), original(self.after[1])],
            "offsets": [self.before[0], self.after[0]],
            "delta": self.delta,
            **self._skipped(),
            **({"op": mentioned[0]} if len(mentioned) == 1 else {"ops": mentioned}),
        }

    def _skipped(self) -> dict[str, Any]:
        if self.delta <= 1:
            return {}
        start, end = self.order.position(self.before), self.order.position(self.after)
        assert start is not None
        assert end is not None
        positions = range(start + 1, end)[:SKIPPED_LISTED]
        return {
            "skipped": [original(next(iter(self.order.values_at(position)))) for position in positions],
            "skipped-offsets": [self.order.offsets[position] for position in positions],
        }


def within_polls(history: LogHistory, orders: Orders) -> Iterator[Leap]:
    """Yield the leaps between neighbouring messages of one key in what one operation polled."""
    return _within(history, orders, lambda operation: operation.polled)


def within_sends(history: LogHistory, orders: Orders) -> Iterator[Leap]:
    """Yield the leaps between successive sends to one key of one operation."""
    return _within(history, orders, lambda operation: operation.sent)


def between_polls(history: LogHistory, orders: Orders) -> Iterator[Leap]:
    """Yield the leaps from the last message of a key that a process polled to the first of its next poll.

    Only ok polls count as polled before, since other polls do not move a client forward.
    """
    return _between(history, orders, lambda operation: operation.polled)


def between_sends(history: LogHistory, orders: Orders) -> Iterator[Leap]:
    """Yield the steps back from the last message that a process sent to a key to the first of its next send.

    There are always gaps, because other clients also send.
    """
    leaps = _between(history, orders, lambda operation: operation.sent)
    return (leap for leap in leaps if leap.delta < 1 and leap.ops[1].outcome != "fail")


_Pairs: TypeAlias = Callable[[LogOperation], Mapping[str, Sequence[OffsetValue]]]


def _within(history: LogHistory, orders: Orders, pairs_of: _Pairs) -> Iterator[Leap]:
    for operation in history.operations:
        for key, pairs in pairs_of(operation).items():
            order = orders.get(key)
            if order is not None:
                for before, after in pairwise(pairs):
                    if order.distance(before, after) != 1:
                        yield Leap(key, before, after, [operation], order)


def _between(history: LogHistory, orders: Orders, pairs_of: _Pairs) -> Iterator[Leap]:
    """Yield the leaps from an ok operation to the next one of its process.

    An assignment forgets the keys that it does not assign. Later operations on them may begin anywhere.
    """
    last: dict[int, dict[str, LogOperation]] = {}  # by process and key
    for operation in history.operations:
        of_process = last.setdefault(operation.begun.process, {})
        if operation.begun.f in ASSIGNMENTS and operation.outcome != "fail":
            for key in of_process.keys() - operation.assigned:
                del of_process[key]
        for key, pairs in pairs_of(operation).items():
            order = orders.get(key)
            if key in of_process and order is not None and pairs:
                earlier = of_process[key]
                before, after = pairs_of(earlier)[key][-1], pairs[0]
                if order.distance(before, after) != 1:
                    yield Leap(key, before, after, [earlier, operation], order)
            if operation.outcome == "ok" and pairs:
                of_process[key] = operation
