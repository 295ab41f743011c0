"""The picture of a cycle of transactions: a box for each, and an arrow to the one that must come after it, and why.

The boxes stand one below the other, in the order of the cycle. So each arrow but the last leads down to the next box,
with room for its reason beside it, and the last one leads around all others back to the first. This is readable for
cycles of any length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .._explanation.transactions import place_of
from .._records.cut_texts import cut_json
from ._svg import document, element, escape, shorten

_BOX_WIDTH: Final = 400
_BOX_HEIGHT: Final = 44
_GAP: Final = 46
"""Pixels between two boxes, for an arrow and its reason."""
_EDGE: Final = 16
_TITLE_HEIGHT: Final = 26
_RETURN_WIDTH: Final = 46
"""Pixels right of the boxes for the arrow back."""
_TEXT_SIZE: Final = 10.5
_BOXES_DRAWN: Final = 40
"""The maximum number of transactions that are drawn."""


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
    height = _TITLE_HEIGHT + len(transactions) * (_BOX_HEIGHT + _GAP) + _EDGE
    reason = _reason(steps[-1])
    width = _EDGE + _BOX_WIDTH + _RETURN_WIDTH + _EDGE
    more = f" ({left_out} more transactions are left out)" if left_out else ""
    content = [
        element("text", escape(f"{kind}{more}"), class_="title", x=_EDGE, y=_EDGE + 8),
        *(part for place, op in enumerate(transactions) for part in _box(place, op)),
        *(part for place, step in enumerate(steps[: len(transactions) - 1]) for part in _down(place, step)),
        *_back(len(transactions), steps[-1], reason),
    ]
    return document("cycle", width, height, f"{kind}: {record['text']}", content)


def _top(place: int) -> int:
    return _TITLE_HEIGHT + _EDGE // 2 + place * (_BOX_HEIGHT + _GAP)


def _box(place: int, op: Mapping[str, Any]) -> Iterator[str]:
    """Yield the box of a transaction: its name and process above, what it did below."""
    top = _top(place)
    yield element("rect", class_=f"box {op['type']}", x=_EDGE, y=top, width=_BOX_WIDTH, height=_BOX_HEIGHT, rx=5)
    yield element("text", f"T{place + 1}", class_="name", x=_EDGE + 10, y=top + 18)
    who = f"process {op['process']}{place_of(op)}, index {op['index']}"
    yield element("text", escape(who), class_="y", x=_EDGE + _BOX_WIDTH - 10, y=top + 18)
    did = shorten(", ".join(map(_micro_op, op["value"])), _BOX_WIDTH - 20, _TEXT_SIZE)
    full = element("title", escape(cut_json(op["value"])))
    yield element("text", escape(did), full, x=_EDGE + 10, y=top + 35)


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
    verb = "wrote" if kind == "ww" else "read"
    shown = "nothing" if step["value"] is None else value
    return f"{kind} on key {key}: {verb} {shown} before the other wrote {after}"


def _down(place: int, step: Mapping[str, Any]) -> Iterator[str]:
    """Yield the arrow to the next box, and its reason."""
    x, top = _EDGE + 24, _top(place) + _BOX_HEIGHT
    yield from _arrow(f"M{x} {top}V{top + _GAP - 7}", x, top + _GAP, step["type"])
    text = shorten(_reason(step), _BOX_WIDTH - 44, _TEXT_SIZE)
    yield element("text", escape(text), class_=step["type"], x=x + 14, y=top + _GAP / 2 + 4)


def _back(count: int, step: Mapping[str, Any], reason: str) -> Iterator[str]:
    """Yield the arrow from the last box back to the first, and its reason below the last box."""
    right = _EDGE + _BOX_WIDTH
    bottom, top = _top(count - 1) + _BOX_HEIGHT, _top(0) + _BOX_HEIGHT / 2
    x, below = _EDGE + 24, bottom + _GAP / 2 - 4
    path = f"M{x} {bottom}V{below}H{right + _RETURN_WIDTH - 14}V{top}H{right + 7}"
    yield element("path", class_=f"arrow {step['type']}", d=path)
    yield element("path", class_=f"head {step['type']}", d=f"M{right} {top}l9 -4.5v9z")
    room = _BOX_WIDTH - 20
    text = shorten(reason, room, _TEXT_SIZE)
    yield element("text", escape(text), class_=step["type"], x=x + 14, y=below + 16)


def _arrow(path: str, x: float, y: float, kind: str) -> Iterator[str]:
    """Yield a line along *path*, and the head of an arrow that points down to *x*, *y*."""
    yield element("path", class_=f"arrow {kind}", d=path)
    yield element("path", class_=f"head {kind}", d=f"M{x} {y}l-4.5 -9h9z")
