"""The picture of the tutorial's chapter 8, from the run that its readers shrink to: one seed, and one partition.

``lost.svg``: a note that is told six times into a partition that lasts longer than that, and then never again.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

from trio_messenger import Node
from trio_messenger.sim import Journal, Partition, simulate
from trio_messenger.sim.pictures import space_time

BOARD = Path(__file__).parents[1] / "tutorial" / "08" / "board_wrong.py"
FAULT = Partition(at=8.5, until=14.5, links=[("n3", "n1")])
NOTE = 16
READ_AT = 14.5  # seconds; the next read of n1 shows that the note is not there


def build() -> Node:
    """Return the chapter's node before the fix."""
    return runpy.run_path(str(BOARD))["node"]


def lost() -> str:
    """Draw what was said of the note, and the first read of `n1` after the partition; no other messages."""
    report = simulate("broadcast", build, nodes=3, seed=14, latency=100, time_limit=30, faults=[FAULT])
    wanted = set(about_the_note(report.journal))
    entries = [entry for entry in report.journal if entry.id is None or entry.id in wanted]
    return space_time(entries, since=8.4, until=15.5, scripted=False)


def about_the_note(journal: Journal) -> Iterator[int]:
    """Give the numbers of the messages to draw: requests, and their answers."""
    asked: set[tuple[str, str, int]] = set()  # who asked whom, by msg_id
    was_read = False
    for entry in journal:
        if entry.event != "send":
            continue
        message = json.loads(bytes(entry.raw))
        src, dest, body = message["src"], message["dest"], message["body"]
        first_read = not was_read and entry.t > READ_AT * 1e9 and (dest, body["type"]) == ("n1", "read")
        if first_read or body.get("message") == NOTE:
            was_read |= first_read
            asked.add((src, dest, body["msg_id"]))
            yield entry.id
        elif (dest, src, body.get("in_reply_to")) in asked:
            yield entry.id


PICTURES = {"lost.svg": lost}
