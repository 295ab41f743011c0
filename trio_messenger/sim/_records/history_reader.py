"""Read a history from a file, in our own form or in Jepsen's, and check that it is one.

A history of which a part is missing or damaged may look valid although the whole one is not. So the reader accepts a
file as a whole, or refuses it with the place of the first error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, final

import attrs

from .history import History, Op
from .history_lines import read_history_lines
from .jepsen_history import read_jepsen_history
from .reading_errors import BYTE_ORDER_MARK, ReadingError, decode_text, error_at, place_of

_JSON_LINE: Final = re.compile(rb'\s*\{\s*"')
_JSON_ARRAY: Final = re.compile(rb'\s*\[\s*\{\s*"')


@final
@attrs.frozen(eq=False)
class HistoryFile:
    """A history that was read from a file.

    Example:
      >>> file = read_history(b"{:process 0, :type :invoke, :f :read, :value nil}")
      >>> [(op.f, file.place(op.index)) for op in file.history]
      [('read', 'line 1, column 1')]
    """

    history: History
    """The history."""
    _text: str | bytes = attrs.field(repr=False, alias="text")
    _offsets: Sequence[int] = attrs.field(repr=False, alias="offsets")

    def place(self, index: int) -> str:
        """Return the place of the entry with *index* in the file, such as ``line 3, column 1``."""
        line, column = place_of(self._text, self._offsets[index])
        return f"line {line}, column {column}"

    def error(self, index: int, reason: str) -> ReadingError:
        """Return the error for the entry with *index*."""
        return error_at(self._text, self._offsets[index], reason)


def read_history(content: bytes) -> HistoryFile:
    """Return the history in *content*, the bytes of ``history.jsonl`` or ``history.edn``. The content decides which.

    Raises:
      ReadingError: if it is not a history; the text names the place.
    """
    content = content.removeprefix(BYTE_ORDER_MARK)
    if content.startswith(b"\0"):
        raise ReadingError(1, 1, "a zero byte: this is not a text")
    if _JSON_ARRAY.match(content):
        raise ReadingError(1, 1, "this is a JSON array; write one operation per line, as jq -c '.[]' does")
    if _JSON_LINE.match(content):
        return _collected(content, read_history_lines(content))
    text = decode_text(content)
    return _collected(text, read_jepsen_history(text))


def _collected(text: str | bytes, entries: Iterable[tuple[int, Op]]) -> HistoryFile:
    """Return the history of *entries*, after checking that each process does one operation at a time."""
    running: dict[int, Op] = {}
    ops: list[Op] = []
    offsets: list[int] = []
    for offset, op in entries:
        begun = running.pop(op.process, None)
        problem = _problem(op, begun)
        if problem is not None:
            raise error_at(text, offset, f"process {op.process} {problem}")
        offsets.append(offset)
        ops.append(op)
        if op.type == "invoke":
            running[op.process] = op
        elif begun is not None and _marks(begun) != _marks(op):
            ops[begun.index], ops[op.index] = _with_marks_of_both(begun, op)
    if not ops:
        raise ReadingError(1, 1, "there are no operations of clients; give a history with some")
    return HistoryFile(History(ops), text, offsets)


def _problem(op: Op, begun: Op | None) -> str | None:
    """Return why *op* cannot follow *begun*, the running operation of its process; None if it can."""
    if op.type == "invoke":
        if begun is None:
            return None
        return f"begins {op.f!r:.80} although it has not ended {begun.f!r:.80}; the end is missing"
    if begun is None:
        return f"ends {op.f!r:.80}, which it has not begun; the beginning is missing"
    return None if begun.f == op.f else f"ends {op.f!r:.80}, but it began {begun.f!r:.80}"


def _marks(op: Op) -> tuple[str | None, bool, bool]:
    return op.node, op.final, op.audit


def _with_marks_of_both(begun: Op, end: Op) -> tuple[Op, Op]:
    """Return the beginning and the end of an operation with the same node and marks; a file may have them in one."""
    node, final, audit = begun.node or end.node, begun.final or end.final, begun.audit or end.audit
    return (
        attrs.evolve(begun, node=node, final=final, audit=audit),
        attrs.evolve(end, node=node, final=final, audit=audit),
    )
