"""The arrows of a space-time diagram: one for each passage of a message. The tooltip shows the message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

import msgspec

from ._flow import Passage, RawBody
from ._grid import Grid
from ._labels import SIZE, Label, Labels, Side
from ._svg import duration, escape, text_width

TOOLTIP_LIMIT: Final = 4_000
"""The maximum number of characters of a body in a tooltip. Maelstrom's clients read whole sets, which keep growing."""

_LOST_AT: Final = 0.78
"""The fraction of the way to the receiver at which the arrow of a lost message ends."""
_FLYING_TO: Final = 0.45
"""The fraction of the way at which the arrow ends if the message was still on its way when the run ended."""
_FLYING_DOWN: Final = 12
"""Pixels that such an arrow goes down."""
_TIP: Final = 2
"""Pixels between the tip of an arrow and the lifeline."""
_LOOP: Final = 30
"""Pixels between a lifeline and the arrow of a message that a node sends to itself."""

_BASELINES: Final[dict[Side, int]] = {"above": -4, "below": 11}
"""Pixels from an arrow down to the baseline of its label."""

_MARKED_KINDS: Final = ("client", "node", "service", "error")

MARKERS: Final = (
    "<defs>"
    + "".join(
        f'<marker id="to-{name}" class="{name}" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8"'
        ' markerUnits="userSpaceOnUse" orient="auto"><path d="M0 1L10 5L0 9z"/></marker>'
        f'<marker id="back-{name}" class="open {name}" viewBox="0 0 10 10" refX="9.4" refY="5" markerWidth="8"'
        ' markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M1 1L9 5L1 9"/></marker>'
        for name in _MARKED_KINDS
    )
    + "</defs>"
)
"""The heads of arrows: filled for requests, open for replies."""


@final
class Arrows:
    """Draws messages on a grid.

    Args:
      grid: The positions of all parts.
      faults: The description of each fault, by its index in the schedule.
      width: The width of the picture in pixels.
    """

    def __init__(self, grid: Grid, faults: Mapping[int, str], width: int) -> None:
        self._grid = grid
        self._faults = faults
        self._width = width
        self._labels = Labels()
        self._columns = {x: place for place, x in enumerate(sorted({life.x for life in grid.lives.values()}))}

    def draw(self, passages: Sequence[Passage]) -> Iterator[str]:
        """Yield an SVG group for each of *passages*."""
        for passage in passages:
            if passage.is_lost:
                self._take_room_for_reason(passage)
        for passage in passages:
            end = "" if passage.end is None else f' data-end="{self._time(passage.end.t)}"'
            yield (
                f'<g class="{_classes(passage)}" data-id="{passage.send.id}" data-type="{escape(passage.type)}"'
                f' data-from="{escape(passage.src)}" data-to="{escape(passage.dest)}"'
                f' data-at="{self._time(passage.send.t)}"{end}>'
                f"<title>{escape(self._tooltip(passage))}</title>{self._shape(passage)}</g>"
            )

    def _time(self, t: int) -> str:
        return self._grid.clock.text(t)

    def _tooltip(self, passage: Passage) -> str:
        copy = ", a duplicate" if passage.is_copy else ""
        return "\n".join(
            [
                f"{passage.src} → {passage.dest}  {passage.type}  (message {passage.send.id}{copy})",
                f"sent at {self._time(passage.send.t)} s, {self._fate(passage)}",
                *([passage.send.text] if passage.send.text else []),
                pretty(passage.body),
            ]
        )

    def _fate(self, passage: Passage) -> str:
        end = passage.end
        if end is None:
            return "still on its way at the end"
        after = f"at {self._time(end.t)} s, after {duration(end.t - passage.send.t)}"
        if end.event != "drop":
            return f"delivered {after}"
        fault = None if end.fault is None else self._faults.get(end.fault)
        return f"lost {after}: {end.reason}" + (f" ({fault})" if fault else "")

    def _ends(self, passage: Passage) -> tuple[int, int, int, int]:
        """Return x and y of an arrow's beginning, then x and y of its end."""
        x1, x2 = self._x(passage.src), self._x(passage.dest)
        y1 = self._grid.y[passage.send.i]
        if passage.end is None:
            return x1, y1, round(x1 + (x2 - x1) * _FLYING_TO), y1 + _FLYING_DOWN
        y2 = self._grid.y[passage.end.i]
        if passage.src == passage.dest:
            return x1, y1, x1 + (_LOOP if passage.is_lost else _TIP), y2
        if passage.is_lost:
            return x1, y1, round(x1 + (x2 - x1) * _LOST_AT), y2
        return x1, y1, x2 - _TIP if x2 > x1 else x2 + _TIP, y2

    def _x(self, name: str) -> int:
        return self._grid.lives[name].x

    def _shape(self, passage: Passage) -> str:
        x1, y1, x2, y2 = self._ends(passage)
        cross = self._cross(passage) if passage.is_lost else ""
        if passage.src == passage.dest:
            line = f"M{x1} {y1}h{_LOOP}V{y2}H{x1 + _TIP}"
            path = f'<path class="loop" d="{line}" data-x="{x1}" data-y="{y1} {y2}"/>'
            return path + cross + _text(passage.type, self._label_of_loop(passage.type, x1, (y1 + y2) / 2))
        gaps = abs(self._columns[self._x(passage.src)] - self._columns[self._x(passage.dest)])
        side: Side = "below" if passage.is_reply else "above"
        label = self._labels.place(passage.type, (x1, y1), (x2, y2), gaps, side)
        return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>{cross}{_text(passage.type, label)}'

    def _label_of_loop(self, text: str, x: int, y: float) -> Label | None:
        half = text_width(text, SIZE) / 2
        x += _LOOP + 4 + round(half)
        return Label(x, round(y) + 6, 0, "above") if self._labels.take(x, y, half) else None

    def _reason(self, passage: Passage) -> tuple[str, int]:
        """Return why a message was lost, and the side of the cross for this text: 1 for the right, -1 for the left.

        The text goes beyond the cross as seen from the sender, or before it at the edge of the picture.
        """
        assert passage.end is not None
        x1, _, x2, _ = self._ends(passage)
        why = passage.end.reason or "lost"
        right = 1 if x2 > x1 else -1
        is_inside = 0 < x2 + right * (text_width(why, SIZE) + 12) < self._width
        return why, right if is_inside else -right

    def _take_room_for_reason(self, passage: Passage) -> None:
        _, _, x, y = self._ends(passage)
        why, right = self._reason(passage)
        half = text_width(why, SIZE) / 2
        self._labels.take(x + right * (half + 8), y, half)

    def _cross(self, passage: Passage) -> str:
        """Draw a cross where a message was lost, with the reason."""
        _, _, x, y = self._ends(passage)
        why, right = self._reason(passage)
        anchor = "" if right > 0 else ' text-anchor="end"'
        return (
            f'<g class="end" data-y="{y}"><path d="M{x - 4} {y - 4}l8 8m0-8l-8 8"/>'
            f'<text x="{x + right * 8}" y="{y + 4}"{anchor}>{why}</text></g>'
        )


def _classes(passage: Passage) -> str:
    flags = {
        "error": passage.is_error,
        "reply": passage.is_reply,
        "lost": passage.is_lost,
        "copy": passage.is_copy,
        "flying": passage.end is None,
    }
    return " ".join(["m", passage.kind, *(name for name, holds in flags.items() if holds)])


def _text(text: str, label: Label | None) -> str:
    """Return *text* at the position of *label*; an empty text if there is no label."""
    if label is None:
        return ""
    place = f"translate({label.x} {label.y})" + (f" rotate({label.angle})" if label.angle else "")
    return f'<text class="type" transform="{place}" y="{_BASELINES[label.side]}">{escape(text)}</text>'


def pretty(body: RawBody) -> str:
    """Return *body* as JSON with one field per line; shortened if it is very long."""
    lines = [
        f"  {msgspec.json.encode(name).decode()}: {msgspec.json.format(value, indent=0).decode()}"
        for name, value in body.items()
    ]
    text = "{\n" + ",\n".join(lines) + "\n}"
    if len(text) <= TOOLTIP_LIMIT:
        return text
    return f"{text[:TOOLTIP_LIMIT]}…\n({len(text):,} characters; journal.jsonl has all of them)"
