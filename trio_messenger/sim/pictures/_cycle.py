"""The picture of a cycle of transactions: a box for each, and an arrow to the one that must come after it, and why.

The boxes stand one below the other, in the order of the cycle. So each arrow but the last leads down to the next box,
with room for its reason beside it, and the last one leads around all others back to the first. This is readable for
cycles of any length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from .._explanation.transactions import place_of
from .._records.cut_texts import cut_json
from ._svg import document, element, escape, shorten, text_width

_BOX_WIDTH: Final = 400
_HEAD_HEIGHT: Final = 28
"""Pixels of a box above the line with its last operations."""
_OPERATIONS_HEIGHT: Final = 16
"""Pixels of each of these lines."""
_LINES_SHOWN: Final = 8
"""The maximum number of lines with the operations of a transaction."""
_PAD: Final = 10
"""Pixels between the sides of a box and its text."""
_GAP: Final = 46
"""Pixels between two boxes, for an arrow and its reason."""
_EDGE: Final = 16
_TITLE_HEIGHT: Final = 26
_RETURN_WIDTH: Final = 46
"""Pixels right of the boxes for the arrow back."""
_TEXT_SIZE: Final = 10.5
_BOXES_DRAWN: Final = 40
"""The maximum number of transactions that are drawn."""


@attrs.frozen
class _Box:
    """The place of a transaction, and what it did, in lines."""

    top: int
    lines: list[str]

    @property
    def bottom(self) -> int:
        return self.top + _HEAD_HEIGHT + _OPERATIONS_HEIGHT * len(self.lines)


def cycle(record: Mapping[str, Any]) -> str:
    """Draw a cycle of transactions.

    Args:
      record: The record of a cycle in the results of a checker of transactions.

    Returns:
      An SVG document, the same for the same record.
    """
    transactions, steps = record["cycle"][:-1][:_BOXES_DRAWN], record["steps"]
    kind = record["type"]
    left_out = len(steps) - len(transactions)
    boxes: list[_Box] = []
    for op in transactions:
        top = boxes[-1].bottom + _GAP if boxes else _TITLE_HEIGHT + _EDGE // 2
        boxes.append(_Box(top, _lines_of(op["value"])))
    height = boxes[-1].bottom + _GAP + _EDGE // 2
    width = _EDGE + _BOX_WIDTH + _RETURN_WIDTH + _EDGE
    more = f" ({left_out} more transactions are left out)" if left_out else ""
    content = [
        element("text", escape(f"{kind}{more}"), class_="title", x=_EDGE, y=_EDGE + 8),
        *(part for place, op in enumerate(transactions) for part in _drawn_box(boxes[place], place, op)),
        *(part for box, step in zip(boxes[:-1], steps, strict=False) for part in _down(box, step)),
        *_back(boxes, steps[-1]),
    ]
    return document("cycle", width, height, f"{kind}: {record['text']}", content)


def _lines_of(mops: Sequence[Sequence[Any]]) -> list[str]:
    """Return the operations of a transaction in lines that fit into a box; of very many, the first ones."""
    room = _BOX_WIDTH - 2 * _PAD
    lines: list[list[str]] = []
    for mop in mops:
        told = shorten(_micro_op(mop), room, _TEXT_SIZE)
        if lines and text_width(", ".join([*lines[-1], f"{told},"]), _TEXT_SIZE) <= room:
            lines[-1].append(told)
        else:
            lines.append([told])
    if len(lines) > _LINES_SHOWN:
        rest = sum(map(len, lines[_LINES_SHOWN - 1 :]))
        lines[_LINES_SHOWN - 1 :] = [[f"and {rest} more operations"]]
    return [", ".join(line) + "," * (line is not lines[-1]) for line in lines]


def _drawn_box(box: _Box, place: int, op: Mapping[str, Any]) -> Iterator[str]:
    """Yield the box of a transaction: its name and process above, what it did below."""
    height = box.bottom - box.top
    yield element("rect", class_=f"box {op['type']}", x=_EDGE, y=box.top, width=_BOX_WIDTH, height=height, rx=5)
    yield element("text", f"T{place + 1}", class_="name", x=_EDGE + _PAD, y=box.top + 18)
    who = f"process {op['process']}{place_of(op)}, index {op['index']}"
    yield element("text", escape(who), class_="y", x=_EDGE + _BOX_WIDTH - _PAD, y=box.top + 18)
    full = element("title", escape(cut_json(op["value"])))
    for number, line in enumerate(box.lines):
        yield element("text", escape(line), full, x=_EDGE + _PAD, y=box.top + 35 + _OPERATIONS_HEIGHT * number)


def _micro_op(mop: Sequence[Any]) -> str:
    f, key, value = mop
    return f"{f} {cut_json(key)} {cut_json(value)}"


def _reason(step: Mapping[str, Any]) -> str:
    """Return why a transaction comes before the next one, in a few words."""
    kind = step["type"]
    if kind == "process":
        return f"process {step['process']} went on"
    if kind == "realtime":
        return "ended before the other began"
    key, value = cut_json(step["key"]), cut_json(step["value"])
    if kind == "wr":
        return f"wr on key {key}: wrote {value}, which the other read"
    after = cut_json(step["value'"])
    if step["value"] is None:
        return f"{kind} on key {key}: read nothing; the other wrote {after}"
    verb = "wrote" if kind == "ww" else "read"
    return f"{kind} on key {key}: {verb} {value}; the other wrote {after}, a later one"


def _down(box: _Box, step: Mapping[str, Any]) -> Iterator[str]:
    """Yield the arrow from *box* to the next one, and its reason."""
    x, top = _EDGE + 24, box.bottom
    yield element("path", class_=f"arrow {step['type']}", d=f"M{x} {top}V{top + _GAP - 7}")
    yield element("path", class_=f"head {step['type']}", d=f"M{x} {top + _GAP}l-4.5 -9h9z")
    yield _told(step, top + _GAP / 2 + 4)


def _back(boxes: Sequence[_Box], step: Mapping[str, Any]) -> Iterator[str]:
    """Yield the arrow from the last box back to the first, and its reason below the last box."""
    right = _EDGE + _BOX_WIDTH
    bottom, top = boxes[-1].bottom, (boxes[0].top + boxes[0].bottom) / 2
    x, below = _EDGE + 24, bottom + _GAP / 2 - 4
    path = f"M{x} {bottom}V{below}H{right + _RETURN_WIDTH - 14}V{top}H{right + 7}"
    yield element("path", class_=f"arrow {step['type']}", d=path)
    yield element("path", class_=f"head {step['type']}", d=f"M{right} {top}l9 -4.5v9z")
    yield _told(step, below + 16)


def _told(step: Mapping[str, Any], y: float) -> str:
    """Return the reason of *step*, right of its arrow."""
    x = _EDGE + 38
    text = shorten(_reason(step), _EDGE + _BOX_WIDTH + _RETURN_WIDTH - 20 - x, _TEXT_SIZE)
    return element("text", escape(text), class_=step["type"], x=x, y=y)
