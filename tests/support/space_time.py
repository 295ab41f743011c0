"""Space-time diagrams of small runs, and what is in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from support.pictures import Events, having, messages, parse, texts
from trio_messenger.sim.pictures import space_time


def drawn(events: Events, **arguments: Any) -> ET.Element:
    return parse(space_time(events.journal, **arguments))


def types(root: ET.Element) -> list[str | None]:
    return [message.get("data-type") for message in messages(root)]


def lifeline(root: ET.Element, name: str) -> list[tuple[str | None, float, float]]:
    """Return the parts of a lifeline: what each is, where it begins and where it ends."""
    [life] = [each for each in having(root, "life") if each.get("data-name") == name]
    return [(line.get("class"), float(line.get("y1", "")), float(line.get("y2", ""))) for line in life]


def footer(root: ET.Element) -> list[str]:
    [group] = having(root, "footer")
    return texts(group)


def small() -> Events:
    """Return a journal with a message of each kind."""
    events = Events()
    events.note(0, "start", node="n1")
    events.note(0, "start", node="n2")
    events.pass_(0, 0, "c1", "n1", "add", element=3, msg_id=1)
    events.pass_(1, 6, "n1", "n2", "gossip", elements=[1, 2, 3], msg_id=1)
    events.pass_(7, 12, "n1", "lin-kv", "cas", key="k", msg_id=2)
    events.pass_(12, 17, "lin-kv", "n1", "error", code=22, in_reply_to=2)
    events.pass_(17, 17, "n1", "c1", "add_ok", in_reply_to=1, msg_id=3)
    return events


def busy() -> Events:
    """Return a journal with faults of links and of nodes."""
    events = Events()
    events.note(0, "start", node="n1")
    events.note(0, "start", node="n2")
    events.pass_(0, 0, "c0", "n1", "init")
    events.note(0, "ready", node="n1")
    events.pass_(1, 2, "n1", "n2")
    events.note(10, "begin", fault=0, text="partition n1 -> n2; n2 -> n1")
    events.pass_(11, 12, "n1", "n1")
    events.note(20, "end", fault=0)
    events.note(30, "begin", fault=1, text="kill n2")
    events.note(30, "kill", node="n2", fault=1)
    lost = events.send(31, "n1", "n2")
    events.note(32, "drop", id=lost, reason="down")
    events.note(40, "end", fault=1)
    events.note(40, "start", node="n2")
    events.note(50, "begin", fault=2, text="pause n1")
    events.note(50, "pause", node="n1", fault=2)
    events.note(55, "pause", node="n1", fault=4)  # one who pauses cannot pause
    events.pass_(51, 52, "n2", "n1")
    events.note(60, "resume", node="n1")
    events.note(70, "begin", fault=3, text="loss between all nodes rate=0.5")
    events.pass_(71, 75, "n2", "n1")
    events.note(80, "exit", node="n2", text="died: ValueError: <x>")
    events.pass_(90, 95, "n1", "c0")
    return events


def many(count: int) -> Events:
    events = Events()
    for number in range(count):
        events.pass_(number, number + 0.5, "n1", f"n{2 + number % 3}", msg_id=number)
    return events
