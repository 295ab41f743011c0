"""Where the types of messages stand along their arrows, so that no two are in one place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, final

import attrs

from ._svg import text_width

SIZE: Final = 10.5
"""Pixels of their font."""

_STEEPEST: Final = 50
"""Degrees up to which a label lies along its arrow; on steeper ones it lies level."""

_HEAD: Final = 12
"""Pixels at both ends of an arrow that a label leaves free, for the arrow's head."""

_BAND: Final = 60
"""Pixels of a band; neighbours are looked for in three of them, in which only very long names find not all."""


Side: TypeAlias = Literal["above", "below"]
"""Requests have their labels above their arrows, replies below: between the two there is little room."""

_MIDDLE: Final[dict[Side, int]] = {"above": -8, "below": 7}
"""Pixels from an arrow down to the middle of its label."""


@final
@attrs.frozen
class Label:
    """Where a label is: the point of the arrow that it belongs to, and its slope in degrees."""

    x: float
    y: float
    angle: int
    side: Side


@final
class Labels:
    """Finds room for labels, and remembers where there is none any more.

    ``space_time.js`` does the same, with the same figures, when filters have moved the arrows.
    """

    def __init__(self) -> None:
        # Boxes by bands of the picture: the middle, half the width and half the height of each.
        self._taken: dict[int, list[tuple[float, float, float, float]]] = {}

    def place(
        self, text: str, start: tuple[float, float], end: tuple[float, float], gaps: int, side: Side
    ) -> Label | None:
        """Return where *text* has room on the arrow from *start* to *end*, which passes *gaps* gaps between columns.

        It lies in a gap, in the one nearest to the sender in which there is room, *side* its arrow. Returns None if
        there is none.
        """
        (x1, y1), (x2, y2) = start, end
        length = math.hypot(x2 - x1, y2 - y1)
        half = text_width(text, SIZE) / 2
        margin = (half + _HEAD) / length
        if margin > 0.5:  # noqa: PLR2004 - longer than the arrow
            return None
        slope = math.atan((y2 - y1) / (x2 - x1))
        angle = round(math.degrees(slope))
        if abs(angle) > _STEEPEST:
            slope, angle = 0.0, 0
        width, height = half * math.cos(slope), SIZE / 2 + half * abs(math.sin(slope))
        for gap in range(gaps):
            part = min(max((gap + 0.5) / gaps, margin), 1 - margin)
            x, y = x1 + (x2 - x1) * part, y1 + (y2 - y1) * part
            if self.take(x, y + _MIDDLE[side], width, height):
                return Label(round(x), round(y), angle, side)
        return None

    def take(self, x: float, y: float, half_width: float, half_height: float = SIZE / 2) -> bool:
        """Take a box around a point; tell whether it was free."""
        for other_x, other_y, other_width, other_height in self._near(y):
            if abs(x - other_x) < half_width + other_width and abs(y - other_y) < half_height + other_height:
                return False
        self._taken.setdefault(int(y // _BAND), []).append((x, y, half_width, half_height))
        return True

    def _near(self, y: float) -> Iterator[tuple[float, float, float, float]]:
        band = int(y // _BAND)
        for near in (band - 1, band, band + 1):
            yield from self._taken.get(near, ())
