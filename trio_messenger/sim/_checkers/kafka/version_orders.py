"""Version orders: the offsets of each key's log that clients saw, and the message at each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final

from ..values import ValueKey, in_order, original
from .log_operations import LogHistory, LogOperation, OffsetValue


@final
class VersionOrder:
    """The messages of a log in the order of their offsets.

    Args:
      log: For each offset that was seen, the messages that were seen there, each with the first operation that shows
        it. In a correct log each offset has one message, and each message has one offset.
    """

    def __init__(self, log: Mapping[int, Mapping[ValueKey, LogOperation]]) -> None:
        self._log: Final = log
        self.offsets: Final[Sequence[int]] = sorted(log)
        """The offsets, in order."""
        self._positions = {offset: position for position, offset in enumerate(self.offsets)}
        self.places: Final[dict[ValueKey, list[int]]] = {}
        """By message: its positions in `offsets`, in order."""
        for position in range(len(self)):
            for value in self.values_at(position):
                self.places.setdefault(value, []).append(position)

    def __len__(self) -> int:
        return len(self.offsets)

    def values_at(self, position: int) -> Mapping[ValueKey, LogOperation]:
        """Return the messages at a position, each with the first operation that shows it there."""
        return self._log[self.offsets[position]]

    def position(self, pair: OffsetValue) -> int | None:
        """Return the position of an offset; if the offset is unknown, of its message; None if both are unknown."""
        offset, value = pair
        if offset in self._positions:
            return self._positions[offset]
        places = self.places.get(value)
        return None if places is None else places[-1]

    def distance(self, before: OffsetValue, after: OffsetValue) -> int:
        """Return by how many positions *after* follows *before*; 1, the right distance, if a position is unknown."""
        start, end = self.position(before), self.position(after)
        return 1 if start is None or end is None else end - start


def version_orders(history: LogHistory) -> dict[str, VersionOrder]:
    """Return the version order of each key of *history*.

    It has the offsets of all sends that surely took effect, and of all polls. It also has those of polls that failed:
    a failed poll may lose messages, but those that it returns are in the log.
    """
    logs: dict[str, dict[int, dict[ValueKey, LogOperation]]] = {}
    for operation in history.operations:
        shown = [operation.polled, operation.sent] if history.has_committed(operation) else [operation.polled]
        for pairs_by_key in shown:
            for key, pairs in pairs_by_key.items():
                log = logs.setdefault(key, {})
                for offset, value in pairs:
                    if offset is not None:
                        log.setdefault(offset, {}).setdefault(value, operation)
    return {key: VersionOrder(log) for key, log in logs.items()}


def inconsistent_offsets(orders: Mapping[str, VersionOrder]) -> Iterator[dict[str, Any]]:
    """Yield each offset at which several messages were seen."""
    for key, order in orders.items():
        for position, offset in enumerate(order.offsets):
            shown = order.values_at(position)
            if len(shown) > 1:
                yield {
                    "key": key,
                    "offset": offset,
                    "index": position,
                    "values": in_order(map(original, shown)),
                    "ops": [operation.mention(key, value) for value, operation in shown.items()],
                }


def duplicates(orders: Mapping[str, VersionOrder]) -> Iterator[dict[str, Any]]:
    """Yield each message that was seen at several offsets."""
    for key, order in orders.items():
        for value, places in order.places.items():
            if len(places) > 1:
                yield {
                    "key": key,
                    "value": original(value),
                    "count": len(places),
                    "offsets": [order.offsets[position] for position in places],
                    "ops": [order.values_at(position)[value].mention(key, value) for position in places],
                }
