"""Statistics of the network: how many messages the cluster needed. Maelstrom's ``net`` checker."""

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
"""Returns who sent a message, given as JSON, and to whom."""


def net(journal: Journal, history: History) -> Results:
    """Count the messages of *journal*. Always valid.

    Args:
      journal: What was sent, and what became of it.
      history: Whose operations the messages are reckoned against, audits aside.

    Returns:
      Under ``all``, ``clients`` (to or from a client, which is who has an id that begins with ``c``) and ``servers``
      (the others; services count as servers): ``send-count``, messages sent; ``recv-count``, deliveries;
      ``msg-count``, different messages; and, in ours alone, ``drop-count`` and ``duplicate-count``. A copy that the
      network makes is no message of its own: it is counted where it arrives or is dropped, and by ``duplicate-count``.
      ``all`` and ``servers`` also have ``msgs-per-op``, messages for each operation that was begun, if there were any.
      What is sent once the audits have begun is not counted.
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
    """Return how often each event befell a message to or from a client, and how often one among servers."""
    clients: Counter[str] = Counter()
    servers: Counter[str] = Counter()
    group_of: dict[int, Counter[str]] = {}
    nobody: Counter[str] = Counter()
    is_audit = False
    for entry in journal:
        if entry.id is None:  # this befell a node, not a message
            is_audit = is_audit or entry.event == "audit"
            continue
        if is_audit and entry.message is not None:
            group_of[entry.id] = nobody
        elif entry.message is not None:
            ends = ends_of(entry.message)
            is_of_client = ends.src.startswith("c") or ends.dest.startswith("c")
            group_of[entry.id] = clients if is_of_client else servers
        group_of[entry.id][entry.event] += 1
    return clients, servers


def _told(events: Counter[str]) -> dict[str, Any]:
    counts = {name: events[event] for event, name in _NAMES.items()}
    return {**counts, "msg-count": counts["send-count"]}  # each message is sent once
