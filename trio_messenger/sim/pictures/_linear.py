"""The picture of operations that no order explains: bars over time, a row for each process, and the point of failure.

Only the last operations before the failure are drawn, as many as a reader can take in; the picture says how many it
leaves out. The beginnings and ends have their real order, but not their real distances: each bar is as wide as its text
needs, so that operations that took no time, or a minute, are equally readable.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, TypeAlias, final

import attrs

from .._checkers.linearizability import Violation
from .._checkers.values import value_key
from .._records.cut_texts import cut_json, cut_text
from .._records.history import Op, Operation
from ._svg import Clock, document, element, escape, plural, shorten, text_width

_BARS: Final = 40
"""The maximum number of operations that are drawn."""
_FEWEST: Final = 8
"""The number of operations that are drawn even if they need more than `_WIDEST`."""
_OPEN_SHOWN: Final = 12
"""The maximum number of those that had not ended before the failure: most may be much older than it."""
_WIDEST: Final = 1400
"""The maximum width in pixels of the part with bars."""
_STATES_NAMED: Final = 10
"""The maximum number of possible states that are named."""

_NAMES_WIDTH: Final = 122
"""Pixels for the names of the rows."""
_STATES_WIDTH: Final = 190
"""Pixels for the possible states."""
_NARROWEST: Final = 420
"""The minimum width in pixels of the part with bars: enough for the legend."""
_LEGEND_HEIGHT: Final = 58
"""Pixels for the legend, and for the text that says what is wrong."""
_ROW_HEIGHT: Final = 28
_BAR_HEIGHT: Final = 18
_EVENT_GAP: Final = 7
"""The minimum number of pixels between an event and the next one."""
_PADDING: Final = 5
"""Pixels left and right of the text in a bar."""
_BEYOND: Final = 16
"""Pixels by which bars of operations without an end go beyond the failure."""
_LINE_HEIGHT: Final = 15
"""Pixels from one line of text to the next."""
_TICK_GAP: Final = 70
"""The minimum number of pixels between two times."""

BarText: TypeAlias = Callable[[Operation], str]
"""Returns a short text for an operation."""


def linear(violation: Violation, *, title: str = "", label: BarText | None = None) -> str:
    """Draw the operations around the point from which on no order explains them.

    Args:
      violation: What `~trio_messenger.sim.linearizable` found.
      title: The title above the picture; empty for none.
      label: Returns the text on the bar of an operation; by default its function and its value.

    Returns:
      An SVG document, which is the same for the same arguments. Bars are operations. Those with a dot took effect
      before the failure in one possible order, and a line connects the dots in this order.

    Example:
      >>> history = History(
      ...     [
      ...         Op(index=0, time=0, type="invoke", process=0, f="read", value=["x", None]),
      ...         Op(index=1, time=1, type="ok", process=0, f="read", value=["x", 1]),
      ...     ]
      ... )
      >>> [violation] = linearizable(history, CasRegisters()).violations
      >>> picture = pictures.linear(violation, title="a read of what nobody wrote")
      >>> picture[:4], ">absent</text>" in picture
      ('<svg', True)
    """
    bars = _bars(violation, label or _told(violation.key))
    count = len(bars)
    while _place(bars) > _NAMES_WIDTH + _WIDEST and count > _FEWEST:
        count = max(_FEWEST, count * 2 // 3)
        bars = _latest(bars, count)
    return _Picture(violation, title, bars).text()


def _told(key: Hashable) -> BarText:
    """Return a function that describes an operation by its function and value, without *key* if the value has it."""

    def told(operation: Operation) -> str:
        end = operation.completion
        value = operation.invocation.value if end is None or end.type != "ok" else end.value
        if key is not None and isinstance(value, list) and len(value) == 2 and value_key(value[0]) == key:  # noqa: PLR2004 - a pair
            value = value[1]
        return operation.f if value is None else f"{operation.f} {cut_text(cut_json(value), 24)}"

    return told


@final
@attrs.define(eq=False)
class _Bar:
    """An operation in the picture."""

    operation: Operation
    text: str
    end: Op | None
    """Its end; None if it had not ended before the failure."""
    is_failure: bool
    left: float = 0
    right: float = 0

    @property
    def begin(self) -> Op:
        """Its beginning."""
        return self.operation.invocation

    @property
    def width(self) -> float:
        """The width that its text needs."""
        return text_width(self.text) + 2 * _PADDING


def _bars(violation: Violation, label: BarText) -> list[_Bar]:
    """Return the bars of the latest operations, in the order of their beginnings."""
    in_flight = {each.invocation.index for each in violation.in_flight}
    ended = [each for each in violation.linearization if each.invocation.index not in in_flight]
    failure = violation.operation
    bars = [_Bar(failure, label(failure), failure.completion, is_failure=True)]
    bars += [_Bar(each, label(each), each.completion, is_failure=False) for each in ended]
    bars += [_Bar(each, label(each), None, is_failure=False) for each in violation.in_flight]
    return _latest(bars, _BARS)


def _latest(bars: Sequence[_Bar], count: int) -> list[_Bar]:
    """Return *count* of *bars*: the failure, the last to begin of those without an end, and the last to end."""
    open_ = sorted((bar for bar in bars if bar.end is None), key=lambda bar: bar.begin.index)
    open_ = open_[-min(_OPEN_SHOWN, count // 2) :]
    ended = sorted((bar for bar in bars if bar.end is not None), key=lambda bar: bar.end.index if bar.end else 0)
    return sorted([*open_, *ended[len(open_) - count :]], key=lambda bar: bar.begin.index)


def _place(bars: Sequence[_Bar]) -> float:
    """Set the left and right ends of *bars*, wide enough for their texts; return the right end of the failure."""
    events = [(bar.begin.index, bar, False) for bar in bars]
    events += [(bar.end.index, bar, True) for bar in bars if bar.end is not None]
    x: float = _NAMES_WIDTH
    for _, bar, is_end in sorted(events, key=lambda event: event[0]):
        x += _EVENT_GAP
        if is_end:
            bar.right = x = max(x, bar.left + bar.width)
        else:
            bar.left = x
    for bar in bars:
        if bar.end is None:
            bar.right = max(x + _BEYOND, bar.left + bar.width)
    return x


@final
class _Picture:
    def __init__(self, violation: Violation, title: str, bars: Sequence[_Bar]) -> None:
        self._violation = violation
        self._title = title
        self._bars = bars
        self._top = _LEGEND_HEIGHT + (20 if title else 0)
        nodes = {bar.begin.process: bar.begin.node for bar in bars}
        self._rows = {process: row for row, process in enumerate(sorted(nodes))}
        self._names = {process: _row_name(process, node) for process, node in nodes.items()}
        [self._failure] = [bar for bar in bars if bar.is_failure]
        self._edge = max(bar.right for bar in bars)
        self._bottom = self._top + max(_ROW_HEIGHT * len(self._rows), _LINE_HEIGHT * (len(self._states()) + 1))

    def text(self) -> str:
        notes = self._notes()
        width = max(self._edge, _NAMES_WIDTH + _NARROWEST) + _STATES_WIDTH
        height = self._bottom + 44 + _LINE_HEIGHT * len(notes)
        label = f"Operations before {self._failure.text}, which no order explains"
        content = [
            element("text", escape(self._title), class_="title", x=16, y=24) if self._title else "",
            *self._legend(self._top - 36),
            *self._grid(),
            *self._order(),
            *map(self._bar, self._bars),
            *self._point(),
            *(
                element("text", escape(note), class_="note", x=16, y=height - 12 - _LINE_HEIGHT * row)
                for row, note in notes
            ),
        ]
        return document("linear", width, height, label, filter(None, content))

    def _y(self, bar: _Bar) -> float:
        return self._top + _ROW_HEIGHT * self._rows[bar.begin.process] + (_ROW_HEIGHT - _BAR_HEIGHT) / 2

    def _legend(self, y: float) -> Iterator[str]:
        x = 16.0
        signs = {"ok": "ok before the failure", "open": "no result by then", "failure": "explained by no order"}
        for class_, meaning in signs.items():
            yield element("rect", class_=f"bar {class_}", x=x, y=y - 9, width=18, height=10, rx=2)
            yield element("text", meaning, x=x + 24, y=y)
            x += 40 + text_width(meaning)
        yield element("circle", class_="effect", cx=x + 5, cy=y - 4, r=3)
        yield element("text", "took effect, in one possible order", x=x + 14, y=y)

    def _grid(self) -> Iterator[str]:
        """Yield the rows, and the times below them."""
        for process, row in self._rows.items():
            y = self._top + _ROW_HEIGHT * row + _ROW_HEIGHT / 2
            yield element("path", class_="row", d=f"M{_NAMES_WIDTH} {y:g}H{self._edge:.1f}")
            yield element("text", escape(self._names[process]), class_="y", x=_NAMES_WIDTH - 8, y=y + 4)
        times = [(bar.left, bar.begin.time) for bar in self._bars]
        times += [(bar.right, bar.end.time) for bar in self._bars if bar.end is not None]
        clock = Clock.of(time for _, time in times)
        drawn: list[float] = []
        failed_at = self._failure.right
        for x, time in sorted(times, key=lambda each: (each[0] != failed_at, each[0])):  # the failure has its time
            if all(abs(x - other) >= _TICK_GAP for other in drawn):
                drawn.append(x)
                yield element("path", class_="grid", d=f"M{x:.1f} {self._top}V{self._bottom + 4}")
                yield element("text", f"{clock.text(time)} s", class_="x", x=round(x, 1), y=self._bottom + 17)

    def _bar(self, bar: _Bar) -> str:
        kind = "failure" if bar.is_failure else "open" if bar.end is None else "ok"
        y = self._y(bar)
        return element(
            "g",
            element("title", escape(_tooltip(bar))),
            element(
                "rect",
                class_=f"bar {kind}",
                x=round(bar.left, 1),
                y=y,
                width=round(bar.right - bar.left, 1),
                height=_BAR_HEIGHT,
                rx=3,
            ),
            element("text", escape(bar.text), class_="label", x=round(bar.left + _PADDING, 1), y=y + 13),
            class_="operation",
            data_index=bar.begin.index,
        )

    def _order(self) -> Iterator[str]:
        """Yield a dot for each operation that took effect, at the earliest place that the order allows, and a line."""
        by_index = {bar.begin.index: bar for bar in self._bars}
        points = []
        x: float = 0
        for operation in self._violation.linearization:
            bar = by_index.get(operation.invocation.index)
            if bar is not None:
                x = min(max(x + 2, bar.left + 4), bar.right - 3)
                points.append((x, self._y(bar) + _BAR_HEIGHT))
        if points:
            yield element("path", class_="order", d="M" + "L".join(f"{x:.1f} {y:g}" for x, y in points))
        for x, y in points:
            yield element("circle", class_="effect", cx=round(x, 1), cy=y, r=3)

    def _point(self) -> Iterator[str]:
        """Yield the mark of the failure, and the states that were possible there."""
        x, y = round(self._failure.right, 1), self._y(self._failure) + _BAR_HEIGHT / 2
        yield element("path", class_="point", d=f"M{x} {self._top - 6}V{self._bottom}")
        yield element("path", class_="cross", d=f"M{x - 5} {y - 5}l10 10m0-10l-10 10")
        for line, text in enumerate(["possible then:", *self._states()]):
            class_ = "possible" if line else "possible head"
            yield element(
                "text", escape(text), class_=class_, x=round(self._edge, 1) + 10, y=self._top + 8 + _LINE_HEIGHT * line
            )

    def _states(self) -> list[str]:
        states = [shorten(state, _STATES_WIDTH - 20) for state in self._violation.states]
        rest = len(states) - _STATES_NAMED
        return states if rest <= 1 else [*states[:_STATES_NAMED], f"{rest} more"]

    def _notes(self) -> list[tuple[int, str]]:
        """Return what is left out, from the last line up."""
        shown = {bar.begin.index for bar in self._bars}
        in_flight = {each.invocation.index for each in self._violation.in_flight}
        ended = [each for each in self._violation.linearization if each.invocation.index not in in_flight | shown]
        open_ = in_flight - shown
        notes = [
            "Beginnings and ends are in their real order; the distances between them do not show how long it took."
        ]
        if open_:
            notes.append(f"Left out: {plural(len(open_), 'older operation')} without a result.")
        if ended:
            notes.append(f"Left out: {plural(len(ended), 'earlier operation')}; the same order explains them.")
        return list(enumerate(notes))


def _row_name(process: int, node: str | None) -> str:
    return shorten(f"process {process}" if node is None else f"process {process}, {node}", _NAMES_WIDTH - 16)


def _tooltip(bar: _Bar) -> str:
    begin, end = bar.begin, bar.operation.completion
    clock = Clock(6)
    until = "without an end" if end is None else f"until {clock.text(end.time)} s: {end.type}"
    return f"{bar.text}\nprocess {begin.process}, from {clock.text(begin.time)} s, {until}"
