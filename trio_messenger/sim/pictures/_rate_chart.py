"""The chart of rates: completed operations per second over time, by how they ended, with the faults of the run.

Each function has a panel. All panels have the same scale. An operation that did not end was never completed: the count
next to its function includes it, but no line does. Maelstrom's ``rate.png`` shows the same with windows of ten
seconds. Here the number of windows depends on the number of operations, and all windows have the same length, so that
the end of the run does not cut one off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from .._records.history import History, Operation, OpType
from .._records.journal import Entry
from ._charts import LEFT, OUTCOMES, RIGHT, Panel, Scale, chart, steps, window_of, windows
from ._scales import Rates, Times
from ._svg import NS, element, text_width

_HEADROOM: Final = 1.05
"""The value at the top of a panel, as a multiple of the greatest rate."""


def rate(history: History, journal: Iterable[Entry] = (), *, title: str = "") -> str:
    """Draw how many operations of a run were completed per second, without audits.

    Args:
      history: The run's history.
      journal: The run's `~trio_messenger.sim.Journal`, for its faults; empty for a chart without faults.
      title: The title above the chart; empty for none.

    Returns:
      An SVG document, the same for the same arguments.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=1)
      >>> pictures.rate(report.history, report.journal, title="echo")[:4]
      '<svg'
    """
    end = max((op.time for op in history if not op.audit), default=0)
    operations = history.counted()
    count = windows(sum(each.completion is not None for each in operations))
    times = Times(max(end / NS, 1e-3), LEFT, RIGHT)
    by_f: dict[str, list[Operation]] = {}
    for operation in operations:
        by_f.setdefault(operation.f, []).append(operation)
    completed = {f: _completed(some, times, count) for f, some in by_f.items()}
    most = max((number for counts in completed.values() for number in counts.values()), default=0)
    greatest = max(most, 1) / (times.end / count) * _HEADROOM
    return chart(
        label="Rates of the operations",
        title=title,
        end=end,
        journal=journal,
        legend=_legend,
        panels=[
            Panel(
                f=f,
                operations=some,
                scale=lambda top, bottom: Rates(greatest=greatest, top=top, bottom=bottom),
                label=lambda value: f"{value:g}/s",
                draw=partial(_draw, completed[f], count),
            )
            for f, some in by_f.items()
        ],
    )


def _completed(operations: Iterable[Operation], times: Times, count: int) -> Counter[tuple[OpType, int]]:
    """Return the number of *operations* for each outcome in each of *count* windows."""
    ends = [each.completion for each in operations if each.completion is not None]
    return Counter((end.type, window_of(end.time, times, count)) for end in ends)


def _legend(y: float) -> Iterator[str]:
    x = 20.0
    for outcome in OUTCOMES:
        yield element("path", class_=f"line {outcome}", d=f"M{x:g} {y - 4:g}h18")
        yield element("text", outcome, x=x + 23, y=y)
        x += 40 + text_width(outcome)
    yield element("text", "operations completed per second", class_="counts", x=x, y=y)


def _draw(completed: Counter[tuple[OpType, int]], count: int, times: Times, scale: Scale) -> Iterator[str]:
    """Yield a line for each outcome, horizontal in each window, and a tooltip for each window."""
    width = times.end / count
    rates = {
        outcome: [completed[outcome, number] / width for number in range(count)]
        for outcome in OUTCOMES
        if any(completed[outcome, number] for number in range(count))
    }
    for outcome, values in rates.items():
        yield element("path", class_=f"line {outcome}", d=steps([scale.y(value) for value in values]))
    for number in range(count):
        told = [f"{completed[outcome, number]:,} {outcome}, {rates[outcome][number]:.3g}/s" for outcome in rates]
        left, right = times.x(number * width), times.x((number + 1) * width)
        yield element(
            "rect",
            element("title", "\n".join([f"from {number * width:.3f} s until {(number + 1) * width:.3f} s", *told])),
            class_="window",
            x=round(left, 1),
            y=scale.top,
            width=round(right - left, 1),
            height=scale.bottom - scale.top,
        )
