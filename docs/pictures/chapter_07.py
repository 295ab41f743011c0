"""The picture of the tutorial's chapter 7, from a simulated run of the board as its readers have it then.

``again.svg``: a note that is told three times, because an answer and then a request are lost, and pinned once.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import simulate
from trio_messenger.sim.pictures import space_time

BOARD = Path(__file__).parents[1] / "tutorial" / "07" / "board.py"


def build() -> Node:
    """Return the chapter's node; it does not know the message that clients begin with, so that is added here."""
    node = runpy.run_path(str(BOARD))["node"]
    node.on("topology")(lambda: {})
    return node


def again() -> str:
    """Draw one broadcast, from the client's request to `broadcast_ok`; the client's next request comes right then."""
    report = simulate("broadcast", build, nodes=2, seed=44, rate=1, time_limit=4, latency=100, loss=0.4, concurrency=1)
    return space_time(
        report.journal, since=1.35, until=2.9, only=["broadcast", "broadcast_ok", "nodes"], scripted=False
    )


PICTURES = {"again.svg": again}
