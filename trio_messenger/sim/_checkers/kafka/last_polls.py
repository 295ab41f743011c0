"""The last polls: at the end, every node returns all messages that any node returned. Jepsen does not check this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, final

import attrs

from ..values import ValueKey, original
from .log_operations import LogHistory, LogOperation
from .version_orders import VersionOrder

MISSING_LISTED: Final = 32
"""The number of messages that an error lists; ``count`` tells how many there are."""


@final
@attrs.define(eq=False)
class _Reading:
    """What clients read of a log from a node in the final phase."""

    last: LogOperation  # the last ok poll
    offsets: set[int] = attrs.Factory(set)
    was_empty: bool = False  # whether the last poll returned nothing of this log


def missing(history: LogHistory, orders: Mapping[str, VersionOrder]) -> Iterator[dict[str, Any]]:
    """Yield for each node and key the messages that the node lacks at the end, although some ok poll returned them.

    In the final phase, clients poll all logs from the beginning until they know all messages, or for some seconds. A
    node lacks what is before the first message that its clients got. It also lacks what is after the last one, if its
    last poll returned nothing more; otherwise the clients only had too little time. (Gaps in between are skips.)
    """
    for node, readings in sorted(_final_readings(history).items()):
        for key, reading in readings.items():
            first, last = min(reading.offsets, default=0), max(reading.offsets, default=-1)
            lacking = [
                (offset, value)
                for offset, value in _messages(history, key, orders)
                if offset < first or (offset > last and reading.was_empty)
            ]
            if lacking:
                yield {
                    "node": node,
                    "key": key,
                    "count": len(lacking),
                    "offsets": [offset for offset, _ in lacking[:MISSING_LISTED]],
                    "values": [original(value) for _, value in lacking[:MISSING_LISTED]],
                    "op": reading.last.mention(key),
                }


def _final_readings(history: LogHistory) -> dict[str, dict[str, _Reading]]:
    """Return what clients read in the final phase, by node and key."""
    found: dict[str, dict[str, _Reading]] = {}
    keys: dict[int, list[str]] = {}  # by process
    for operation in history.operations:
        node, process = operation.begun.node, operation.begun.process
        if node is None or not operation.begun.final or operation.outcome != "ok":
            continue
        if operation.begun.f == "assign":
            keys[process] = sorted(operation.assigned)
        elif operation.begun.f in ("poll", "txn"):
            for key in keys.get(process, ()):
                reading = found.setdefault(node, {}).setdefault(key, _Reading(operation))
                pairs = operation.polled.get(key, ())
                reading.last, reading.was_empty = operation, not pairs
                reading.offsets.update(offset for offset, _ in pairs if offset is not None)
    return found


def _messages(history: LogHistory, key: str, orders: Mapping[str, VersionOrder]) -> Iterator[tuple[int, ValueKey]]:
    """Yield the messages of a log that any ok poll returned, in order."""
    order = orders.get(key, VersionOrder({}))
    for position, offset in enumerate(order.offsets):
        value = next((value for value in order.values_at(position) if value in history.seen.get(key, ())), None)
        if value is not None:
            yield offset, value
