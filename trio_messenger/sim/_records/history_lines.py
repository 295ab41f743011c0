"""Histories in our own form: ``history.jsonl``, one `Op` as a JSON object per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, get_type_hints

import attrs
import msgspec

from .cut_texts import cut_json
from .history import Op
from .reading_errors import MOST_NESTED, ReadingError

_HINTS: Final = get_type_hints(Op)

# The fields of `Op`, and no others: the checkers would ignore a field whose name is misspelled.
_Line: Final = msgspec.defstruct(
    "_Line",
    [
        (field.name, _HINTS[field.name])
        if field.default is attrs.NOTHING
        else (field.name, _HINTS[field.name], field.default)
        for field in attrs.fields(Op)
    ],
    forbid_unknown_fields=True,
)

_decode: Final = msgspec.json.Decoder(_Line).decode

_BYTE: Final = re.compile(r" \(byte (\d+)\)$")

_HALF_OR_ESCAPE: Final = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2})(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F])|.)", re.DOTALL
)
"""An escape in a text of JSON. The group is the first half of a surrogate pair, if something else follows it."""


def read_history_lines(content: bytes) -> Iterator[tuple[int, Op]]:
    """Yield the entries of *content*, each with the offset of its line. Empty lines are skipped.

    Raises:
      ReadingError: if a line is not an `Op` with the next index, when the iteration reaches it.

    Example:
      >>> line = b'{"index":0,"time":5,"type":"invoke","process":0,"f":"read"}'
      >>> [(offset, op.f) for offset, op in read_history_lines(line)]
      [(0, 'read')]
    """
    offset = index = time = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            op = _read(line, number)
            if op.index != index:
                reason = f"the index is {op.index}; it must be {index} here: lines are missing, or not in order"
                raise ReadingError(number, 1, reason)
            if op.time < time and index:
                raise ReadingError(
                    number, 1, f"the time is {op.time}; it must be at least {time}, as in the line before"
                )
            yield offset, op
            index, time = index + 1, op.time
        offset += len(line) + 1


def _read(line: bytes, number: int) -> Op:
    try:
        op = Op(**msgspec.structs.asdict(_decode(line)))
    except (ValueError, RecursionError) as exc:
        raise _error(exc, line, number) from None
    if line.count(b"[") + line.count(b"{") > MOST_NESTED and _depth(op.value) >= MOST_NESTED:
        raise ReadingError(number, 1, _TOO_DEEP)
    for name, value in (("time", op.time), ("process", op.process)):
        if not -(2**63) <= value < 2**63:
            raise ReadingError(number, 1, f"the {name} is {cut_json(value)}; it must be an integer of 64 bits")
    if op.node is not None and not op.node.isprintable():
        raise ReadingError(number, 1, f"the node is {op.node!r:.80}; it must be a text without control characters")
    return op


_TOO_DEEP: Final = f"more than {MOST_NESTED} arrays and objects are inside each other"


def _error(exc: Exception, line: bytes, number: int) -> ReadingError:
    if isinstance(exc, RecursionError):
        return ReadingError(number, 1, _TOO_DEEP)
    text = f"{exc}"
    found = _BYTE.search(text)
    if found is not None:
        return ReadingError(number, int(found[1]) + 1, text[: found.start()])
    if "truncated" in text:  # msgspec also says so of half a surrogate pair near the end of a line
        halves = [each for each in _HALF_OR_ESCAPE.finditer(line) if each[1]]
        if halves:
            half = halves[-1]
            reason = f"\\{half[1].decode()} is half of a character; write both halves, or another character"
            return ReadingError(number, half.start() + 1, reason)
        return ReadingError(number, len(line) + 1, "the line ends too early; the file may be cut off: get all of it")
    return ReadingError(number, 1, text)


def _depth(value: Any) -> int:
    """Return the depth of arrays and objects in *value*, without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, (list, dict))]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth
