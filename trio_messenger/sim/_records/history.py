"""The history of a run: what clients asked, when, and how each operation ended. All that a checker ever sees.

The form is Jepsen's. Each operation is invoked by a *process*, a client that does one thing at a time, and ends as

- ``ok``: it happened;
- ``fail``: it surely did not happen and never will;
- ``info``: nobody knows. It may happen at any later time, so its process is not used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias, final

import attrs

OpType: TypeAlias = Literal["invoke", "ok", "fail", "info"]
"""``invoke`` for the beginning of an operation, the others for its end."""


@final
@attrs.frozen(kw_only=True)
class Op:
    """The beginning or the end of an operation."""

    index: int
    """The place in the history, from 0."""
    time: int
    """Nanoseconds since the main phase began."""
    type: OpType
    """Whether it begins or how it ended."""
    process: int
    """Who asked."""
    f: str
    """What was asked, such as ``read`` or ``add``."""
    value: Any = None
    """What is read, written or added: a JSON value. What was asked for, if it begins; what came of it, if it is ok."""
    error: str | None = None
    """Why it did not end well, in one line."""
    final: bool = False
    """Whether it is one of the last, after all faults are healed."""
    node: str | None = None
    """The id of the node that was asked; None if the history does not say."""
    audit: bool = False
    """Whether it is an audit: one of the reads with which the simulator looks at every node in the end, beyond what the
    workload asks. Audits are judged, but do not count as operations."""


@final
@attrs.frozen
class Operation:
    """An operation as a whole."""

    invocation: Op
    """Its beginning."""
    completion: Op | None
    """Its end; None if the run ended first."""

    @property
    def outcome(self) -> OpType:
        """``ok``, ``fail`` or ``info``; one without an end may still happen, so it is ``info``."""
        return "info" if self.completion is None else self.completion.type

    @property
    def f(self) -> str:
        """What was asked."""
        return self.invocation.f


@final
class History:
    """The beginnings and ends of all operations, in the order in which they happened.

    Args:
      ops: In that order, with the indexes 0, 1, 2, ...
    """

    def __init__(self, ops: Iterable[Op] = ()) -> None:
        self._ops = list(ops)

    def append(self, op: Op) -> None:
        """Add what happened last."""
        self._ops.append(op)

    def __len__(self) -> int:
        """How many beginnings and ends there are."""
        return len(self._ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self._ops)

    def __getitem__(self, index: int) -> Op:
        return self._ops[index]

    def operations(self, *fs: str) -> list[Operation]:
        """Return the operations, whole, in the order in which they began; only those of *fs*, if any are given."""
        ends: dict[int, Op] = {}
        begun: dict[int, int] = {}
        for op in self._ops:
            if op.type == "invoke":
                begun[op.process] = op.index
            else:
                ends[begun.pop(op.process)] = op
        return [Operation(op, ends.get(op.index)) for op in self._ops if op.type == "invoke" and (not fs or op.f in fs)]

    def counted(self) -> list[Operation]:
        """Return the operations that figures are made of: all but audits."""
        return [operation for operation in self.operations() if not operation.invocation.audit]
