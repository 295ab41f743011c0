"""The picture of the tutorial's chapter 10, from the run that its readers make: one message that arrives twice.

``doubled.svg``: `n1` tells `n2` of four guests, and `n2` receives the message twice.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import simulate
from trio_messenger.sim.pictures import space_time

COUNTER = Path(__file__).parents[1] / "tutorial" / "10" / "counter_wrong.py"


def build() -> Node:
    """Return the chapter's node before the fix."""
    return runpy.run_path(str(COUNTER))["node"]


def doubled() -> str:
    """Draw the time in which the second copy is delivered."""
    report = simulate("g-counter", build, nodes=3, seed=13, latency=100, time_limit=10, nemesis=["duplicate"])
    return space_time(report.journal, since=1.75, until=2.45, scripted=False)


PICTURES = {"doubled.svg": doubled}
