"""The picture of the tutorial's chapter 3, from a simulated run of the board as its readers have it then.

``asking.svg``: a note on its way round three boards, and a client who reads while one of them waits.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import simulate
from trio_messenger.sim.pictures import space_time

BOARD = Path(__file__).parents[1] / "tutorial" / "03" / "board.py"


def build() -> Node:
    """Return the chapter's node; it does not know the message that clients begin with, so that is added here."""
    node = runpy.run_path(str(BOARD))["node"]
    node.on("topology")(lambda: {})
    return node


def asking() -> str:
    """Draw a note, from `broadcast` to `broadcast_ok`, with all that happens meanwhile."""
    report = simulate("broadcast", build, nodes=3, seed=176, rate=6, time_limit=2, latency=100, concurrency=4)
    return space_time(report.journal, since=0.91, until=1.32, scripted=False)


PICTURES = {"asking.svg": asking}
