"""Explanations of kafka: which messages are wrong or missing, and the sends and polls that show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias, final

from .._checkers import Results
from .._records.cut_texts import cut_json
from . import Finding
from .scene import Scene
from .words import in_words, listed, quantity, seconds

_DETAILS: Final = 2
"""The number of errors of a type, or of unseen messages of a key, that get a sentence each."""

_Error: TypeAlias = Mapping[str, Any]
"""An error of the checker."""

_Mention: TypeAlias = Mapping[str, Any]
"""An operation in an error."""


def explain(results: Results, scene: Scene) -> list[Finding]:
    """Return the findings of `~trio_messenger.sim._checkers.kafka.checker.kafka` in sentences."""
    walk = _Logs(results, scene)
    return [*walk.errors(), *walk.unseen(), *walk.remarks()]


@final
class _Logs:
    def __init__(self, results: Results, scene: Scene) -> None:
        self._results = results
        self._scene = scene

    def errors(self) -> Iterator[Finding]:
        for kind, told in _SENTENCES.items():
            if kind in self._results:
                is_reason = kind in self._results["bad-error-types"]
                found = self._results[kind]
                shown = found["errs"][:_DETAILS]
                for error in shown:
                    yield Finding(told(self, error), self._messages(*_ops(error)), is_reason)
                if found["count"] > len(shown):
                    rest = quantity(found["count"] - len(shown), "more error")
                    yield Finding(f"{rest} of the type {kind}; results.json describes some of them", (), is_reason)

    def unseen(self) -> Iterator[Finding]:
        found = self._results.get("unseen")
        if found is None:
            return
        for key, count in found["unseen"].items():
            values = found["messages"][key]
            missing = quantity(count, "acknowledged message")
            text = f"no poll returned {missing} of log {cut_json(key)}: {listed(values, count)}"
            sends = found["sends"][key][:_DETAILS]
            yield Finding(text, self._messages(*sends))
            for send in sends:
                offset, value = send["sent"][0]
                shown = f"{cut_json(value)}: {_done(send)}{'' if offset is None else f', with offset {offset}'}"
                yield Finding(shown, self._messages(send), is_detail=True)

    def remarks(self) -> Iterator[Finding]:
        lag = self._results["worst-realtime-lag"]
        if lag["lag"]:
            text = (
                f"the greatest lag was {seconds(round(lag['lag'] * 1e9))}: that long before the poll that process"
                f" {lag['process']} began at {seconds(round(lag['time'] * 1e9))}, log {cut_json(lag['key'])} already"
                " had a message that the process did not know after it"
            )
            yield Finding(text, is_reason=False)

    def _messages(self, *ops: _Mention) -> tuple[int, ...]:
        numbers = (number for op in ops for number in self._scene.messages_of(self._scene.history[op["index"]]))
        return tuple(dict.fromkeys(numbers))

    # One sentence for each type of error

    def inconsistent_offsets(self, error: _Error) -> str:
        shown = [f"{cut_json(_value(op))} ({_done(op)})" for op in error["ops"]]
        where = f"offset {error['offset']} of log {cut_json(error['key'])}"
        return f"{where} has {quantity(len(shown), 'message')}: {in_words(shown)}"

    def duplicate(self, error: _Error) -> str:
        places = zip(error["offsets"], error["ops"], strict=True)
        shown = [f"{offset} ({_done(op)})" for offset, op in places]
        return f"{_message(error)} is at {quantity(error['count'], 'offset')}: {in_words(shown)}"

    def unexpected(self, error: _Error) -> str:
        return f"{_poll(error['reader'])} returned {_message(error)}, which no client sent"

    def aborted_read(self, error: _Error) -> str:
        writer = error["writer"]
        why = self._scene.history[writer["index"]].error
        return f"{_poll(error['reader'])} returned {_message(error)}, but its send failed at {_at(writer)}: {why}"

    def precommitted_read(self, error: _Error) -> str:
        op = error["op"]
        return f"process {op['process']} polled {_message(error)} in the operation that sent it, at {_at(op)}"

    def lost_write(self, error: _Error) -> str:
        reader = f"{_poll(error['max-read'])} returned offset {error['max-read-offset']}"
        written = f"{_done(error['writer'])}, with offset {error['offset']}"
        return f"{_message(error)} is lost: {written}; no poll returned it, but {reader}"

    def missing(self, error: _Error) -> str:
        lacks = (
            f"{error['node']} lacks {quantity(error['count'], 'message')} of log {cut_json(error['key'])} at the end"
        )
        return f"{lacks}, although polls returned them: {listed(error['values'], error['count'])}"

    def skip_within(self, error: _Error) -> str:
        return f"{_poll(error['op'])} {_returned_both(error)}; it left out {_skipped(error)}"

    def step_back_within(self, error: _Error) -> str:
        return f"{_poll(error['op'])} {_returned_both(error)}{_again(error)}"

    def skip_between(self, error: _Error) -> str:
        return f"{_continued(error)}; it missed {_skipped(error)}"

    def step_back_between(self, error: _Error) -> str:
        return f"{_continued(error)}{_again(error)}"

    def sends_back(self, error: _Error) -> str:
        first, second = (f"{cut_json(value)} ({_offset(offset)})" for value, offset in _both(error))
        op = _ops(error)[0]
        order = "the same" if error["delta"] == 0 else "an earlier"
        where = f"log {cut_json(error['key'])}"
        return f"process {op['process']} sent {first} and then {second} to {where}: the second is at {order} position"

    def send_skip(self, error: _Error) -> str:
        first, second = (f"{cut_json(value)} ({_offset(offset)})" for value, offset in _both(error))
        where = f"log {cut_json(error['key'])}"
        return f"between {first} and {second} of one operation, {where} has {_skipped(error)}"

    def cycle(self, error: _Error) -> str:
        *ops, _ = error["cycle"]
        messages = [step for step in error["steps"] if step["type"] == "wr"]
        if len(ops) == 2 and len(messages) == 1:  # noqa: PLR2004 - a poll before its send
            place = error["steps"].index(messages[0])
            begun = self._scene.operation(ops[place]["index"]).invocation
            late = f"whose send began only at {seconds(begun.time)}"
            return f"{_poll(ops[1 - place])} returned {_message(messages[0])}, {late}"
        names = [f"T{number} is the {op['f']} of {_whose(op)} at {_at(op)}" for number, op in enumerate(ops, 1)]
        return f"{quantity(len(ops), 'operation')} have no order: {error['text']} ({in_words(names)})"


_SENTENCES: Final[Mapping[str, Callable[[_Logs, _Error], str]]] = {
    "inconsistent-offsets": _Logs.inconsistent_offsets,
    "duplicate": _Logs.duplicate,
    "unexpected": _Logs.unexpected,
    "G1a": _Logs.aborted_read,
    "precommitted-read": _Logs.precommitted_read,
    **dict.fromkeys(("G1c", "G1c-process", "G1c-realtime"), _Logs.cycle),
    "lost-write": _Logs.lost_write,
    "missing": _Logs.missing,
    "int-poll-skip": _Logs.skip_within,
    "int-nonmonotonic-poll": _Logs.step_back_within,
    "poll-skip": _Logs.skip_between,
    "nonmonotonic-poll": _Logs.step_back_between,
    "int-nonmonotonic-send": _Logs.sends_back,
    "nonmonotonic-send": _Logs.sends_back,
    "int-send-skip": _Logs.send_skip,
}
"""The sentence of each type of error, in the order in which a reader best understands what went wrong."""


ERROR_TYPES: Final = frozenset(_SENTENCES)
"""The types of errors of the checker, except ``unseen``."""


def _ops(error: _Error) -> list[_Mention]:
    """Return all operations of *error*."""
    names = ("op", "writer", "reader", "max-read")
    return [*error.get("ops", ()), *error.get("cycle", ())[:-1], *(error[name] for name in names if name in error)]


def _message(error: _Error) -> str:
    return f"message {cut_json(error['value'])} of log {cut_json(error['key'])}"


def _value(op: _Mention) -> Any:
    """Return the message that *op* shows."""
    return (op.get("polled") or op["sent"])[0][1]


def _at(op: _Mention) -> str:
    return seconds(op["time"])


def _done(op: _Mention) -> str:
    """Return how *op* shows a message."""
    node = op.get("node")
    if "polled" in op:
        return f"polled{'' if node is None else f' from {node}'} at {_at(op)}"
    if op["type"] == "ok":
        return f"acknowledged{'' if node is None else f' by {node}'} at {_at(op)}"
    return f"sent{'' if node is None else f' to {node}'} with an unknown outcome at {_at(op)}"


def _whose(op: _Mention) -> str:
    return f"process {op['process']}" if op.get("node") is None else f"{op['node']}"


def _poll(op: _Mention) -> str:
    return f"the poll of {_whose(op)} at {_at(op)}"


def _both(error: _Error) -> list[tuple[Any, int | None]]:
    return list(zip(error["values"], error["offsets"], strict=True))


def _offset(offset: int | None) -> str:
    return "an unknown offset" if offset is None else f"offset {offset}"


def _returned_both(error: _Error) -> str:
    first, second = map(_offset, error["offsets"])
    return f"returned {first} of log {cut_json(error['key'])} and then {second}"


def _continued(error: _Error) -> str:
    earlier, later = error["ops"]
    source = "" if later.get("node") is None else f" from {later['node']}"
    first, second = map(_offset, error["offsets"])
    return (
        f"process {later['process']} polled log {cut_json(error['key'])}{source} up to {first} at {_at(earlier)}, and"
        f" its next poll of the log, at {_at(later)}, began with {second}"
    )


def _again(error: _Error) -> str:
    return ", the same one" if error["delta"] == 0 else ", an earlier one"


def _skipped(error: _Error) -> str:
    values, count = error["skipped"], error["delta"] - 1
    return f"{quantity(count, 'message')}: {listed(values, count)}"
