"""The positions of the labels (types of messages) along the arrows, so that labels do not overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, final

import attrs

from ._svg import text_width

SIZE: Final = 10.5
"""The font size in pixels."""

_STEEPEST: Final = 50
"""The steepest angle in degrees at which a label follows its arrow; on steeper arrows it is horizontal."""

_HEAD: Final = 12
"""Pixels at both ends of an arrow that a label leaves free, for the head of the arrow."""

_BAND: Final = 60
"""The height of a band in pixels. The search for neighbours covers three bands; it can miss only very long labels."""


Side: TypeAlias = Literal["above", "below"]
"""Requests have their labels above the arrow, replies below, because there is little room between the two."""

_MIDDLE: Final[dict[Side, int]] = {"above": -8, "below": 7}
"""Pixels from an arrow down to the middle of its label."""


@final
@attrs.frozen
class Label:
    """The position of a label: a point on its arrow, its angle in degrees, and the side of the arrow."""

    x: float
    y: float
    angle: int
    side: Side


@final
class Labels:
    """Finds room for labels, and remembers the occupied places.

    ``space_time_layout.js`` does the same, with the same numbers, after filters have moved the arrows.
    """

    def __init__(self) -> None:
        # Boxes by bands of the picture; a box is x and y of its middle, half its width and half its height.
        self._taken: dict[int, list[tuple[float, float, float, float]]] = {}

    def place(
        self, text: str, start: tuple[float, float], end: tuple[float, float], gaps: int, side: Side
    ) -> Label | None:
        """Return a place for *text* on the arrow from *start* to *end*, which crosses *gaps* gaps between columns.

        The place is in the gap nearest to the sender that has room, above or below the arrow (*side*). Returns None if
        no gap has room.
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
        """Reserve a box around a point if it is free; tell whether it was."""
        for other_x, other_y, other_width, other_height in self._near(y):
            if abs(x - other_x) < half_width + other_width and abs(y - other_y) < half_height + other_height:
                return False
        self._taken.setdefault(int(y // _BAND), []).append((x, y, half_width, half_height))
        return True

    def _near(self, y: float) -> Iterator[tuple[float, float, float, float]]:
        band = int(y // _BAND)
        for near in (band - 1, band, band + 1):
            yield from self._taken.get(near, ())
