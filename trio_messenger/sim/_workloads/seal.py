"""A seal on the history: it shows what the code of a workload changed there, which must only read it.

A history that changes after it was recorded is wrong without a trace: its checker judges other values than those that
nodes gave, and the files of the run have them, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final, final

import attrs
import msgspec

from .._records.history import History, Op
from .base import Workload
from .blame import blaming, refusal
from .foreign_texts import shown

_PACKAGE: Final = "trio_messenger."

_encode: Final = msgspec.json.Encoder().encode


def is_foreign(workload: Workload) -> bool:
    """Tell whether *workload* is not of this package, so that its code has to be checked."""
    return not type(workload).__module__.startswith(_PACKAGE)


@final
class HistorySeal:
    """Remembers the entries of a history, if the workload is not of this package.

    Args:
      workload: Its code has access to the history.
      history: The entries so far.
    """

    def __init__(self, workload: Workload, history: History) -> None:
        self._workload = workload
        self._is_needed = is_foreign(workload)
        self._entries: list[tuple[Op, bytes | None]] = []
        if self._is_needed:
            for op in history:
                self.add(op)

    def add(self, op: Op) -> None:
        """Remember *op*, the next entry of the history."""
        if self._is_needed:
            self._entries.append((op, _line(op)))

    def check(self, history: History, culprit: str) -> None:
        """Check that *history* has the entries that were added, and these have not changed.

        Args:
          history: The history.
          culprit: Who has changed it otherwise: a method such as ``check()``, or several.

        Raises:
          WorkloadError: if it has changed; the text says where.
        """
        if not self._is_needed:
            return
        ops = list(history)
        for index, ((op, line), found) in enumerate(zip(self._entries, ops, strict=False)):
            if found is not op:
                raise refusal(
                    self._workload, f"{culprit} put another entry at index {index} of the history; change a copy"
                )
            if line is not None and _line(op) != line:
                how = _difference(op, line)
                text = f"{culprit} changed entry {index} of the history: {how}; change a copy of a value"
                raise refusal(self._workload, text)
        count = len(self._entries)
        if len(ops) != count:
            text = f"{culprit} changed the history: it has {len(ops)} entries, not {count}; change a copy"
            raise refusal(self._workload, text)


@contextlib.contextmanager
def blaming_reader(workload: Workload, method: str, history: History) -> Iterator[None]:
    """Do the same as `blaming` for a *method* that may read *history*, and blame it if it changes that."""
    seal = HistorySeal(workload, history)
    with blaming(workload, method):
        yield
    seal.check(history, f"{method}()")


def _line(value: object) -> bytes | None:
    """Return *value*, an `Op` or the value of a field, as JSON; None if it is no JSON."""
    try:
        return _encode(value)
    except Exception:  # noqa: BLE001 - there are many reasons, and none matters
        return None


def _difference(op: Op, line: bytes) -> str:
    """Return the field in which *op* differs from *line*, in words."""
    before: dict[str, Any] = msgspec.json.decode(line)
    fields = (field.name for field in attrs.fields(Op))
    changed = next(name for name in fields if _line(getattr(op, name)) != _line(before[name]))
    return f"its {changed} was {shown(before[changed])}, and is {shown(getattr(op, changed))}"
