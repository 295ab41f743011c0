"""The chart of latencies: how long each operation took, when, and how it ended, beside the faults of the run.

One panel for each function, with one scale for all, so that they can be compared. Points that would lie on one another
are one point, which loses no extreme: a chart of 10,000 operations is as legible as one of 100, and opens as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs
import msgspec

from ..checkers.latencies import POINTS
from ..checkers.quantiles import quantiles
from ..history import History, Operation, OpType
from ..journal import Entry
from ._flow import FaultSpan, faults
from ._scales import Durations, Times
from ._svg import NS, Clock, document, duration, element, escape, shorten, text_width

WIDTH: Final = 720
_LEFT, _RIGHT = 62, WIDTH - 74
_TOP: Final = 40
"""Pixels for the legend."""
_PANEL: Final = 150
_BETWEEN: Final = 34
"""Pixels above each panel, for its name."""
_UNIT: Final = 15
"""Pixels from the times below the last panel to what they count from."""
_LANE: Final = 15
"""Pixels from one row of faults to the next."""
_LANES: Final = 4
"""Rows of faults at the most."""
_CELL: Final = 3
"""Points that are in the same square of as many pixels are drawn as one."""
_PER_WINDOW: Final = 25
"""Operations in a window of time, about, for which quantiles are taken."""
_WINDOWS: Final = 40
"""Windows at the most."""
_LABEL: Final = 11
"""Pixels from one label of a line to the next."""

_OUTCOMES: Final[tuple[OpType, ...]] = ("ok", "info", "fail")
"""In the order in which they are drawn: what went wrong lies on top."""


@attrs.frozen
class _Point:
    operation: Operation
    nanoseconds: int

    @classmethod
    def of(cls, operation: Operation, end: int) -> _Point:
        """Return the point for *operation*; one that did not end lasted until *end* at the least."""
        last = end if operation.completion is None else operation.completion.time
        return cls(operation, last - operation.invocation.time)


def latency(history: History, journal: Iterable[Entry] = (), *, title: str = "") -> str:
    """Draw how long the operations of a run, audits aside, took.

    Args:
      history: The run's history.
      journal: The run's `~trio_messenger.sim.Journal`, for its faults; nothing for a chart without them.
      title: Stands above the chart; nothing, if it is empty.

    Returns:
      An SVG document, the same for the same arguments.
    """
    end = max((op.time for op in history if not op.audit), default=0)
    points: dict[str, list[_Point]] = {}
    for operation in history.counted():
        points.setdefault(operation.f, []).append(_Point.of(operation, end))
    times = Times(max(end / NS, 1e-3), _LEFT, _RIGHT)
    spans = faults(journal)
    lanes = _lanes(spans)
    top = _TOP + (18 if title else 0) + _LANE * len(lanes)
    content = [element("text", escape(title), class_="title", x=16, y=24), *_legend(top - 20 - _LANE * len(lanes))]
    for number, lane in enumerate(lanes):
        content += (_bar(span, times, top - _LANE * (len(lanes) - number) - 4) for span in lane)
    every = [point.nanoseconds for some in points.values() for point in some]
    for f, some in points.items():
        top += _BETWEEN
        scale = Durations.of(every, top, top + _PANEL)
        content.append(_panel(f, some, spans, times, scale))
        top += _PANEL
    if points:
        content += (element("text", f"{tick:g} s", class_="x", x=times.x(tick), y=top + 16) for tick in times.ticks())
        what = "since the main phase began"
        content.append(element("text", what, class_="x", x=(_LEFT + _RIGHT) / 2, y=top + 16 + _UNIT))
        top += _UNIT
    else:
        content.append(element("text", "There were no operations.", x=16, y=top + 10))
    return document("latency", WIDTH, top + 28, "Latencies of the operations", content)


def _lanes(spans: Sequence[FaultSpan]) -> list[list[FaultSpan]]:
    """Return the rows that faults are drawn in, so that few hide others."""
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


def _legend(y: float) -> Iterator[str]:
    x = 20.0
    for outcome in _OUTCOMES:
        yield _sign(outcome, x, y - 4)
        yield element("text", outcome, x=x + 9, y=y)
        x += 26 + text_width(outcome)
    for number, point in enumerate(POINTS):
        yield element("path", class_=f"line q{number}", d=f"M{x:g} {y - 4:g}h18")
        yield element("text", _name(point), x=x + 23, y=y)
        x += 40 + text_width(_name(point))


def _name(point: float) -> str:
    return "max" if point == 1 else f"p{point * 100:g}"


def _edges(span: FaultSpan, times: Times) -> tuple[float, float]:
    """Return where a fault begins and ends; however short it is, it can be seen."""
    left = times.x(span.begin.t / NS)
    right = _RIGHT if span.end is None else times.x(span.end.t / NS)
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


def _panel(f: str, points: list[_Point], spans: Sequence[FaultSpan], times: Times, scale: Durations) -> str:
    """Return the chart of one function."""
    counts = {outcome: sum(point.operation.outcome == outcome for point in points) for outcome in _OUTCOMES}
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
    name = shorten(f, 300, 12)
    parts = [
        element("text", escape(name), class_="name", x=_LEFT, y=scale.top - 9),
        element("text", told, class_="counts", x=_LEFT + text_width(name, 12) + 14, y=scale.top - 9),
        *(_band(span, times, scale) for span in spans),
        *_grid(times, scale),
        *_signs(points, times, scale),
        *_lines(points, times, scale),
    ]
    return element("g", "\n", "\n".join(parts), class_="panel", data_f=f)


def _band(span: FaultSpan, times: Times, scale: Durations) -> str:
    left, right = _edges(span, times)
    height = scale.bottom - scale.top
    return element("rect", class_="band", x=left, y=scale.top, width=right - left, height=height, data_fault=span.index)


def _grid(times: Times, scale: Durations) -> Iterator[str]:
    for value in scale.ticks():
        y = scale.y(value)
        yield element("path", class_="grid", d=f"M{_LEFT} {y:.1f}H{_RIGHT}")
        yield element("text", duration(value), class_="y", x=_LEFT - 7, y=y + 4)
    for value in times.ticks():
        yield element("path", class_="grid", d=f"M{times.x(value):.1f} {scale.top:g}V{scale.bottom:g}")


def _signs(points: Iterable[_Point], times: Times, scale: Durations) -> Iterator[str]:
    """Yield a sign for each square in which there is a point, the ones that matter most last."""
    cells: dict[tuple[OpType, int, int], list[_Point]] = {}
    for point in points:
        x, y = times.x(point.operation.invocation.time / NS), scale.y(point.nanoseconds)
        cells.setdefault((point.operation.outcome, int(x // _CELL), int(y // _CELL)), []).append(point)
    for outcome in _OUTCOMES:
        for (its_outcome, _, _), some in cells.items():
            if its_outcome == outcome:
                x, y = times.x(some[0].operation.invocation.time / NS), scale.y(some[0].nanoseconds)
                yield _sign(outcome, x, y, _tooltip(some))


def _sign(outcome: OpType, x: float, y: float, title: str = "") -> str:
    content = [element("title", escape(title))] if title else []
    if outcome == "ok":
        return element("circle", *content, class_="ok", cx=round(x, 1), cy=round(y, 1), r=2.4)
    start = f"M{x:.1f} {y:.1f}"
    path = "m0-4.5l4.5 8h-9z" if outcome == "info" else "m-3.5-3.5l7 7m0-7l-7 7"
    return element("path", *content, class_=outcome, d=start + path)


def _tooltip(points: list[_Point]) -> str:
    """Return what is to be said of the points that are drawn as the first of them."""
    operation = points[0].operation
    begin, end = operation.invocation, operation.completion
    value = msgspec.json.encode(begin.value if end is None else end.value).decode()
    took = duration(points[0].nanoseconds)
    lines = [
        f"{begin.f} {value:.200}",
        f"process {begin.process}, from {Clock(6).text(begin.time)} s, {took}: {operation.outcome}",
        "no end" if end is None else end.error or "",
        f"and {len(points) - 1:,} more here" if len(points) > 1 else "",
    ]
    return "\n".join(line for line in lines if line)


def _lines(points: Sequence[_Point], times: Times, scale: Durations) -> Iterator[str]:
    """Yield a line for each quantile of those that are ok, level in each window of time."""
    good = [point for point in points if point.operation.outcome == "ok"]
    count = max(1, min(_WINDOWS, len(good) // _PER_WINDOW))
    windows: list[list[int]] = [[] for _ in range(count)]
    for point in good:
        place = int(point.operation.invocation.time / NS / times.end * count)
        windows[min(place, count - 1)].append(point.nanoseconds)
    found = [quantiles(values, POINTS) for values in windows]
    labels: list[tuple[float, str]] = []
    for number, quantile in enumerate(POINTS):
        values = [in_window.get(f"{quantile:g}") for in_window in found]
        ys = [None if value is None else scale.y(value) for value in values]
        yield element("path", class_=f"line q{number}", d=_steps(ys), data_quantile=f"{quantile:g}")
        last = next((y for y in reversed(ys) if y is not None), None)
        if last is not None:
            labels.append((last, _name(quantile)))
    yield from _labels(labels)


def _steps(ys: Sequence[float | None]) -> str:
    """Return the path of a line that is level in each window, and is not where there is nothing."""
    width = (_RIGHT - _LEFT) / len(ys)
    path = []
    for number, y in enumerate(ys):
        left = _LEFT + width * number
        if y is not None:
            is_first = number == 0 or ys[number - 1] is None
            path.append(f"M{left:.1f} {y:.1f}" if is_first else f"V{y:.1f}")
            path.append(f"H{left + width:.1f}")
    return "".join(path)


def _labels(labels: list[tuple[float, str]]) -> Iterator[str]:
    """Yield the names of lines at their right ends, from below; those that are too close have one for all."""
    together: list[tuple[float, list[str]]] = []
    for y, name in labels:
        if together and abs(together[-1][0] - y) < _LABEL:
            together[-1][1].append(name)
        else:
            together.append((y, [name]))
    for y, some in together:
        name = some[0] if len(some) == 1 else f"{some[0]}-{some[-1]}"
        yield element("text", name, class_="quantile", x=_RIGHT + 6, y=round(y + 4, 1))
