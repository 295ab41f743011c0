"""Statistics of the network: how many messages the cluster sent, as in Maelstrom's ``net`` checker."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from .._records.history import History
from .._records.journal import Journal
from . import Results

_NAMES: Final = {
    "send": "send-count",
    "deliver": "recv-count",
    "drop": "drop-count",
    "duplicate": "duplicate-count",
}


class _Ends(msgspec.Struct, gc=False):
    src: str
    dest: str


ends_of: Final = msgspec.json.Decoder(_Ends).decode
"""Returns the sender and the receiver of a message in JSON."""


def net(journal: Journal, history: History) -> Results:
    """Count the messages of *journal*. Always valid.

    Args:
      journal: The messages.
      history: The operations, to compute messages per operation; audits do not count.

    Returns:
      Three groups: ``all``; ``clients``, messages to or from a client (an id that begins with ``c``); and ``servers``,
      all other messages (services count as servers). Each has ``send-count``, messages sent; ``recv-count``,
      deliveries; ``msg-count``, different messages; and ``drop-count`` and ``duplicate-count``, which Maelstrom does
      not have. A copy that the network makes is not a message: its arrival or loss counts, and ``duplicate-count``
      counts it. ``all`` and ``servers`` also have ``msgs-per-op``, messages per operation begun, if there were any
      operations. Messages sent after the audits begin are not counted.
    """
    clients, servers = _counted(journal)
    groups = {"all": clients + servers, "clients": clients, "servers": servers}
    results: Results = {"valid?": True, **{name: _told(events) for name, events in groups.items()}}
    operations = sum(op.type == "invoke" and not op.audit for op in history)
    if operations:
        for name in ("all", "servers"):
            results[name]["msgs-per-op"] = results[name]["msg-count"] / operations
    return results


def _counted(journal: Journal) -> tuple[Counter[str], Counter[str]]:
    """Return how often each event happened to a message to or from a client, and to a message between servers."""
    clients: Counter[str] = Counter()
    servers: Counter[str] = Counter()
    group_of: dict[int, Counter[str]] = {}
    nobody: Counter[str] = Counter()
    is_audit = False
    for entry in journal:
        if entry.id is None:  # an event of a node, not of a message
            is_audit = is_audit or entry.event == "audit"
            continue
        if is_audit and entry.raw is not None:
            group_of[entry.id] = nobody
        elif entry.raw is not None:
            ends = ends_of(entry.raw)
            is_of_client = ends.src.startswith("c") or ends.dest.startswith("c")
            group_of[entry.id] = clients if is_of_client else servers
        group_of[entry.id][entry.event] += 1
    return clients, servers


def _told(events: Counter[str]) -> dict[str, Any]:
    counts = {name: events[event] for event, name in _NAMES.items()}
    return {**counts, "msg-count": counts["send-count"]}  # each message is sent once
