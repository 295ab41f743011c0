"""The state machine: keys with values, and the answers to writes that have taken effect. No I/O, no clock.

All members apply the same log in the same order, so all have the same state. Keys and values are compared as JSON, as
in the service ``lin-kv``: ``1``, ``"1"``, ``true`` and ``1.0`` are four keys, and four values.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trio_messenger import Body, ErrorCode, RpcError

from .rpcs import LogEntry

CLIENTS: Final = 1000  # clients, those that wrote most recently, whose answers are remembered
ANSWERS: Final = 32  # answers that are remembered for each of them: those to the requests with the highest numbers


class StateMachine:
    """The keys and their values, and for each client the answers to its latest writes."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}  # by key, as JSON
        self.answers: dict[str, dict[int, Body]] = {}  # by client, the most recent one last; by request

    def apply(self, entry: LogEntry) -> Body:
        """Return the answer to the request in *entry*; if it is a retry, the answer that the request got before."""
        if entry.command is None:
            return {}
        answer = self.answer_again(entry)
        if answer is None:
            answer = self.answer(entry.command)
            self.remember(entry, answer)
        return answer

    def answer(self, command: Body) -> Body:
        """Serve a request, and return the body of its answer, which may be an ``error``."""
        key, kind = _as_json(command["key"]), command["type"]
        creates = kind == "cas" and _as_json(command.get("create_if_not_exists")) not in ("null", "false")
        if key not in self.values and kind != "write" and not creates:
            return RpcError(ErrorCode.KEY_DOES_NOT_EXIST, f"key does not exist: {key:.80}").to_body()
        if kind == "read":
            return {"type": "read_ok", "value": self.values[key]}
        if kind == "cas" and key in self.values:
            held, expected = _as_json(self.values[key]), _as_json(command["from"])
            if held != expected:
                text = f"current value {held:.80} is not {expected:.80}"
                return RpcError(ErrorCode.PRECONDITION_FAILED, text).to_body()
        self.values[key] = command["to" if kind == "cas" else "value"]
        return {"type": f"{kind}_ok"}

    def answer_again(self, entry: LogEntry) -> Body | None:
        """Return the answer to a write that has taken effect before; None for a new one."""
        answers = self.answers.get(entry.client, {})
        if entry.msg_id is None or len(answers) < ANSWERS or entry.msg_id >= min(answers):
            return None if entry.msg_id is None else answers.get(entry.msg_id)
        text = f"request {entry.msg_id} came after {ANSWERS} later ones; it may have taken effect before"
        return RpcError(ErrorCode.TIMEOUT, text).to_body()

    def remember(self, entry: LogEntry, answer: Body) -> None:
        """Remember *answer*, and forget the oldest. All members forget the same ones, at the same entry."""
        if entry.msg_id is not None:
            answers = self.answers[entry.client] = self.answers.pop(entry.client, {})  # now the last client
            answers[entry.msg_id] = answer
            if len(answers) > ANSWERS:
                del answers[min(answers)]
            if len(self.answers) > CLIENTS:
                del self.answers[next(iter(self.answers))]

    def snapshot(self) -> Any:
        """Return the state as JSON."""
        answers = [[client, sorted(answers.items())] for client, answers in self.answers.items()]
        return {"values": dict(self.values), "answers": answers}

    def restore(self, state: Any) -> None:
        """Take over a state that `snapshot` returned."""
        self.values = dict(state["values"])
        self.answers = {client: dict(answers) for client, answers in state["answers"]}


def _as_json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
