"""What the tests of pictures share: journals written by hand, and what is to be found in a picture."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

import msgspec

from trio_messenger.sim._records.history import History, Op, OpType
from trio_messenger.sim._records.journal import Journal

MS = 1_000_000
S = 1_000_000_000
NASTY = "n<script>alert('1')</script>&\"\x00\x1b[0m"
"""Markup, and characters that XML does not have."""


class Events:
    """Writes a journal, at times in milliseconds."""

    def __init__(self) -> None:
        self.journal = Journal()
        self._ids = itertools.count()

    def send(self, at: float, src: str, dest: str, type_: str = "echo", **fields: Any) -> int:
        message = {"src": src, "dest": dest, "body": {"type": type_, **fields}}
        return self.send_raw(at, msgspec.json.encode(message))

    def send_raw(self, at: float, message: bytes) -> int:
        number = next(self._ids)
        self.journal.note(round(at * MS), "send", id=number, raw=msgspec.Raw(message))
        return number

    def note(self, at: float, event: Any, **fields: Any) -> None:
        self.journal.note(round(at * MS), event, **fields)

    def pass_(self, at: float, until: float, src: str, dest: str, type_: str = "echo", **fields: Any) -> int:
        """Send a message and deliver it, with nothing in between."""
        number = self.send(at, src, dest, type_, **fields)
        self.note(until, "deliver", id=number)
        return number


def parse(picture: str) -> ET.Element:
    """Return the root of an SVG document, without its namespace."""
    return ET.fromstring(picture.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1))


def having(root: ET.Element, *classes: str) -> list[ET.Element]:
    """Return the elements below *root* that have all of *classes*, without those of the legend."""
    legend = {id(each) for part in root.findall("g[@class='legend']") for each in part.iter()}
    return [
        each
        for each in root.iter()
        if set(classes) <= set((each.get("class") or "").split()) and id(each) not in legend
    ]


def messages(root: ET.Element) -> list[ET.Element]:
    return having(root, "m")


def title(of: ET.Element) -> str:
    text = of.findtext("title")
    assert text is not None
    return text


def ends(message: ET.Element) -> tuple[float, float, float, float]:
    """Return x and y of the beginning and of the end of an arrow."""
    for loop in message.findall("path"):
        x, (y1, y2) = float(loop.get("data-x", "")), map(float, loop.get("data-y", "").split())
        return x, y1, x, y2
    [line] = message.findall("line")
    x1, y1, x2, y2 = (float(line.get(name, "")) for name in ("x1", "y1", "x2", "y2"))
    return x1, y1, x2, y2


def texts(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter("text")]


def ops(*operations: tuple[float, float | None, str, OpType], **fields: Any) -> History:
    """Return a history of operations: when each began, how long it took, its function and outcome; in milliseconds."""
    found: list[tuple[int, int, OpType, str, int]] = []
    for process, (at, took, f, outcome) in enumerate(operations):
        found.append((round(at * MS), 0, "invoke", f, process))
        if took is not None:
            found.append((round((at + took) * MS), 1, outcome, f, process))
    return History(
        Op(index=index, time=time, type=type_, process=process, f=f, **(fields if type_ != "invoke" else {}))
        for index, (time, _, type_, f, process) in enumerate(sorted(found))
    )


def panels(root: ET.Element) -> dict[str | None, ET.Element]:
    """Return the panels of a chart, by their functions."""
    return {each.get("data-f"): each for each in having(root, "panel")}


def level(path: ET.Element) -> list[float]:
    """Return the heights of a line, from left to right."""
    return [float(y) for y in re.findall(r"(?:M[0-9.]+ |V)([0-9.]+)", path.get("d", ""))]
