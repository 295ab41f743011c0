"""Plays on a simulated network: lines that are sent, and what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import trio
import trio.testing

from support.stage import Script, Stage
from trio_messenger.sim._faults.faults import (
    Duplication,
    Fault,
    Links,
    Loss,
    Partition,
    Reordering,
    SlowLinks,
)

MEMBERS = ("n1", "n2", "n3", "c1", "c2", "lin-kv")

END = 6.0
"""When plays end."""


class Line(NamedTuple):
    """What is said in a play."""

    at: float
    src: str
    dest: str


def play(lines: Sequence[Line]) -> Script:
    """Return a script in which *lines* are said; each says its place among them."""

    async def script(stage: Stage) -> None:
        stage.join(*MEMBERS)
        for number, line in enumerate(lines):
            await trio.sleep_until(stage.start + line.at)  # and wait for nobody else: let there be ties
            stage.say(line.src, line.dest, number)
        await stage.until(END)

    return script


def every(seconds: float, src: str, dest: str, count: int, start: float = 0.0) -> list[Line]:
    """Return *count* lines from *src* to *dest*."""
    return [Line(start + seconds * i, src, dest) for i in range(count)]


ROLES = {"n1": "nodes", "n2": "nodes", "n3": "nodes", "c1": "clients", "c2": "clients", "lin-kv": "services"}


def names(links: Links, src: str, dest: str) -> bool:
    """Tell whether the link from *src* to *dest* is one of *links*."""
    return bool({(s, d) for s in (src, ROLES[src], "all") for d in (dest, ROLES[dest], "all")} & set(links))


STEADY = sorted(
    every(0.03, "n1", "n2", 90)
    + every(0.04, "n2", "n1", 70)
    + every(0.05, "n1", "n3", 50)
    + every(0.07, "c1", "n1", 40)
)
MANY: list[Fault] = [
    Partition(at=0.51, until=1.01, links=[("n1", "n2")]),
    Loss(at=0.25, until=2.01, rate=0.3),
    Loss(at=1.01, until=2.51, rate=0.5, links=[("n1", "n2")]),
    Duplication(at=0.75, until=2.25, rate=0.4),
    Reordering(at=1.26, until=2.01, rate=0.5, seconds=0.3, links=[("n2", "n1")]),
    SlowLinks(at=0.11, until=0.61, extra=0.2, links=[("n1", "n3")]),
    SlowLinks(at=1.51, until=1.81, factor=3, links=[("nodes", "nodes")]),
]
