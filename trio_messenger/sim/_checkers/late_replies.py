"""Late replies: they arrive after their client gave up. The simulator ignores them; Maelstrom does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .._records.journal import Journal
from .net import ends_of


def late_replies(journal: Journal, closed: Mapping[str, int]) -> dict[str, int]:
    """Count the messages of *journal* to clients that were closed because one of their operations ended as ``info``.

    In Maelstrom such a client leaves the network when its worker's next operation begins. A message to a missing client
    ends the thread that reads the sender's output, so from then on Maelstrom does not hear that node.

    Args:
      journal: The messages.
      closed: The ids of these clients, each with the number of messages sent before it was closed.

    Returns:
      How many such messages each node sent before the audit, by its id, in alphabetical order, without nodes that sent
      none. (Maelstrom has no audit.)
    """
    late: Counter[str] = Counter()
    for entry in journal if closed else ():
        if entry.event == "audit":
            break
        if entry.raw is not None and entry.id is not None:
            ends = ends_of(entry.raw)
            if entry.id >= closed.get(ends.dest, entry.id + 1):
                late[ends.src] += 1
    return dict(sorted(late.items()))
