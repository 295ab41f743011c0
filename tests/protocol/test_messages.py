"""Bodies: how a node builds them, and what it refuses to build them from."""

from __future__ import annotations

import copy
import types
from decimal import Decimal
from typing import Any

import attrs
import pytest

from trio_messenger import Body, LocalProtocolError, MalformedMessage, Message, Request
from trio_messenger._protocol.messages import as_body, is_id, reply_parts, request_parts


@attrs.frozen
class Write:
    """A body as a record."""

    type: str
    value: int
    key: str = "k"


@attrs.frozen
class WriteOk:
    """A reply without a type of its own, whose fields are not in the order of the alphabet."""

    version: int
    also: str = "x"


@attrs.define
class Sly:
    """A record that claims the reserved keys."""

    msg_id: int = 99
    in_reply_to: int = 99
    note: str = "n"


def listed(parts: tuple[str, Body]) -> list[Any]:
    """Return the type and the fields of a body in their order."""
    msg_type, fields = parts
    return [msg_type, *fields.items()]


def test_the_parts_of_a_request_are_its_type_and_its_fields_in_order() -> None:
    """The type is apart wherever the caller had it, and the other fields keep their order."""
    assert listed(request_parts({"b": 1, "type": "write", "a": 2})) == ["write", ("b", 1), ("a", 2)]


def test_the_parts_of_a_reply_are_the_default_type_and_its_fields_in_order() -> None:
    """A reply without a type gets the default one, and its fields keep their order."""
    assert listed(reply_parts({"b": 1, "a": 2}, "read_ok")) == ["read_ok", ("b", 1), ("a", 2)]


def test_a_reply_may_have_a_type_of_its_own() -> None:
    """The type that the handler gives wins over the default one."""
    assert listed(reply_parts({"a": 1, "type": "other"}, "read_ok")) == ["other", ("a", 1)]


@pytest.mark.parametrize("reserved", [{"msg_id": 99}, {"in_reply_to": 99}, {"in_reply_to": 99, "msg_id": 99}])
def test_reserved_keys_of_the_caller_are_dropped(reserved: dict[str, int]) -> None:
    """``msg_id`` and ``in_reply_to`` are the node's: those of the caller never leave, nor move the node's own."""
    assert listed(request_parts({**reserved, "type": "write", "a": 1})) == ["write", ("a", 1)]
    assert listed(reply_parts({**reserved, "a": 1}, "write_ok")) == ["write_ok", ("a", 1)]


def test_reserved_fields_of_a_record_are_dropped() -> None:
    """The rule holds for records as for dicts."""
    assert reply_parts(Sly(), "sly_ok") == ("sly_ok", {"note": "n"})


def test_the_callers_dict_is_not_touched() -> None:
    """Whatever is made of a caller's dict, the dict stays as it was."""
    for value in ({"type": "t", "msg_id": 1, "in_reply_to": 2, "deep": {"x": [1]}}, {"type": "t", "a": 1}):
        before = copy.deepcopy(value)
        request_parts(value)
        reply_parts(value, "t_ok")
        assert value == before
        assert list(value) == list(before)


def test_any_mapping_is_a_body() -> None:
    """A read-only view, or any other mapping, will do."""
    view = types.MappingProxyType({"a": 1, "type": "t", "msg_id": 3})
    assert as_body(view) is view
    assert request_parts(view) == reply_parts(view, "x_ok") == ("t", {"a": 1})


def test_a_record_is_its_fields_in_order() -> None:
    """An attrs record gives its fields in the order of its class, as they are."""
    assert list(as_body(Write("write", 3)).items()) == [("type", "write"), ("value", 3), ("key", "k")]
    assert listed(request_parts(Write("write", 3))) == ["write", ("value", 3), ("key", "k")]
    assert listed(reply_parts(WriteOk(2), "write_ok")) == ["write_ok", ("version", 2), ("also", "x")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NoneType: None"),
        (3, "int: 3"),
        ("type", "str: 'type'"),
        ([("type", "t")], r"list: \[\('type', 't'\)\]"),
        (Decimal(1), r"Decimal: Decimal\('1'\)"),
        (Write, "type: <class '.*Write'>"),
        ("x" * 200, "str: '" + "x" * 79),
    ],
    ids=repr,
)
def test_what_is_no_body_is_refused(value: object, shown: str) -> None:
    """Neither mapping nor record: the error names the type and shows the first 80 characters of the value."""
    text = f"^a body is a dict or a record, not {shown}$"
    with pytest.raises(LocalProtocolError, match=text):
        as_body(value)
    with pytest.raises(LocalProtocolError, match=text):
        request_parts(value)
    with pytest.raises(LocalProtocolError, match=text):
        reply_parts(value, "t_ok")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, r"\{\}"),
        ({"a": 1}, r"\{'a': 1\}"),
        ({"type": None}, r"\{'type': None\}"),
        ({"type": 3}, r"\{'type': 3\}"),
        (types.MappingProxyType({"type": b"t"}), r"\{'type': b't'\}"),
        (WriteOk(1), r"\{'version': 1, 'also': 'x'\}"),
        ({"a": "x" * 200}, r"\{'a': '" + "x" * 73),
    ],
    ids=repr,
)
def test_a_request_needs_a_type(value: object, shown: str) -> None:
    """A body to send without a ``type`` that is a string is refused, and shown up to 80 characters."""
    with pytest.raises(LocalProtocolError, match=f"^a body needs a 'type' that is a string: {shown}$"):
        request_parts(value)


@pytest.mark.parametrize(("type_", "shown"), [(None, "None"), (3, "3"), (["t"], r"\['t'\]"), (b"t", "b't'")])
def test_the_type_of_a_reply_is_a_string(type_: object, shown: str) -> None:
    """A reply may leave its type out, but not make it something else."""
    with pytest.raises(LocalProtocolError, match=f"^the 'type' of a body is a string, not {shown}$"):
        reply_parts({"type": type_}, "t_ok")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, True),
        (1, True),
        (-1, True),
        (10**29, True),
        (True, False),
        (False, False),
        (None, False),
        (0.0, False),
        ("0", False),
        ([], False),
    ],
)
def test_an_id_is_an_integer_and_no_boolean(value: object, expected: bool) -> None:
    """0 is an id; ``true`` and ``false``, which Python counts among the integers, are none."""
    assert is_id(value) is expected


def test_messages_compare_by_value_and_requests_by_identity() -> None:
    """A message is a value; a request is one event, and equal to nothing else."""
    assert Message("a", "b", {}) == Message("a", "b", {})
    assert Message("a", "b", {}) != MalformedMessage("a", "b", {}, "reason", "excerpt")
    first, second = (Request("a", "b", "t", None, {}, 0.0) for _ in range(2))
    assert first != second
