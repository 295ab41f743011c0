"""The pictures of the tutorial's chapter 11, from the runs that its readers make, or shrink to.

``leaders.svg``: each side of a partition has a leader, and a read does not see a write.
``election.svg``: a candidate without the log of the others is refused, and another one is elected.
``forgotten.svg``: a node that missed a write becomes the leader, and the write is lost.
``stale.svg``: a leader that is cut off answers a read from what it knows.
"""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trio_messenger import Node
from trio_messenger.sim import Journal, Partition, simulate
from trio_messenger.sim.pictures import space_time

FOLDER = Path(__file__).parents[1] / "tutorial" / "11"


def journal(build: Callable[..., Node], **faults: Any) -> Journal:
    """Return the journal of the chapter's run with *build*."""
    return simulate("lin-kv", build, nodes=3, seed=4, latency=10, rate=10, time_limit=10, **faults).journal


@contextmanager
def programs() -> Iterator[None]:
    """Let the chapter's programs import each other."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield
    finally:
        sys.path.remove(str(FOLDER))


def built(module: str, name: str) -> Callable[..., Node]:
    """Return what *name* is in one of the chapter's programs."""
    with programs():
        build: Callable[..., Node] = getattr(importlib.import_module(module), name)
    return build


def first_alive() -> Node:
    """Return the node before the fix."""
    with programs():
        node: Node = runpy.run_path(str(FOLDER / "keys_wrong.py"))["node"]
    return node


def drawn(journal: Journal, *spans: tuple[float, float], between: bool = False) -> str:
    """Draw the messages that were sent in the *spans*, in seconds, and no others; if *between*, none of clients."""
    ids = {
        entry.id
        for entry in journal
        if entry.event == "send"
        and not (between and re.search(rb'"(src|dest)": ?"c', bytes(entry.raw or b"")))
        and any(since * 1e9 <= entry.t <= until * 1e9 for since, until in spans)
    }
    entries = [entry for entry in journal if entry.id is None or entry.id in ids]
    return space_time(entries, since=spans[0][0], until=spans[-1][1], scripted=False)


PARTITIONS = {"nemesis": ["partition"], "nemesis_interval": 4.0}


def leaders() -> str:
    """Draw the writes at the node that is cut off, and the read on the other side."""
    return drawn(journal(first_alive, **PARTITIONS), (1.61, 1.65), (1.91, 1.94))


def election() -> str:
    """Draw the candidate that was cut off, and the one that is elected."""
    return drawn(
        journal(built("keys", "build"), **PARTITIONS), (4.245, 4.265), (4.747, 4.77), (4.99, 5.014), between=True
    )


def forgotten() -> str:
    """Draw the write of 3 at the old leader, the election, and the compare-and-set at the new one."""
    fault = Partition(at=2.25, until=3.0, links=[("n2", "n3")])
    return drawn(
        journal(built("mistakes", "votes_for_anyone"), faults=[fault]), (2.25, 2.28), (2.99, 3.02), (3.23, 3.28)
    )


def stale() -> str:
    """Draw the election, the write at the new leader, and the read at the old one."""
    first = Partition(at=0.0, until=3.75, links=[("n3", "n1"), ("n3", "n2"), ("n2", "n3")])
    second = Partition(at=9.0, until=9.897, links=[("n1", "n2"), ("n1", "n3"), ("n2", "n1")])
    return drawn(journal(built("mistakes", "answers_reads_alone"), faults=[first, second]), (9.55, 9.6), (9.86, 9.896))


PICTURES = {"leaders.svg": leaders, "election.svg": election, "forgotten.svg": forgotten, "stale.svg": stale}
