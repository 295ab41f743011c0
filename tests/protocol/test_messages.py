"""Bodies: how a node builds them, and what it refuses to build them from."""

from __future__ import annotations

import copy
import types
from decimal import Decimal

import attrs
import pytest

from trio_messenger import LocalProtocolError, MalformedMessage, Message, Request
from trio_messenger._protocol.messages import as_body, is_id, reply_body, request_body


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


def test_a_request_body_has_type_fields_and_number_in_this_order() -> None:
    """``type`` comes first wherever the caller had it, the other fields keep their order, ``msg_id`` is last."""
    body = request_body({"b": 1, "type": "write", "a": 2}, 7)
    assert list(body.items()) == [("type", "write"), ("b", 1), ("a", 2), ("msg_id", 7)]


def test_a_reply_body_has_type_fields_and_numbers_in_this_order() -> None:
    """``type`` comes first, then the fields in their order, ``in_reply_to`` and ``msg_id`` last."""
    body = reply_body({"b": 1, "a": 2}, "read_ok", 0, 3)
    assert list(body.items()) == [("type", "read_ok"), ("b", 1), ("a", 2), ("in_reply_to", 0), ("msg_id", 3)]


def test_a_reply_may_have_a_type_of_its_own() -> None:
    """The type that the handler gives wins over the default one, and stands first all the same."""
    body = reply_body({"a": 1, "type": "other"}, "read_ok", 4, 3)
    assert list(body.items()) == [("type", "other"), ("a", 1), ("in_reply_to", 4), ("msg_id", 3)]


@pytest.mark.parametrize("reserved", [{"msg_id": 99}, {"in_reply_to": 99}, {"in_reply_to": 99, "msg_id": 99}])
def test_reserved_keys_of_the_caller_are_dropped(reserved: dict[str, int]) -> None:
    """``msg_id`` and ``in_reply_to`` are the node's: those of the caller never leave, nor move the node's own."""
    asked = request_body({**reserved, "type": "write", "a": 1}, 7)
    assert list(asked.items()) == [("type", "write"), ("a", 1), ("msg_id", 7)]
    answer = reply_body({**reserved, "a": 1}, "write_ok", 4, 7)
    assert list(answer.items()) == [("type", "write_ok"), ("a", 1), ("in_reply_to", 4), ("msg_id", 7)]


def test_reserved_fields_of_a_record_are_dropped() -> None:
    """The rule holds for records as for dicts."""
    assert reply_body(Sly(), "sly_ok", 4, 7) == {"type": "sly_ok", "note": "n", "in_reply_to": 4, "msg_id": 7}


def test_the_callers_dict_is_not_touched() -> None:
    """Whatever is built from a caller's dict, the dict stays as it was and is not the result."""
    for value in ({"type": "t", "msg_id": 1, "in_reply_to": 2, "deep": {"x": [1]}}, {"type": "t", "a": 1}):
        before = copy.deepcopy(value)
        assert request_body(value, 7) is not value
        assert reply_body(value, "t_ok", 3, 7) is not value
        assert value == before
        assert list(value) == list(before)


def test_any_mapping_is_a_body() -> None:
    """A read-only view, or any other mapping, will do."""
    view = types.MappingProxyType({"a": 1, "type": "t", "msg_id": 3})
    assert as_body(view) is view
    assert request_body(view, 7) == {"type": "t", "a": 1, "msg_id": 7}
    assert reply_body(view, "x_ok", 0, 7) == {"type": "t", "a": 1, "in_reply_to": 0, "msg_id": 7}


def test_a_record_is_its_fields_in_order() -> None:
    """An attrs record gives its fields in the order of its class, as they are."""
    assert list(as_body(Write("write", 3)).items()) == [("type", "write"), ("value", 3), ("key", "k")]
    assert list(request_body(Write("write", 3), 0).items()) == [
        ("type", "write"),
        ("value", 3),
        ("key", "k"),
        ("msg_id", 0),
    ]
    assert list(reply_body(WriteOk(2), "write_ok", 0, 1).items()) == [
        ("type", "write_ok"),
        ("version", 2),
        ("also", "x"),
        ("in_reply_to", 0),
        ("msg_id", 1),
    ]


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
    text = f"^a body is a dict or an attrs record, not {shown}$"
    with pytest.raises(LocalProtocolError, match=text):
        as_body(value)
    with pytest.raises(LocalProtocolError, match=text):
        request_body(value, 0)
    with pytest.raises(LocalProtocolError, match=text):
        reply_body(value, "t_ok", 0, 0)


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
        request_body(value, 0)


@pytest.mark.parametrize(("type_", "shown"), [(None, "None"), (3, "3"), (["t"], r"\['t'\]"), (b"t", "b't'")])
def test_the_type_of_a_reply_is_a_string(type_: object, shown: str) -> None:
    """A reply may leave its type out, but not make it something else."""
    with pytest.raises(LocalProtocolError, match=f"^the 'type' of a body is a string, not {shown}$"):
        reply_body({"type": type_}, "t_ok", 0, 0)


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
