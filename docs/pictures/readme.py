"""The picture of the README, from the run that its reader shrinks to: one seed, and one partition of a quarter second.

``board.svg``: n1 tells n0 and n2 a message. The partition drops the one to n0, and n1 acknowledges the message.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import Journal, Partition, simulate
from trio_messenger.sim.pictures import space_time

BOARD = Path(__file__).parents[1] / "demo" / "board.py"
FAULT = Partition(at=10.25, until=10.5, links=[("n1", "n0")])
MESSAGE = 23


def build() -> Node:
    """Return the node of the README."""
    return runpy.run_path(str(BOARD))["node"]


def board() -> str:
    """Draw what was said of the message, and nothing else."""
    report = simulate("broadcast", build, nodes=["n0", "n1", "n2"], seed=7, latency=20, faults=[FAULT])
    wanted = set(about_the_message(report.journal))
    entries = [entry for entry in report.journal if entry.id is None or entry.id in wanted]
    return space_time(entries, since=10.2, until=11.0, scripted=False)


def about_the_message(journal: Journal) -> Iterator[int]:
    """Yield the numbers of the requests that carry the message, and of the replies to them."""
    asked: set[tuple[str, str, int]] = set()  # who asked whom, by msg_id
    for entry in journal:
        if entry.event == "send":
            message = json.loads(bytes(entry.raw))
            src, dest, body = message["src"], message["dest"], message["body"]
            if body.get("message") == MESSAGE:
                asked.add((src, dest, body["msg_id"]))
                yield entry.id
            elif (dest, src, body.get("in_reply_to")) in asked:
                yield entry.id


PICTURES = {"board.svg": board}
