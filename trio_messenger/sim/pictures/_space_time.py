"""The space-time diagram of a run: lifelines, arrows for messages, bands for faults. Time runs downwards.

It is one SVG file that needs no other files. Where scripts do not run, as in an ``<img>``, it is a plain picture. In a
browser tab of its own, its script adds filters, a window of time, zoom and an overview. The script finds the data of
each message in ``data-`` attributes of the message's group.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from .._records.journal import Entry
from ._arrows import MARKERS, Arrows
from ._flow import FaultSpan, Flow, NodeSpan, Passage, read_flow
from ._grid import EARLIER, NAME, Grid, Lifeline, lay_out
from ._svg import asset, document, element, escape, plural, shorten, text_width

LIMIT: Final = 10_000
"""The default maximum number of messages in a diagram: with more, browsers take seconds to open it."""

SCRIPTS: Final = ("search.js", "space_time_controls.js", "space_time_layout.js", "space_time.js")
"""The files of the script, in this order: each uses what those before it define."""

_TOP: Final = 34
"""Pixels above the names, for the legend."""
_LINE: Final = 18
"""Pixels from one line of text to the next."""
_LEAST_WIDTH: Final = 420
_TIMES: Final = 13
"""The minimum distance in pixels between two times on the axis."""

_EVENTS: Final = {
    "kill": "killed",
    "exit": "ended",
    "start": "restarted",
    "pause": "paused",
    "resume": "resumed",
    "ready": "ready",
}
"""The text next to the mark of each event of a node."""

_LEGEND: Final = {
    "client": "clients",
    "node": "between nodes",
    "service": "services",
    "error": "errors",
    "lost": "lost",
    "copy": "duplicates",
}
"""The text next to the sample of each class of arrows."""


def space_time(
    journal: Iterable[Entry],
    *,
    since: float | None = None,
    until: float | None = None,
    only: Collection[str] | None = None,
    search: str = "",
    limit: int = LIMIT,
    title: str = "",
    command: str = "trio-messenger diagram DIR",
    scripted: bool = True,
) -> str:
    """Draw the messages of a run.

    Args:
      journal: The run's `~trio_messenger.sim.Journal`.
      since: The beginning of the window, in seconds of the main phase; negative in the set-up before it. Messages sent
        earlier are left out unless they arrive or get lost in the window. None for the beginning of the run.
      until: The end of the window, in the same seconds. Messages sent later are left out. None for the end of the run.
      only: Draw messages that match at least one of these words: ``clients``, ``nodes`` or ``services`` (messages
        between them), ``errors``, ``lost``, ``duplicates``, the id of the sender or the receiver, a type. None for all.
      search: Draw messages that match all these words: in the type, as the id of the sender or receiver, or in the body
        (``message:17``). The prefixes ``type:``, ``node:``, ``from:`` and ``to:`` say where to search.
      limit: The maximum number of messages: the first ones are drawn. The picture says if others are left out.
      title: The title above the picture; empty for none.
      command: The command that draws this journal. If messages are left out, the picture shows how to continue with it.
      scripted: Whether the picture contains the script that filters and zooms, less than 30 kB.

    Returns:
      An SVG document, the same for the same arguments. It fits a page of 700 pixels unless there are many columns.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=1)
      >>> picture = pictures.space_time(report.journal, since=0, until=0.5, only=["clients"], scripted=False)
      >>> picture[:4], "echo_ok" in picture
      ('<svg', True)
    """
    return draw_flow(
        read_flow(journal, since, until, only, search, limit), title=title, command=command, scripted=scripted
    )


def draw_flow(flow: Flow, *, title: str, command: str, scripted: bool = True) -> str:
    """Draw the messages in *flow*; see `space_time`."""
    top = _TOP + (_LINE if title else 0)
    grid = lay_out(flow, top)
    width = max(_LEAST_WIDTH, grid.width)
    texts = {fault.index: fault.text for fault in flow.faults}
    footer = list(_footer(flow, grid, command))
    drawn, totals = len({passage.send.i for passage in flow.passages}), flow.totals
    shown = f"{drawn:,} of {plural(totals.messages, 'message')}" if flow.left_out else plural(drawn, "message")
    content = [
        MARKERS,
        element("text", escape(title), class_="title", x=16, y=24),
        _group("legend", _legend(flow, top - 14)),
        _group("bands", _bands(flow, grid, width)),
        _group("lives", (_life(life, flow.conditions, grid) for life in grid.lives.values())),
        _group("axis", _axis(grid)),
        _group(
            "messages",
            Arrows(grid, texts, width).draw(flow.passages),
            data_total=totals.messages,
            data_error=totals.errors,
            data_lost=totals.lost,
            data_copy=totals.duplicates,
        ),
        _group("marks", _marks(flow, grid, texts, width)),
        _group("heads", map(_head, grid.lives.values()), data_top=grid.top, data_bottom=grid.bottom),
        _group(
            "footer",
            (element("text", escape(line), x=16, y=grid.bottom + _LINE * n) for n, line in enumerate(footer, start=1)),
        ),
    ]
    if scripted:
        content.append(f"<script><![CDATA[\n{''.join(map(asset, SCRIPTS))}]]></script>")
    height = grid.bottom + _LINE * len(footer) + 12
    return document("space_time", width, height, f"Space-time diagram of {shown}", content)


def _group(name: str, content: Iterable[str], **attributes: float) -> str:
    return element("g", "\n", "\n".join(content), class_=name, **attributes)


def _legend(flow: Flow, y: int) -> Iterator[str]:
    """Yield a sample of each class of arrows in the picture, in one line."""
    x = 16
    found = {name for passage in flow.passages for name in _classes(passage)}
    for name, text in _LEGEND.items():
        if name in found:
            yield element("g", element("line", x1=x, y1=y - 4, x2=x + 20, y2=y - 4), class_=f"m {name}")
            yield element("text", text, x=x + 26, y=y)
            x += round(42 + text_width(text))


def _classes(passage: Passage) -> Iterator[str]:
    yield "error" if passage.is_error else passage.kind
    if passage.is_lost:
        yield "lost"
    if passage.is_copy:
        yield "copy"


def _bands(flow: Flow, grid: Grid, width: int) -> Iterator[str]:
    """Yield a band for each fault of links; lifelines show the faults of nodes."""
    x = grid.gutter - 6
    earlier = 0
    for fault in flow.faults:
        if fault.is_of_nodes:
            continue
        top, bottom = grid.y_of(fault.begin), grid.y_of(fault.end)
        is_earlier = fault.begin.i not in grid.y
        yield element(
            "g",
            element("title", escape(_when(fault, grid))),
            element("rect", x=x, y=top, width=width - x - 6, height=bottom - top),
            element("path", d=f"M{x} {top}h3V{bottom}h-3z"),
            element("text", escape(shorten(fault.text, width - x - 20)), x=x + 9, y=top + 14 + EARLIER * earlier),
            class_="band",
            data_fault=fault.index,
            data_begin=grid.clock.text(fault.begin.t),
            data_end=None if fault.end is None else grid.clock.text(fault.end.t),
        )
        earlier += is_earlier


def _when(fault: FaultSpan, grid: Grid) -> str:
    begin = grid.clock.text(fault.begin.t)
    end = "the end" if fault.end is None else f"{grid.clock.text(fault.end.t)} s"
    return f"{fault.text}\nfrom {begin} s until {end}"


def _life(life: Lifeline, conditions: Sequence[NodeSpan], grid: Grid) -> str:
    """Return a lifeline: dotted while its node is down, thick while it is paused."""
    parts = []
    top = life.top
    for span in conditions:
        if span.node == life.name:
            begin, end = grid.y_of(span.begin), grid.y_of(span.end)
            parts += [_line("up", life.x, top, begin), _line(span.condition, life.x, begin, end)]
            top = end
    parts.append(_line("up", life.x, top, life.bottom))
    return element("g", *parts, class_=f"life {life.kind}", data_name=life.name)


def _line(name: str, x: int, top: int, bottom: int) -> str:
    return element("line", class_=name, x1=x, y1=top, x2=x, y2=bottom) if bottom > top else ""


def _axis(grid: Grid) -> Iterator[str]:
    """Yield the time of each instant, where there is room."""
    x = grid.gutter - 12
    last_y, last_t = 0, -math.inf
    what = element("title", "since the main phase began; before that, in the set-up, times are negative")
    yield element("text", what, "seconds", class_="unit", x=x, y=grid.top - 9)
    for row in grid.rows:
        if row.is_folded:
            what = element("title", "a longer wait, folded")
            yield element("text", what, "⋮", class_="fold", x=x, y=row.y - 22, data_y=row.y)
        if row.entry.t > last_t and row.y >= last_y + _TIMES:
            yield element("text", grid.clock.text(row.entry.t), class_="time", x=x, y=row.y + 4)
            last_y, last_t = row.y, row.entry.t


def _marks(flow: Flow, grid: Grid, texts: dict[int, str], width: int) -> Iterator[str]:
    """Yield a mark for each event of a node, on its lifeline."""
    for entry in flow.events:
        if entry.node is None or entry.i not in grid.y:
            continue
        x, y = grid.lives[entry.node].x, grid.y[entry.i]
        told, time = _EVENTS[entry.event], grid.clock.text(entry.t)
        why = entry.text or ("" if entry.fault is None else texts.get(entry.fault, ""))
        title = f"{entry.node}: {told} at {time} s" + (f"\n{why}" if why else "")
        if entry.event in ("kill", "exit"):
            sign = element("path", d=f"M{x - 5} {y - 5}l10 10m0-10l-10 10")
        else:
            sign = element("circle", cx=x, cy=y, r=3)
        parts = [element("title", escape(title)), sign]
        if entry.event != "ready":
            is_inside = x + 9 + text_width(told) < width
            anchor = None if is_inside else "end"
            parts.append(element("text", told, x=x + 9 if is_inside else x - 9, y=y + 4, text_anchor=anchor))
        yield element("g", *parts, class_=f"mark {entry.event}", data_name=entry.node, data_at=time, data_y=y)


def _head(life: Lifeline) -> str:
    """Return the name at the top of a lifeline."""
    name = shorten(life.name, NAME, 12)
    width = round(text_width(name, 12)) + 14
    y = life.top - 20
    return element(
        "g",
        element("title", escape(life.name)),
        element("rect", x=life.x - width / 2, y=y, width=width, height=20, rx=5),
        element("text", escape(name), x=life.x, y=y + 14),
        class_=f"head {life.kind}",
        data_name=life.name,
        data_lane=life.lane,
        data_y=y,
    )


def _footer(flow: Flow, grid: Grid, command: str) -> Iterator[str]:
    """Yield the lines of text below the diagram."""
    if not flow.passages:
        yield "No message was sent in this window of time."
    if grid.rows and grid.rows[0].entry.t < 0:
        yield "Times count from when the main phase began: before that, in the set-up, they are negative."
    if any(row.is_folded for row in grid.rows):
        yield "Time runs down, not to scale: long waits are folded (⋮)."
    if flow.left_out_from is not None:
        rest, verb = plural(flow.left_out, "more message"), "is" if flow.left_out == 1 else "are"
        since = grid.clock.down(flow.left_out_from)
        drawn, total = len({passage.send.i for passage in flow.passages}), flow.totals.messages
        chosen = f"{drawn + flow.left_out:,}"  # fewer than the total if a window or filter is set
        of_run = "" if drawn + flow.left_out == total else f", of {total:,} in the whole run"
        yield f"These are {drawn:,} of {chosen} messages{of_run}. {rest} from {since} s on {verb} left out. For those:"
        yield f"{command} --since {since}"
