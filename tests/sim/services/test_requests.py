"""What all key-value services promise: keys, values, errors."""

from __future__ import annotations

import copy
import itertools
from random import Random
from typing import Any

import pytest
from support.services import (
    CONVERGING,
    KEYS,
    KV,
    VALUES,
    asked,
    cas,
    make,
    read,
    requests,
    write,
)

from trio_messenger import (
    LIN_KV,
    LIN_TSO,
    Body,
    ErrorCode,
    RpcError,
)
from trio_messenger.sim._services import SERVICES


def id_of(name: str) -> str:
    """Return the id that nodes send to."""
    return name.partition(",")[0]


DISTINCT: list[Any] = [
    *(0, 1, -1, 2**53, 2**53 + 1, 10**30, 0.0, 1.0, 1e30, 0.1, True, False, None),
    *("", "0", "-0.0", "1", "1.0", "true", "null", "[]", "é", "e\u0301"),
    *([], [0], [0.0], [False], [[]], [0, 1], [1, 0], {}, {"": 0}, {"a": 0}, {"a": False}, {"b": 0}, {"a": 0, "b": 0}),
]
"""JSON values, no two of them the same."""

SAME: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([{"a": {"c": 1, "d": 2}}], [{"a": {"d": 2, "c": 1}}]),
    (100.0, 1e2),
    (0.0, -0.0),
    ([{"a": [0.0]}, "-0.0"], [{"a": [-0.0]}, "-0.0"]),
]
"""JSON values that are the same though they are written differently."""


@pytest.mark.parametrize("name", CONVERGING)
def test_keys_are_told_apart_as_json_values(name: str) -> None:
    """1, "1", true and 1.0 are four keys, and so on for all pairs; an object's fields have no order."""
    service = make(name)
    for number, key in enumerate(DISTINCT):
        write(service, "n1", key, number)
    for _ in range(60):  # a lww-kv whose replicas merge needs a while to agree
        read(service, "n1", "other")
    assert [read(service, "n1", key) for key in DISTINCT] == list(range(len(DISTINCT)))
    for key, same in SAME:
        write(service, "n1", key, "first")
        for _ in range(60):
            read(service, "n1", "other")
        assert read(service, "n1", same) == "first"


def test_values_are_compared_as_json_values() -> None:
    """A compare-and-set takes no true for 1, no 1.0 for 1 and no 0 for false, at any depth; fields have no order."""
    service = make(LIN_KV)
    for held, expected in itertools.product(DISTINCT, repeat=2):
        write(service, "n1", "x", held)
        assert cas(service, "n1", "x", expected, "set") == (0 if held is expected else 22), (held, expected)
    for held, expected in SAME:
        write(service, "n1", "x", held)
        assert cas(service, "n1", "x", expected, "set") == 0


@pytest.mark.parametrize("name", CONVERGING)
def test_a_value_is_read_as_it_was_written(name: str) -> None:
    """Every JSON value comes back as what it was: true as true, 1.0 as a float, null as null."""
    for value in [*DISTINCT, -0.0, [-0.0]]:
        service = make(name)
        write(service, "n1", "x", value)
        for _ in range(60):
            asked(service, "n1", {"type": "read", "key": "x"})
        assert repr(read(service, "n1", "x")) == repr(value)


@pytest.mark.parametrize("name", CONVERGING)
def test_values_are_not_shared_with_the_nodes(name: str) -> None:
    """A node that changes what it wrote, or what it read, does not change what is kept."""
    service = make(name)
    written = {"list": [1, {"deep": [2]}]}
    key = ["k", [1]]
    body = {"type": "write", "key": key, "value": written, "msg_id": 1}
    before = copy.deepcopy(body)
    asked(service, "n1", body)
    assert body == before
    written["list"].append("changed")
    key.append("changed")
    values = [read(service, "n1", ["k", [1]]) for _ in range(60)]
    kept = [value for value in values if value != "none"]
    assert kept
    for value in kept:
        assert value == {"list": [1, {"deep": [2]}]}
        value["list"][1]["deep"].clear()
    to = ["new"]
    while cas(service, "n1", ["k", [1]], {"list": [1, {"deep": [2]}]}, to):
        pass
    to.clear()
    for _ in range(60):
        read(service, "n1", ["k", [1]])
    assert read(service, "n1", ["k", [1]]) == ["new"]


ERRORS: list[tuple[Body, int, str]] = [
    ({"type": "read", "key": "x"}, 20, 'key does not exist: "x"'),
    ({"type": "read", "key": {"b": [None, 1.0], "a": True}}, 20, 'key does not exist: {"a":true,"b":[null,1.0]}'),
    ({"type": "read", "key": "é" * 200}, 20, 'key does not exist: "' + "é" * 119 + "..."),
    ({"type": "cas", "key": 1, "from": 1, "to": 2}, 20, "key does not exist: 1"),
    ({"type": "cas", "key": 1, "from": 1, "to": 2, "create_if_not_exists": False}, 20, "key does not exist: 1"),
    ({"type": "cas", "key": 1, "from": 1, "to": 2, "create_if_not_exists": None}, 20, "key does not exist: 1"),
    ({"type": "read"}, 12, "malformed 'read' request: Object missing required field `key`"),
    ({"type": "write", "value": 1}, 12, "malformed 'write' request: Object missing required field `key`"),
    ({"type": "write", "key": 1}, 12, "malformed 'write' request: Object missing required field `value`"),
    ({"type": "cas", "from": 1, "to": 2}, 12, "malformed 'cas' request: Object missing required field `key`"),
    ({"type": "cas", "key": 1, "to": 2}, 12, "malformed 'cas' request: Object missing required field `from`"),
    ({"type": "cas", "key": 1, "from": 1}, 12, "malformed 'cas' request: Object missing required field `to`"),
    ({}, 12, "malformed request: its `type` must be a string"),
    ({"type": ["read"], "key": 1}, 12, "malformed request: its `type` must be a string"),
]


@pytest.mark.parametrize("name", KV)
@pytest.mark.parametrize(("body", "code", "expected"), ERRORS)
def test_an_error_says_what_is_wrong(name: str, body: Body, code: int, expected: str) -> None:
    """A key that is not there is error 20, a malformed request error 12; the text names the key or the field."""
    reply = asked(make(name), "n1", body)
    assert list(reply.items()) == [("type", "error"), ("code", code), ("text", expected)]
    assert isinstance(RpcError.from_body(reply).code, ErrorCode)


@pytest.mark.parametrize(("name", "types"), [*((name, "read, write, cas") for name in KV), (LIN_TSO, "ts")])
def test_an_unknown_type_is_answered(name: str, types: str) -> None:
    """A type that the service does not know is error 10, which names it and those that it knows."""
    reply = asked(make(name), "n1", {"type": "append", "key": 1})
    assert reply == {"type": "error", "code": 10, "text": f"{id_of(name)} does not handle 'append'; it handles {types}"}
    reply = asked(make(name), "n1", {"type": "a" * 1000})
    assert reply["text"] == f"{id_of(name)} does not handle '{'a' * 79}; it handles {types}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_reply_is_not_answered(name: str) -> None:
    """An error, or another reply that went astray, gets no answer: two that answer those would never stop."""
    service = make(name)
    assert service.handle("n1", {"type": "error", "code": 10}) is None
    assert service.handle("n1", {"type": "error", "code": 10, "in_reply_to": 0}) is None
    assert service.handle("n1", {"type": "echo_ok", "in_reply_to": 0}) is None
    assert service.handle("n1", {"in_reply_to": 0}) is None


@pytest.mark.parametrize("name", CONVERGING)
def test_the_text_of_a_failed_comparison_names_both_values(name: str) -> None:
    """Error 22 tells what is there and what was expected, both as JSON, cut off where they are long."""
    service = make(name)
    for held, expected, words in [
        (3, 2, "current value 3 is not 2"),
        (1, True, "current value 1 is not true"),
        ({"b": None, "a": "é"}, "1", 'current value {"a":"é","b":null} is not "1"'),
        ("a" * 119, "b" * 118, 'current value "' + "a" * 119 + '... is not "' + "b" * 118 + '"'),
    ]:
        write(service, "n1", "x", held)
        for _ in range(60):
            read(service, "n1", "other")
        reply = asked(service, "n1", {"type": "cas", "key": "x", "from": expected, "to": 0})
        assert reply == {"type": "error", "code": 22, "text": words}


@pytest.mark.parametrize("name", KV)
def test_a_refused_request_changes_nothing(name: str) -> None:
    """What cannot be served leaves no trace: nothing is stored and no draw is used up."""
    disturbed, quiet = make(name, 5), make(name, 5)
    for src, body in itertools.islice(requests(Random(6), KEYS[:2], VALUES[:2]), 200):
        for bad, code, _ in ERRORS:
            if code == 12:
                asked(disturbed, src, bad)
        asked(disturbed, src, {"type": "append", "key": 1, "value": 1})
        assert asked(disturbed, src, body) == asked(quiet, src, body)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("name", KV)
@pytest.mark.parametrize("field", ["key", "value"])
def test_deep_nesting_is_refused(name: str, field: str) -> None:
    """A key or value that is nested too deeply to be written as JSON is error 12, and the service goes on."""
    service = make(name)
    reply = asked(service, "n1", {"type": "write", "key": 1, "value": 1, field: nested(100_000)})
    assert reply == {"type": "error", "code": 12, "text": "malformed 'write' request: it is nested too deeply"}
    assert read(service, "n1", 1) == "none"
