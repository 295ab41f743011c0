"""The history of a run: the operations that clients invoked, when, and how each one ended.

A checker sees the history and nothing else. The format is Jepsen's. A *process* is a client that does one thing at a
time. It invokes an operation, which ends as

- ``ok``: it happened;
- ``fail``: it did not happen and never will;
- ``info``: its outcome is unknown. It may still happen at any later time, so its process is not used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias, final, get_args

import attrs

OpType: TypeAlias = Literal["invoke", "ok", "fail", "info"]
"""``invoke`` is the beginning of an operation; the others are its end."""


@final
@attrs.frozen(kw_only=True)
class Op:
    """The beginning or the end of an operation.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=1)
      >>> begin, end = report.history[0], report.history[1]
      >>> begin.type, begin.f, begin.value
      ('invoke', 'echo', 'Please echo 114')
      >>> end.type, end.process == begin.process
      ('ok', True)
    """

    index: int
    """Its index in the history, from 0."""
    time: int
    """Nanoseconds since the main phase began."""
    type: OpType
    """Whether it is the beginning, or how the operation ended."""
    process: int
    """The number of the process that invoked the operation."""
    f: str
    """The function of the operation, such as ``read`` or ``add``."""
    value: Any = None
    """The value that is read, written or added, as JSON: the argument at the beginning, the result at an ``ok`` end."""
    error: str | None = None
    """Why the operation failed or its outcome is unknown, in one line."""
    code: int | None = None
    """The code of the error that the node answered with; None if there was none."""
    final: bool = False
    """Whether the operation belongs to the final phase, after all faults are healed."""
    node: str | None = None
    """The id of the node that received the request; None if the history does not say."""
    audit: bool = False
    """Whether it is an audit. Audits are reads that the simulator itself sends to every node at the end of a run, in
    addition to the workload. Checkers judge them, but they do not count as operations."""


@final
@attrs.frozen
class Operation:
    """An operation: its beginning and its end.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=1)
      >>> operation = report.history.operations("echo")[0]
      >>> operation.f, operation.outcome, operation.completion.value
      ('echo', 'ok', 'Please echo 114')
    """

    invocation: Op
    """Its beginning."""
    completion: Op | None
    """Its end; None if the run ended first."""

    @property
    def outcome(self) -> OpType:
        """``ok``, ``fail`` or ``info``. An operation without an end may still happen, so it is ``info``."""
        return "info" if self.completion is None else self.completion.type

    @property
    def f(self) -> str:
        """The function of the operation, such as ``read``; see `Op.f`."""
        return self.invocation.f


OP_TYPES: Final = get_args(OpType)
"""The possible values of `Op.type`."""


def _flaw(op: Op, index: int) -> str:
    """Return why *op* cannot be the entry of a history at *index*."""
    if op.index != index:
        return f"entry {index} of the history has the index {op.index!r:.80}; number the entries 0, 1, 2, ..."
    if op.type not in OP_TYPES:
        return f"entry {index} of the history has the type {op.type!r:.80}; it must be one of {', '.join(OP_TYPES)}"
    did = (
        "begins another operation before its last one has ended" if op.type == "invoke" else "ends none that has begun"
    )
    return f"entry {index} of the history: process {op.process!r:.80} {did}"


@final
class History:
    """The beginnings and ends of all operations, in the order in which they happened.

    Args:
      ops: The entries in that order, with the indexes 0, 1, 2, ...

    Example:
      >>> history = History()
      >>> history.append(Op(index=0, time=0, type="invoke", process=0, f="write", value=1))
      >>> history.append(Op(index=1, time=1_000_000, type="invoke", process=1, f="read"))
      >>> history.append(Op(index=2, time=2_000_000, type="ok", process=1, f="read", value=1))
      >>> [(operation.f, operation.outcome) for operation in history.operations()]
      [('write', 'info'), ('read', 'ok')]
      >>> len(history), len(history.operations("read")), len(history.counted())
      (3, 1, 2)
    """

    def __init__(self, ops: Iterable[Op] = ()) -> None:
        self._ops = list(ops)

    def append(self, op: Op) -> None:
        """Add the latest entry."""
        self._ops.append(op)

    def __len__(self) -> int:
        """Return the number of beginnings and ends."""
        return len(self._ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self._ops)

    def __getitem__(self, index: int) -> Op:
        return self._ops[index]

    def operations(self, *fs: str) -> list[Operation]:
        """Return the operations in the order in which they began; if *fs* are given, only those with one of these.

        Raises:
          ValueError: if an entry has a wrong index or an unknown type, or if its process has already begun an
            operation, or has begun none.
        """
        ends: dict[int, Op] = {}
        begun: dict[int, int] = {}
        for index, op in enumerate(self._ops):
            if op.index != index or (op.type == "invoke") is (op.process in begun) or op.type not in OP_TYPES:
                raise ValueError(_flaw(op, index))
            if op.type == "invoke":
                begun[op.process] = index
            else:
                ends[begun.pop(op.process)] = op
        return [Operation(op, ends.get(op.index)) for op in self._ops if op.type == "invoke" and (not fs or op.f in fs)]

    def counted(self) -> list[Operation]:
        """Return the operations that count in statistics: all except audits."""
        return [operation for operation in self.operations() if not operation.invocation.audit]
