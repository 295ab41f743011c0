"""Services, asked without a network, and a model of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias

from trio_messenger import (
    LIN_KV,
    LWW_KV,
    SEQ_KV,
    Body,
)
from trio_messenger.sim._services import LWW_KV_VARIANTS, SERVICES, SimulatedService

MERGING = "lww-kv, merging"

CONVERGING = [LIN_KV, SEQ_KV, MERGING]
"""Those whose readers all come to read the same once nobody writes any more."""

KV = [*CONVERGING, LWW_KV]

MAKERS = {**SERVICES, MERGING: LWW_KV_VARIANTS["merging"]}


def make(name: str, seed: int = 0) -> SimulatedService:
    return MAKERS[name](Random(seed))


def asked(service: SimulatedService, src: str, body: Body) -> Body:
    """Return the reply to *body*, which is there and has none of the fields that are the network's."""
    reply = service.handle(src, body)
    assert reply is not None
    assert not {"msg_id", "in_reply_to"} & set(reply)
    return reply


def read(service: SimulatedService, src: str, key: Any) -> Any:
    """Return what *src* reads, ``"none"`` if there is no such key."""
    reply = asked(service, src, {"type": "read", "key": key})
    if reply["type"] == "error":
        assert reply["code"] == 20
        return "none"
    assert list(reply) == ["type", "value"]
    assert reply["type"] == "read_ok"
    return reply["value"]


def write(service: SimulatedService, src: str, key: Any, value: Any) -> None:
    assert asked(service, src, {"type": "write", "key": key, "value": value}) == {"type": "write_ok"}


def cas(service: SimulatedService, src: str, key: Any, expected: Any, value: Any, **more: Any) -> Any:
    """Return 0 if it succeeded, else the code of the error."""
    reply = asked(service, src, {"type": "cas", "key": key, "from": expected, "to": value, **more})
    return reply["code"] if reply["type"] == "error" else {"cas_ok": 0}[reply["type"]]


State: TypeAlias = dict[str, Any]
"""What each key holds."""


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def applied(state: State, body: Body, may_create: bool = True) -> tuple[State, Body]:
    """Return the state after *body*, a well-formed request, and the reply."""
    key = text(body["key"])
    if body["type"] == "write":
        return {**state, key: text(body["value"])}, {"type": "write_ok"}
    create = body.get("create_if_not_exists")
    if key not in state and (create is None or create is False or not may_create):
        return state, {"type": "error", "code": 20}
    if body["type"] == "read":
        return state, {"type": "read_ok", "value": json.loads(state[key])}
    if state.get(key, text(body["from"])) == text(body["from"]):
        return {**state, key: text(body["to"])}, {"type": "cas_ok"}
    return state, {"type": "error", "code": 22}


class LinModel:
    """One state."""

    def __init__(self, _: Random) -> None:
        self.state: State = {}

    def handle(self, _: str, body: Body) -> Body:
        self.state, reply = applied(self.state, body)
        return reply


KEYS = [1, "1", True, 1.0, None, [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
VALUES = [0, 1, True, 1.0, "1", [1, True], {"x": 1, "y": [0]}, {"y": [0], "x": 1}]


def requests(random: Random, keys: list[Any], values: list[Any]) -> Iterator[tuple[str, Body]]:
    """Yield random requests of three nodes, and now and then of another one, without end."""
    while True:
        body: Body = {"type": random.choice(["read", "write", "cas"]), "key": random.choice(keys)}
        if body["type"] == "write":
            body["value"] = random.choice(values)
        elif body["type"] == "cas":
            body |= {"from": random.choice(values), "to": random.choice(values)}
            if random.random() < 0.3:
                body["create_if_not_exists"] = random.choice([True, False, None, 0, "", []])
        src = random.randrange(3) if random.random() < 0.98 else random.randrange(100)
        yield f"n{src + 1}", body
