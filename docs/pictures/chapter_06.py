"""The picture of the tutorial's chapter 6, from a simulated run of the board as its readers have it then.

``silence.svg``: two broadcasts whose RPC is reaped; of one the network loses the answer, of the other the request.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import simulate
from trio_messenger.sim.pictures import space_time

BOARD = Path(__file__).parents[1] / "tutorial" / "06" / "board.py"


def build() -> Node:
    """Return the chapter's node; it does not know the message that clients begin with, so that is added here."""
    node = runpy.run_path(str(BOARD))["node"]
    node.on("topology")(lambda: {})
    return node


def silence() -> str:
    """Draw both broadcasts, each from the client's request to the error that it is answered with."""
    report = simulate("broadcast", build, nodes=2, seed=195, rate=2.5, time_limit=4, latency=100, loss=0.4)
    return space_time(report.journal, since=2.59, until=3.65, scripted=False)


PICTURES = {"silence.svg": silence}
