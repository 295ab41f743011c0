"""Visibility: polls return what was sent, nothing else, and in the end they return everything that was acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..values import ValueKey, in_order, original
from .log_operations import LogHistory, LogOperation
from .version_orders import VersionOrder

UNSEEN_LISTED: Final = 32
"""The number of unseen messages of each key that are listed, as in Jepsen."""

UNSEEN_DESCRIBED: Final = 8
"""The number of unseen messages of each key whose sends are listed."""


def aborted_reads(history: LogHistory) -> Iterator[dict[str, Any]]:
    """Yield each message that an ok operation polled although its send failed (G1a)."""
    for key, value, reader in _polled(history):
        writer = history.writer(key, value)
        if reader.outcome == "ok" and writer is not None and writer.outcome == "fail":
            yield {
                "key": key,
                "value": original(value),
                "writer": writer.mention(key, value),
                "reader": reader.mention(key, value),
            }


def unexpected(history: LogHistory) -> Iterator[dict[str, Any]]:
    """Yield each message that an operation polled although no client sent it to this key."""
    for key, value, reader in _polled(history):
        if history.writer(key, value) is None:
            yield {"key": key, "value": original(value), "reader": reader.mention(key, value)}


def precommitted_reads(history: LogHistory) -> Iterator[dict[str, Any]]:
    """Yield the operations that polled a message that they sent themselves: it was not committed yet."""
    for operation in history.operations:
        for key, pairs in operation.sent.items():
            own = {value for _, value in pairs} & {value for _, value in operation.polled.get(key, ())}
            if own:
                first = next(value for _, value in pairs if value in own)
                yield {"key": key, "value": original(first), "op": operation.mention(key, first)}


def _polled(history: LogHistory) -> Iterator[tuple[str, ValueKey, LogOperation]]:
    for operation in history.operations:
        for key, pairs in operation.polled.items():
            for _, value in pairs:
                yield key, value, operation


def lost_writes(history: LogHistory, orders: Mapping[str, VersionOrder]) -> Iterator[dict[str, Any]]:
    """Yield the messages that nobody polled although somebody polled a message after them in the log.

    A message at several offsets is where it first was for the bound, and where it last was to be below the bound: so it
    is lost only if all places are below the last message that was surely polled. Only sends that surely took effect
    can be lost.
    """
    for key, seen in history.seen.items():
        order = orders[key]
        firsts = {order.places[value][0]: reader for value, reader in seen.items() if value in order.places}
        bound = max(firsts, default=-1)
        for value, places in order.places.items():
            writer = history.writer(key, value)
            if value not in seen and places[-1] <= bound and writer is not None and history.has_committed(writer):
                yield {
                    "key": key,
                    "value": original(value),
                    "offset": order.offsets[places[0]],
                    "index": places[0],
                    "max-read-offset": order.offsets[bound],
                    "max-read-index": bound,
                    "writer": writer.mention(key, value),
                    "max-read": firsts[bound].mention(key, *order.values_at(bound)),
                }


def unseen(history: LogHistory) -> dict[str, Any]:
    """Return the messages that were acknowledged, and that no ok operation polled; an empty dict if there are none."""
    messages: dict[str, list[ValueKey]] = {}
    latest = 0
    for operation in history.transactions:
        if operation.outcome == "ok":
            latest = operation.end.time
            for key, pairs in operation.sent.items():
                seen = history.seen.get(key, {})
                messages.setdefault(key, []).extend(value for _, value in pairs if value not in seen)
    found = {key: values for key, values in sorted(messages.items()) if values}
    if not found:
        return {}
    return {
        "time": latest,
        "unseen": {key: len(values) for key, values in found.items()},
        "messages": {key: in_order(map(original, values))[:UNSEEN_LISTED] for key, values in found.items()},
        "sends": {key: _sends(history, key, values) for key, values in found.items()},
    }


def _sends(history: LogHistory, key: str, values: list[ValueKey]) -> list[dict[str, Any]]:
    return [history.writers[key][value].mention(key, value) for value in values[:UNSEEN_DESCRIBED]]
