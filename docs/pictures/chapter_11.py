"""The pictures of the tutorial's chapter 11, from the runs that its readers shrink to.

``forgotten.svg``: a node that missed a write becomes the leader, and the write is lost.
``stale.svg``: a leader that is cut off answers a read from what it knows.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import Journal, Partition, simulate
from trio_messenger.sim.pictures import space_time

FOLDER = Path(__file__).parents[1] / "tutorial" / "11"


def journal(mistake: str, faults: list[Partition]) -> Journal:
    """Return the journal of a run with one of the chapter's mistakes."""
    sys.path.insert(0, str(FOLDER))
    try:
        build: Callable[..., Node] = getattr(importlib.import_module("mistakes"), mistake)
    finally:
        sys.path.remove(str(FOLDER))
    return simulate("lin-kv", build, nodes=3, seed=4, latency=10, rate=10, time_limit=10, faults=faults).journal


def drawn(journal: Journal, *spans: tuple[float, float]) -> str:
    """Draw the messages that were sent in the *spans*, in seconds, and no others."""
    ids = {
        entry.id
        for entry in journal
        if entry.event == "send" and any(since * 1e9 <= entry.t <= until * 1e9 for since, until in spans)
    }
    entries = [entry for entry in journal if entry.id is None or entry.id in ids]
    return space_time(entries, since=spans[0][0], until=spans[-1][1], scripted=False)


def forgotten() -> str:
    """Draw the write of 3 at the old leader, the election, and the compare-and-set at the new one."""
    fault = Partition(at=2.25, until=3.0, links=[("n2", "n3")])
    return drawn(journal("votes_for_anyone", [fault]), (2.25, 2.28), (2.99, 3.02), (3.23, 3.28))


def stale() -> str:
    """Draw the election, the write at the new leader, and the read at the old one."""
    first = Partition(at=0.0, until=3.75, links=[("n3", "n1"), ("n3", "n2"), ("n2", "n3")])
    second = Partition(at=9.0, until=9.897, links=[("n1", "n2"), ("n1", "n3"), ("n2", "n1")])
    return drawn(journal("answers_reads_alone", [first, second]), (9.55, 9.6), (9.86, 9.896))


PICTURES = {"forgotten.svg": forgotten, "stale.svg": stale}
