"""The transactions of a history: what each one read and wrote, and who wrote which value.

A transaction is a list of operations on keys, ``[f, key, value]``. A read has ``r`` for *f*. The name of a write
depends on the workload. Each value is written only once per key, so that a read says which write it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, final

import attrs

from ..._records.cut_texts import cut_json
from ..._records.history import History, Op, Operation
from ..values import ValueKey, mention, original, value_key

READ: Final = "r"

MicroOp: TypeAlias = tuple[bool, int, Any]
"""An operation of a transaction: whether it is a read, the number of its key, and the value written or read; None if
nobody knows what was read."""


class UnjudgeableError(Exception):
    """The history is not one that the checker can judge. The text says why, and what to do."""


@final
@attrs.define(eq=False)
class Transaction:
    """A transaction that happened, or may have happened."""

    number: int
    """Its number, from 0, in the order in which transactions began; -1 if it failed."""
    begin: Op
    end: Op | None
    is_ok: bool
    """Whether it surely happened. If not, its outcome is unknown, and so is what it read."""
    ops: list[MicroOp]

    @property
    def op(self) -> Op:
        """The entry of the history that shows the transaction: its end, or its beginning if it has no end."""
        return self.end or self.begin

    def mention(self) -> dict[str, Any]:
        """Return a JSON object that shows the transaction."""
        return mention(self.op, value=self.op.value)


@final
class Observations:
    """The transactions of a history.

    Args:
      history: The operations. Those with another function than ``txn`` are ignored.
      write: The name of a write: ``append`` or ``w``.
      value_read: Returns the value of a read in the form in which the checker compares it.

    Raises:
      UnjudgeableError: if a transaction has another form, or a value is written more than once.
    """

    def __init__(self, history: History, write: str, value_read: Callable[[Any], Any]) -> None:
        self.transactions: Final[list[Transaction]] = []
        """The transactions that ended as ok or whose outcome is unknown, by their numbers."""
        self.failed: Final[list[Transaction]] = []
        """The transactions that surely did not happen."""
        self.keys: Final[list[Any]] = []
        """The keys, by their numbers."""
        self.writers: Final[list[dict[ValueKey, int]]] = []
        """For each key, the number of the transaction that wrote each value; of those that may have happened."""
        self.failed_writers: Final[list[dict[ValueKey, Transaction]]] = []
        """For each key, the failed transaction that tried to write each value."""
        self._write = write
        self._value_read = value_read
        self._numbers: dict[ValueKey, int] = {}
        for operation in history.operations("txn"):
            self._add(operation)

    def writer(self, key: int, value: ValueKey) -> Transaction | None:
        """Return the transaction that wrote *value*, or failed to write it; None if there is none."""
        number = self.writers[key].get(value)
        return self.failed_writers[key].get(value) if number is None else self.transactions[number]

    def _add(self, operation: Operation) -> None:
        begin, end, outcome = operation.invocation, operation.completion, operation.outcome
        ops = self._parsed(begin)
        if end is not None and outcome == "ok":
            ops = self._completed(begin, end, ops)
        is_failed = outcome == "fail"
        number = -1 if is_failed else len(self.transactions)
        transaction = Transaction(number, begin, end, outcome == "ok", ops)
        (self.failed if is_failed else self.transactions).append(transaction)
        for is_read, key, value in ops:
            if is_read:
                continue
            earlier = self.writer(key, value)
            if earlier is not None:
                raise UnjudgeableError(
                    f"two writes of the value {cut_json(original(value))} to key {cut_json(self.keys[key])},"
                    f" in the transactions that began at index {earlier.begin.index} and {begin.index}: write each"
                    " value only once per key, so that a read says which write it saw"
                )
            if is_failed:
                self.failed_writers[key][value] = transaction
            else:
                self.writers[key][value] = number

    def _parsed(self, begin: Op) -> list[MicroOp]:
        if not isinstance(begin.value, (list, tuple)):
            raise self._malformed(begin, begin.value)
        ops: list[MicroOp] = []
        for each in begin.value:
            if not isinstance(each, (list, tuple)) or len(each) != 3 or each[0] not in (READ, self._write):  # noqa: PLR2004
                raise self._malformed(begin, each)
            f, key, value = each
            if f == READ:
                ops.append((True, self._number(key), None))
            elif value is None:
                raise self._malformed(begin, each)
            else:
                ops.append((False, self._number(key), value_key(value)))
        return ops

    def _completed(self, begin: Op, end: Op, ops: list[MicroOp]) -> list[MicroOp]:
        """Return *ops* with the values read."""
        completed: list[MicroOp] = []
        begun, ended = begin.value, end.value
        if not isinstance(ended, (list, tuple)) or len(ended) != len(begun):
            raise self._different(end, ended)
        for op, asked, answered in zip(ops, begun, ended, strict=True):
            if op[0]:
                is_same = isinstance(answered, (list, tuple)) and len(answered) == 3 and answered[0] == READ  # noqa: PLR2004
                if not is_same or answered[1] != asked[1]:
                    raise self._different(end, answered)
                try:
                    completed.append((True, op[1], self._value_read(answered[2])))
                except TypeError:
                    raise self._different(end, answered) from None
            elif asked != answered:
                raise self._different(end, answered)
            else:
                completed.append(op)
        return completed

    def _number(self, key: Any) -> int:
        known = value_key(key)
        number = self._numbers.get(known)
        if number is None:
            number = self._numbers[known] = len(self.keys)
            self.keys.append(key)
            self.writers.append({})
            self.failed_writers.append({})
        return number

    def _malformed(self, begin: Op, value: Any) -> UnjudgeableError:
        return UnjudgeableError(
            f"the transaction that began at index {begin.index} has {cut_json(value)}; give a list of"
            f' ["{READ}", key, null] and ["{self._write}", key, value]'
        )

    def _different(self, end: Op, value: Any) -> UnjudgeableError:
        return UnjudgeableError(
            f"the transaction that ended at index {end.index} returned {cut_json(value)}, which does not match its"
            " beginning: reads may differ from it only in the value read"
        )
