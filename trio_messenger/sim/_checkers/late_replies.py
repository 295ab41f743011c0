"""Replies that came after their client had given up: we ignore them, Maelstrom does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .._records.journal import Journal
from .net import ends_of


def late_replies(journal: Journal, closed: Mapping[str, int]) -> dict[str, int]:
    """Count the messages of *journal* to clients that were closed because an operation of theirs ended as ``info``.

    In Maelstrom such a client leaves the network when its worker's next operation begins, and a message to somebody who
    is not there ends the thread that reads what its sender prints: from then on the node is not heard any more.

    Args:
      journal: What was sent.
      closed: The ids of these clients, each with the number of messages that had been sent when it was closed.

    Returns:
      How many each node sent before the audit, which Maelstrom does not have: by its id, in alphabetical order; those
      that sent none are left out.
    """
    late: Counter[str] = Counter()
    for entry in journal if closed else ():
        if entry.event == "audit":
            break
        if entry.message is not None and entry.id is not None:
            ends = ends_of(entry.message)
            if entry.id >= closed.get(ends.dest, entry.id + 1):
                late[ends.src] += 1
    return dict(sorted(late.items()))
