"""The common part of charts over time: a panel for each function, one scale for all, and the faults of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol, final

import attrs

from .._records.history import Operation, OpType
from .._records.journal import Entry
from ._flow import FaultSpan, faults
from ._scales import Times
from ._svg import NS, document, element, escape, shorten, text_width

CHART_WIDTH: Final = 720
LEFT: Final = 62
RIGHT: Final = CHART_WIDTH - 74

OUTCOMES: Final[tuple[OpType, ...]] = ("ok", "info", "fail")
"""In drawing order: failures come last, so they are on top."""

_CHART_TOP: Final = 40
"""Pixels for the legend."""
_PANEL: Final = 150
_BETWEEN: Final = 34
"""Pixels above each panel, for its name."""
_UNIT: Final = 15
"""Pixels from the times below the last panel to the text that explains them."""
_LANE: Final = 15
"""Pixels from one row of faults to the next."""
_LANES: Final = 4
"""The maximum number of rows of faults."""
_PER_WINDOW: Final = 25
"""The approximate number of operations in a time window; each window has its own figures."""
_WINDOWS: Final = 40
"""The maximum number of windows."""


class Scale(Protocol):
    """The vertical scale of a panel; all positions are y coordinates in pixels."""

    @property
    def top(self) -> float:
        """The position of the greatest value."""

    @property
    def bottom(self) -> float:
        """The position of the least value."""

    def y(self, value: float) -> float:
        """Return the position of *value*."""

    def ticks(self) -> Iterator[float]:
        """Yield the values that have a line and a label."""


@final
@attrs.frozen(kw_only=True)
class Panel:
    """The part of a chart for one function."""

    f: str
    """The function."""
    operations: Sequence[Operation]
    """Its operations; their counts appear next to its name."""
    scale: Callable[[float, float], Scale]
    """Makes the scale, given the top and the bottom of the panel."""
    label: Callable[[float], str]
    """Returns the label for a value of the scale."""
    draw: Callable[[Times, Scale], Iterable[str]]
    """Returns the SVG elements of the panel, given the two scales."""


def chart(
    *,
    label: str,
    title: str,
    end: int,
    journal: Iterable[Entry],
    legend: Callable[[float], Iterable[str]],
    panels: Sequence[Panel],
) -> str:
    """Return a chart.

    Args:
      label: A short description, for screen readers.
      title: The title above the chart; empty for none.
      end: The time at which the chart ends, in nanoseconds.
      journal: The source of the faults.
      legend: Returns the legend, given its y coordinate.
      panels: The panels, from top to bottom.
    """
    times = Times(max(end / NS, 1e-3), LEFT, RIGHT)
    spans = faults(journal)
    lanes = _lanes(spans)
    top = _CHART_TOP + (18 if title else 0) + _LANE * len(lanes)
    content = [element("text", escape(title), class_="title", x=16, y=24), *legend(top - 20 - _LANE * len(lanes))]
    for number, lane in enumerate(lanes):
        content += (_bar(span, times, top - _LANE * (len(lanes) - number) - 4) for span in lane)
    for panel in panels:
        top += _BETWEEN
        content.append(_panel(panel, spans, times, panel.scale(top, top + _PANEL)))
        top += _PANEL
    if panels:
        content += (element("text", f"{tick:g} s", class_="x", x=times.x(tick), y=top + 16) for tick in times.ticks())
        what = "since the main phase began"
        content.append(element("text", what, class_="x", x=(LEFT + RIGHT) / 2, y=top + 16 + _UNIT))
        top += _UNIT
    else:
        content.append(element("text", "There were no operations.", x=16, y=top + 10))
    return document("chart", CHART_WIDTH, top + 28, label, content)


def windows(count: int) -> int:
    """Return the number of time windows for *count* operations."""
    return max(1, min(_WINDOWS, count // _PER_WINDOW))


def window_of(time: int, times: Times, count: int) -> int:
    """Return the number of the window, of *count* equal ones, that contains *time* (in nanoseconds)."""
    return min(int(time / NS / times.end * count), count - 1)


def steps(ys: Sequence[float | None]) -> str:
    """Return the path of a line that is horizontal in each window, with gaps where the value is None."""
    width = (RIGHT - LEFT) / len(ys)
    path = []
    for number, y in enumerate(ys):
        left = LEFT + width * number
        if y is not None:
            is_first = number == 0 or ys[number - 1] is None
            path.append(f"M{left:.1f} {y:.1f}" if is_first else f"V{y:.1f}")
            path.append(f"H{left + width:.1f}")
    return "".join(path)


def _lanes(spans: Sequence[FaultSpan]) -> list[list[FaultSpan]]:
    """Distribute the faults over rows, so that few faults hide others."""
    lanes: list[list[FaultSpan]] = []
    for span in spans:
        for lane in lanes:
            last = lane[-1].end
            if last is not None and last.t <= span.begin.t:
                lane.append(span)
                break
        else:
            if len(lanes) < _LANES:
                lanes.append([span])
            else:
                lanes[-1].append(span)
    return lanes


def _edges(span: FaultSpan, times: Times) -> tuple[float, float]:
    """Return the left and right edge of a fault; even a very short fault is visible."""
    left = times.x(span.begin.t / NS)
    right = RIGHT if span.end is None else times.x(span.end.t / NS)
    return left, max(right, left + 2)


def _told(span: FaultSpan) -> str:
    until = "the end" if span.end is None else f"{span.end.t / NS:.3f} s"
    return f"{span.text}\nfrom {span.begin.t / NS:.3f} s until {until}"


def _bar(span: FaultSpan, times: Times, y: float) -> str:
    left, right = _edges(span, times)
    kind = span.text.partition(" ")[0]
    text = next((text for text in (span.text, kind) if text_width(text) <= right - left - 8), "")
    return element(
        "g",
        element("title", escape(_told(span))),
        element("rect", x=left, y=y, width=right - left, height=_LANE - 2, rx=2),
        element("text", escape(text), x=left + 4, y=y + 10),
        class_="fault",
        data_fault=span.index,
    )


def _panel(panel: Panel, spans: Sequence[FaultSpan], times: Times, scale: Scale) -> str:
    counts = {outcome: sum(each.outcome == outcome for each in panel.operations) for outcome in OUTCOMES}
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
    name = shorten(panel.f, 300, 12)
    parts = [
        element("text", escape(name), class_="name", x=LEFT, y=scale.top - 9),
        element("text", told, class_="counts", x=LEFT + text_width(name, 12) + 14, y=scale.top - 9),
        *(_band(span, times, scale) for span in spans),
        *_grid(times, scale, panel.label),
        *panel.draw(times, scale),
    ]
    return element("g", "\n", "\n".join(parts), class_="panel", data_f=panel.f)


def _band(span: FaultSpan, times: Times, scale: Scale) -> str:
    left, right = _edges(span, times)
    height = scale.bottom - scale.top
    return element("rect", class_="band", x=left, y=scale.top, width=right - left, height=height, data_fault=span.index)


def _grid(times: Times, scale: Scale, label: Callable[[float], str]) -> Iterator[str]:
    for value in scale.ticks():
        y = scale.y(value)
        yield element("path", class_="grid", d=f"M{LEFT} {y:.1f}H{RIGHT}")
        yield element("text", label(value), class_="y", x=LEFT - 7, y=y + 4)
    for value in times.ticks():
        yield element("path", class_="grid", d=f"M{times.x(value):.1f} {scale.top:g}V{scale.bottom:g}")
