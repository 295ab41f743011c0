"""The layout of a space-time diagram: a column for each lifeline, a row for each event.

Time runs downwards, but not to scale: simultaneous events would overlap, and long waits would leave the page empty. So
each event has its own row, in the order of the journal. The distance between rows is proportional to time only between
a minimum and a maximum. A longer wait is *folded*. The labels of the axis show the times.

Each node and each service has its own column. Clients are many and short-lived (in Maelstrom each ``init`` has its own
client), so clients whose lives do not overlap share a column.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from statistics import median_low
from typing import Final, final

import attrs

from .._records.journal import Entry
from .._services import SERVICES
from ._flow import Flow, Kind, natural
from ._svg import Clock, shorten, text_width

WIDTH: Final = 700
"""The desired width of a diagram in pixels, to fit a page of documentation; many columns need more."""

HEADS: Final = 30
"""Pixels for the names at the top."""

NAME: Final = 90
"""The maximum width of a name in pixels."""

_USUAL: Final = 18
"""Pixels for the median wait between two events."""
_LINEAR: Final = 40
"""The greatest distance in pixels that is to scale; above it, each doubling adds `_DOUBLING`, up to `_MOST`."""
_DOUBLING: Final = 8
_MOST: Final = 72
_FOLDED: Final = 160
"""A wait is marked as folded if it would take more pixels than this to scale."""
_SAME_HAND: Final = 4
"""Pixels between a delivery and a message that the receiver sends at the same instant."""
_LATE_HEAD: Final = 32
"""Pixels for the name of a client that reuses the column of an earlier client."""
_TEXT: Final = 24
"""Pixels for the text below the beginning of a fault."""
_FEWEST_PITCH, _MOST_PITCH = 54, 130  # pixels between columns
_BETWEEN_GROUPS: Final = 12
_BESIDE: Final = 34
"""Pixels to the left of the first column, and to the right of the last."""

EARLIER: Final = 20
"""Pixels at the top for the text of a fault that began before the window."""

_STEPS: Final = {"send": 9, "deliver": 9, "drop": 9, "ready": 0, "begin": 24, "end": 12}
"""The minimum distance in pixels above each event; other events of nodes have `_STEP`."""
_STEP: Final = 18


@final
@attrs.frozen(kw_only=True)
class Lifeline:
    """The lifeline of a participant: a client, node or service."""

    name: str
    kind: Kind
    lane: int
    """The number of its column, from 0."""
    x: int
    top: int
    bottom: int
    is_late: bool
    """Whether its name is at its beginning, not at the top of the picture."""


@final
@attrs.frozen
class Row:
    """One event."""

    entry: Entry
    y: int
    is_folded: bool
    """Whether the wait before it is folded: longer than its distance shows."""


@final
@attrs.frozen(kw_only=True)
class Grid:
    """The positions of all lifelines and events."""

    lives: dict[str, Lifeline]
    rows: list[Row]
    y: dict[int, int]
    """The y of each entry that has a row, by its index in the journal."""
    gutter: int
    """Pixels for the times at the left."""
    width: int
    top: int
    """The y where the lifelines begin."""
    bottom: int
    clock: Clock

    def y_of(self, entry: Entry | None) -> int:
        """Return the y of *entry*: that of its row, or of the edge beyond which it lies; the bottom if it is None."""
        if entry is None:
            return self.bottom
        if entry.i in self.y:
            return self.y[entry.i]
        return self.bottom if self.rows and entry.i > self.rows[0].entry.i else self.top


def lay_out(flow: Flow, top: int) -> Grid:
    """Return the positions of all parts of *flow*, with the names at *top*."""
    entries = _entries(flow)
    places = {entry.i: place for place, entry in enumerate(entries)}
    spans = _spans(flow, places)
    lanes = _lanes(flow, spans)
    late = {spans[name][0] for names in lanes for name in names[1:]}
    earlier = sum(fault.begin.i not in places for fault in flow.faults if not fault.is_of_nodes)
    rows = _rows(entries, late, _hands(flow), top + HEADS + EARLIER * earlier)
    clock = Clock.of(entry.t for entry in entries)
    times = [clock.text(row.entry.t) for row in (*rows[:1], *rows[-1:])]  # the first may be negative
    gutter = 24 + math.ceil(max(map(text_width, ["seconds", *times])))
    xs = _xs([names[0] for names in lanes], flow, gutter)
    bottom = (rows[-1].y if rows else top + HEADS) + 16
    grid = Grid(
        lives={},
        rows=rows,
        y={row.entry.i: row.y for row in rows},
        gutter=gutter,
        width=max(xs, default=gutter) + _BESIDE,
        top=top + HEADS - 8,
        bottom=bottom,
        clock=clock,
    )
    for lane, names in enumerate(lanes):
        for place, name in enumerate(names):
            first, last = spans[name]
            grid.lives[name] = Lifeline(
                name=name,
                kind=flow.kinds[name],
                lane=lane,
                x=xs[lane],
                top=rows[first].y - 12 if place else grid.top,
                bottom=rows[last].y + 8 if place + 1 < len(names) else bottom,
                is_late=place > 0,
            )
    return grid


def _entries(flow: Flow) -> list[Entry]:
    """Return the entries that get a row, in order: not a node's first start, and not events that lifelines show."""
    found = {passage.send.i: passage.send for passage in flow.passages}
    found |= {passage.end.i: passage.end for passage in flow.passages if passage.end is not None}
    restarts = {span.end.i for span in flow.conditions if span.end is not None}
    on_lifelines = {fault.index for fault in flow.faults if fault.is_of_nodes}
    for entry in flow.events:
        is_first_start = entry.event == "start" and entry.i not in restarts
        is_shown_elsewhere = entry.event in ("begin", "end") and entry.fault in on_lifelines
        if not is_first_start and not is_shown_elsewhere:
            found[entry.i] = entry
    return [found[i] for i in sorted(found)]


def _spans(flow: Flow, places: dict[int, int]) -> dict[str, tuple[int, int]]:
    """Return the places of the first and the last event of each participant."""
    spans: dict[str, tuple[int, int]] = {}

    def touch(name: str, entry: Entry) -> None:
        place = places.get(entry.i, 0)
        first, last = spans.get(name, (place, place))
        spans[name] = (min(first, place), max(last, place))

    for passage in flow.passages:
        touch(passage.src, passage.send)
        touch(passage.dest, passage.end or passage.send)
    for entry in flow.events:
        if entry.node is not None:
            touch(entry.node, entry)
    return spans


def _lanes(flow: Flow, spans: dict[str, tuple[int, int]]) -> list[list[str]]:
    """Return the names in each column, from left to right: clients by first event, nodes by name, services in order."""
    lanes: list[list[str]] = []
    for name in sorted((name for name, kind in flow.kinds.items() if kind == "client"), key=spans.__getitem__):
        free = next((lane for lane in lanes if spans[lane[-1]][1] < spans[name][0]), None)
        if free is None:
            lanes.append([name])
        else:
            free.append(name)
    order = list(SERVICES)
    others = {name: kind for name, kind in flow.kinds.items() if kind != "client"}
    nodes = sorted((name for name, kind in others.items() if kind == "node"), key=natural)
    services = sorted((name for name, kind in others.items() if kind == "service"), key=order.index)
    return [*lanes, *([name] for name in nodes), *([name] for name in services)]


def _hands(flow: Flow) -> dict[int, str]:
    """Return the participant at which each sending, delivery and loss is drawn, by its index in the journal."""
    hands = {passage.send.i: passage.src for passage in flow.passages}
    return hands | {passage.end.i: passage.dest for passage in flow.passages if passage.end is not None}


def _rows(entries: Sequence[Entry], late: Collection[int], hands: dict[int, str], y: int) -> list[Row]:
    waits = [after.t - before.t for before, after in pairwise(entries)]
    usual = median_low([wait for wait in waits if wait > 0] or [1])
    rows = [Row(entry, y, False) for entry in entries[:1]]
    for place, (before, after) in enumerate(pairwise(entries), start=1):
        step = _STEPS.get(after.event, _STEP)
        is_same_hand = before.event == "deliver" and after.event == "send" and hands[before.i] == hands[after.i]
        if is_same_hand and before.t == after.t:
            step = _SAME_HAND
        if place in late:
            step += _LATE_HEAD
        if before.event == "begin":
            step += _TEXT
        to_scale = _USUAL * (after.t - before.t) / usual
        y += round(max(step, _squeezed(to_scale)))
        rows.append(Row(after, y, to_scale > _FOLDED))
    return rows


def _squeezed(pixels: float) -> float:
    if pixels <= _LINEAR:
        return pixels
    return min(_MOST, _LINEAR + _DOUBLING * math.log2(pixels / _LINEAR))


def _xs(names: Sequence[str], flow: Flow, gutter: int) -> list[int]:
    """Return the x of each column, given the names at the tops of the columns."""
    breaks = [flow.kinds[before] != flow.kinds[after] for before, after in pairwise(names)]
    widest = max((text_width(shorten(name, NAME, 12), 12) + 18 for name in names), default=0)
    room = WIDTH - gutter - 2 * _BESIDE - _BETWEEN_GROUPS * sum(breaks)
    pitch = max(_FEWEST_PITCH, widest, min(_MOST_PITCH, room / max(1, len(breaks))))
    xs = [gutter + _BESIDE] if names else []
    for is_break in breaks:
        xs.append(round(xs[-1] + pitch + _BETWEEN_GROUPS * is_break))
    return xs
