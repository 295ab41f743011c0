"""Operations on logs: what each one sent and polled, by key, and who sent and polled each message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias, final

import attrs
import msgspec

from ..._records.cut_texts import cut_json
from ..._records.history import History, Op, Operation, OpType
from ..values import ValueKey, mention, original, value_key

TRANSACTIONS: Final = frozenset({"send", "poll", "txn"})
"""Functions whose value is a list of sends and polls. In the kafka workload it has one item; Jepsen's tests of real
databases also have ``txn`` with several."""

ASSIGNMENTS: Final = frozenset({"assign", "subscribe"})
"""Functions that choose the keys that a client polls from now on."""

OffsetValue: TypeAlias = tuple[int | None, ValueKey]
"""The offset of a message, None if it is unknown, and the key of the message's value; see `value_key`."""


@final
@attrs.frozen(eq=False)
class LogOperation:
    """An operation that has ended, or that was still running at the end of the history."""

    begun: Op
    """Its beginning."""
    end: Op
    """Its end; the beginning if it has no end."""
    sent: Mapping[str, Sequence[OffsetValue]]
    """The messages that it sent to each key, in order; also if the send failed."""
    polled: Mapping[str, Sequence[OffsetValue]]
    """The messages that it polled from each key, in order."""

    @property
    def outcome(self) -> OpType:
        """``ok``, ``fail`` or ``info``; ``info`` if it has no end."""
        return "info" if self.end.type == "invoke" else self.end.type

    @property
    def assigned(self) -> frozenset[str]:
        """The keys that an assignment assigned."""
        return frozenset(map(log_key, self.end.value or ()))

    def mention(self, key: str, *values: ValueKey) -> dict[str, Any]:
        """Return a JSON object that identifies the operation, with what it sent and polled of *values* of *key*."""
        wanted = set(values)
        found = {
            name: [[offset, original(value)] for offset, value in pairs.get(key, ()) if value in wanted]
            for name, pairs in (("sent", self.sent), ("polled", self.polled))
        }
        return mention(self.end, **{name: pairs for name, pairs in found.items() if pairs})


def log_key(key: Any) -> str:
    """Return *key* as the text that names the log. Jepsen also uses integers, which JSON does not allow as names."""
    return key if isinstance(key, str) else f"{key}"


@final
class LogHistory:
    """The operations of a history on logs.

    Args:
      history: The operations of the clients.
    """

    def __init__(self, history: History) -> None:
        ended = [operation for operation in history.operations() if operation.completion is not None]
        running = [operation for operation in history.operations() if operation.completion is None]
        ended.sort(key=_end_index)
        self.operations: Final = [_parsed(operation) for operation in (*ended, *running)]
        """The operations in the order of their ends; those without an end come last."""

    @property
    def transactions(self) -> Iterator[LogOperation]:
        """The operations that sent or polled."""
        return (operation for operation in self.operations if operation.begun.f in TRANSACTIONS)

    @cached_property
    def writers(self) -> dict[str, dict[ValueKey, LogOperation]]:
        """By key and message: the first operation that sent it. If another one did not fail, this one counts."""
        found: dict[str, dict[ValueKey, LogOperation]] = {}
        for operation in self.operations:
            for key, pairs in operation.sent.items():
                of_key = found.setdefault(key, {})
                for _, value in pairs:
                    if value not in of_key or of_key[value].outcome == "fail":
                        of_key[value] = operation
        return found

    @cached_property
    def seen(self) -> dict[str, dict[ValueKey, LogOperation]]:
        """By key and message: the first ok operation that polled it."""
        found: dict[str, dict[ValueKey, LogOperation]] = {}
        for operation in self.operations:
            if operation.outcome == "ok":
                for key, pairs in operation.polled.items():
                    of_key = found.setdefault(key, {})
                    for _, value in pairs:
                        of_key.setdefault(value, operation)
        return found

    def writer(self, key: str, value: ValueKey) -> LogOperation | None:
        """Return the operation that sent *value* to *key*; None if nobody did."""
        return self.writers.get(key, {}).get(value)

    def has_committed(self, operation: LogOperation) -> bool:
        """Tell whether the sends of *operation* surely took effect: it was ok, or somebody polled a message of it."""
        if operation.outcome != "info":
            return operation.outcome == "ok"
        sent = ((key, value) for key, pairs in operation.sent.items() for _, value in pairs)
        return any(value in self.seen.get(key, ()) for key, value in sent)


def _end_index(operation: Operation) -> int:
    assert operation.completion is not None  # called only for operations with an end
    return operation.completion.index


def check_steps(op: Op) -> None:
    """Check the value of a transaction from elsewhere: a list of sends and polls; null if the end says nothing.

    Raises:
      ValueError: if it is something else.
    """
    if op.value is None and op.type in ("fail", "info"):
        return
    try:
        for step in msgspec.convert(op.value, list[list[Any]]):
            msgspec.convert(step, _Send if step[:1] == ["send"] else _Poll if len(step) > 1 else _PollBegun)
    except msgspec.ValidationError as exc:
        raise ValueError(
            f"the value of this {op.f!r} is {cut_json(op.value)}, which cannot be in a history of kafka: {exc};"
            " give another workload with -w"
        ) from None


_Send: TypeAlias = tuple[Literal["send"], str | int, Any]
_PollBegun: TypeAlias = tuple[Literal["poll"]]
_Poll: TypeAlias = tuple[Literal["poll"], dict[str, list[tuple[int | None, Any]]]]


def _parsed(operation: Operation) -> LogOperation:
    begun = operation.invocation
    end = operation.completion or begun
    sent: dict[str, list[OffsetValue]] = {}
    polled: dict[str, list[OffsetValue]] = {}
    if begun.f in TRANSACTIONS:
        for step in end.value or ():
            if step[0] == "send":
                offset, value = _sent(step, begun)
                sent.setdefault(log_key(step[1]), []).append((offset, value_key(value)))
            else:
                for key, pairs in (step[1] if len(step) > 1 else {}).items():
                    some = polled.setdefault(log_key(key), [])
                    some += [(offset, value_key(value)) for offset, value in pairs]
    return LogOperation(begun, end, sent, polled)


def _sent(step: Sequence[Any], begun: Op) -> tuple[int | None, Any]:
    """Return the offset and the message of a send. One that is the same as at the beginning got no offset."""
    match step[2]:
        case [int() | None as offset, message] if step not in begun.value:
            return offset, message
    return None, step[2]
