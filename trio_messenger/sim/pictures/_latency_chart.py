"""The chart of latencies: when each operation began, how long it took and how it ended, with the faults of the run.

Each function has a panel. All panels have the same scale, so that people can compare them. Overlapping points become
one point, which keeps all extremes: a chart of 10,000 operations is as legible as a chart of 100, and opens as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import attrs
import msgspec

from .._checkers.operation_latencies import LATENCY_POINTS
from .._checkers.quantiles import quantiles
from .._records.cut_texts import cut_text
from .._records.history import History, Operation, OpType
from .._records.journal import Entry
from ._charts import OUTCOMES, RIGHT, Panel, Scale, chart, steps, window_of, windows
from ._scales import Durations, Times
from ._svg import NS, Clock, duration, element, escape, text_width

_CELL: Final = 3
"""The side in pixels of a square; all points in it are drawn as one."""
_LABEL: Final = 11
"""The minimum distance in pixels between labels of lines."""


@attrs.frozen
class _Point:
    operation: Operation
    nanoseconds: int

    @classmethod
    def of(cls, operation: Operation, end: int) -> _Point:
        """Return the point for *operation*; if it did not end, it counts as lasting until *end*."""
        last = end if operation.completion is None else operation.completion.time
        return cls(operation, last - operation.invocation.time)


def latency(history: History, journal: Iterable[Entry] = (), *, title: str = "") -> str:
    """Draw how long the operations of a run took, without audits.

    Args:
      history: The run's history.
      journal: The run's `~trio_messenger.sim.Journal`, for its faults; empty for a chart without faults.
      title: The title above the chart; empty for none.

    Returns:
      An SVG document, the same for the same arguments.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=1, latency=20)
      >>> pictures.latency(report.history, report.journal, title="echo")[:4]
      '<svg'
    """
    end = max((op.time for op in history if not op.audit), default=0)
    points: dict[str, list[_Point]] = {}
    for operation in history.counted():
        points.setdefault(operation.f, []).append(_Point.of(operation, end))
    every = [point.nanoseconds for some in points.values() for point in some]
    return chart(
        label="Latencies of the operations",
        title=title,
        end=end,
        journal=journal,
        legend=_legend,
        panels=[
            Panel(
                f=f,
                operations=[point.operation for point in some],
                scale=partial(Durations.of, every),
                label=duration,
                draw=partial(_draw, some),
            )
            for f, some in points.items()
        ],
    )


def _legend(y: float) -> Iterator[str]:
    x = 20.0
    for outcome in OUTCOMES:
        yield _sign(outcome, x, y - 4)
        yield element("text", outcome, x=x + 9, y=y)
        x += 26 + text_width(outcome)
    for number, point in enumerate(LATENCY_POINTS):
        yield element("path", class_=f"line q{number}", d=f"M{x:g} {y - 4:g}h18")
        yield element("text", _name(point), x=x + 23, y=y)
        x += 40 + text_width(_name(point))


def _name(point: float) -> str:
    return "max" if point == 1 else f"p{point * 100:g}"


def _draw(points: Sequence[_Point], times: Times, scale: Scale) -> Iterator[str]:
    yield from _signs(points, times, scale)
    yield from _lines(points, times, scale)


def _signs(points: Iterable[_Point], times: Times, scale: Scale) -> Iterator[str]:
    """Yield a sign for each square with a point; the most important signs come last, so they are on top."""
    cells: dict[tuple[OpType, int, int], list[_Point]] = {}
    for point in points:
        x, y = times.x(point.operation.invocation.time / NS), scale.y(point.nanoseconds)
        cells.setdefault((point.operation.outcome, int(x // _CELL), int(y // _CELL)), []).append(point)
    for outcome in OUTCOMES:
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
    """Return the tooltip of points that are drawn as one point: the first in full, and the number of the others."""
    operation = points[0].operation
    begin, end = operation.invocation, operation.completion
    value = msgspec.json.encode(begin.value if end is None else end.value).decode()
    took = duration(points[0].nanoseconds)
    lines = [
        f"{begin.f} {cut_text(value)}",
        f"process {begin.process}, from {Clock(6).text(begin.time)} s, {took}: {operation.outcome}",
        "no end" if end is None else end.error or "",
        f"and {len(points) - 1:,} more here" if len(points) > 1 else "",
    ]
    return "\n".join(line for line in lines if line)


def _lines(points: Sequence[_Point], times: Times, scale: Scale) -> Iterator[str]:
    """Yield a line for each quantile of the ok operations, horizontal in each window of time."""
    good = [point for point in points if point.operation.outcome == "ok"]
    in_windows: list[list[int]] = [[] for _ in range(windows(len(good)))]
    for point in good:
        in_windows[window_of(point.operation.invocation.time, times, len(in_windows))].append(point.nanoseconds)
    found = [quantiles(values, LATENCY_POINTS) for values in in_windows]
    labels: list[tuple[float, str]] = []
    for number, quantile in enumerate(LATENCY_POINTS):
        values = [in_window.get(f"{quantile:g}") for in_window in found]
        ys = [None if value is None else scale.y(value) for value in values]
        yield element("path", class_=f"line q{number}", d=steps(ys), data_quantile=f"{quantile:g}")
        last = next((y for y in reversed(ys) if y is not None), None)
        if last is not None:
            labels.append((last, _name(quantile)))
    yield from _labels(labels)


def _labels(labels: list[tuple[float, str]]) -> Iterator[str]:
    """Yield the names of the lines at their right ends; lines that are too close share a label."""
    together: list[tuple[float, list[str]]] = []
    for y, name in labels:
        if together and abs(together[-1][0] - y) < _LABEL:
            together[-1][1].append(name)
        else:
            together.append((y, [name]))
    for y, some in together:
        name = some[0] if len(some) == 1 else f"{some[0]}-{some[-1]}"
        yield element("text", name, class_="quantile", x=RIGHT + 6, y=round(y + 4, 1))
