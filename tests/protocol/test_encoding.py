"""Encoding: what JSON cannot carry, and what is carried all the same."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.codec import JSON_VALUES, feed, whole, without_reserved

from trio_messenger import LocalProtocolError
from trio_messenger._protocol.lines import (
    _envelopes,
    _field_heads,
    _heads,
    encode,
)


@attrs.frozen
class Box:
    """A record around anything."""

    inner: object


@dataclasses.dataclass
class Crate:
    """A dataclass around anything."""

    inner: object


class Odd(enum.Enum):
    """An enum whose member is no number."""

    NAN = math.nan


NOT_NUMBERS: list[tuple[object, str]] = [
    (math.nan, "nan, found at body.v"),
    (math.inf, "inf, found at body.v"),
    (-math.inf, "-inf, found at body.v"),
    ([1, math.nan], "nan, found at body.v[1]"),
    ((None, (math.inf,)), "inf, found at body.v[1][0]"),
    ({math.nan}, "nan, found at body.v[0]"),
    (frozenset([-math.inf]), "-inf, found at body.v[0]"),
    ({"a": None, "b": {"c": math.nan}}, "nan, found at body.v.b.c"),
    ([None, [[[[{"k": math.inf}]]]]], "inf, found at body.v[1][0][0][0][0].k"),
    (Box(math.nan), "nan, found at body.v.inner"),
    ([Box((None, {"k": Box([math.inf])}))], "inf, found at body.v[0].inner[1].k.inner[0]"),
    (Crate(Box(math.nan)), "nan, found at body.v.inner.inner"),
    (Odd.NAN, "nan, found at body.v"),
]


@pytest.mark.parametrize(("value", "where"), NOT_NUMBERS, ids=repr)
def test_a_number_that_is_none_is_refused_wherever_it_is(value: object, where: str) -> None:
    """NaN and infinities never leave as ``null``: the error names the number and the path to it."""
    text = f"JSON has no number {where}; use null or a string instead"
    for fields in ({"v": value}, {"v": value, "n": None, "s": "null"}):
        for in_reply_to in (None, 1):
            with pytest.raises(LocalProtocolError, match=f"^{re.escape(text)}$"):
                encode("a", "b", "t", fields, 2, in_reply_to)


@pytest.mark.parametrize(
    "value",
    [None, "null", b"null", [None, "null"], {"null": None}, Box(None), {"k": [Box("null"), (None,), {None}]}, 1.5],
    ids=repr,
)
def test_a_null_that_is_meant_passes(value: object) -> None:
    """None leaves as ``null``, next to any numbers, and the word in a text is just a word."""
    line = encode("a", "b", "t", {"v": value, "n": None, "f": [0.5, 1e300], "i": 3}, 7)
    plain = msgspec.json.decode(msgspec.json.encode(value))
    assert json.loads(line)["body"] == {"type": "t", "v": plain, "n": None, "f": [0.5, 1e300], "i": 3, "msg_id": 7}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "Encoding objects of type object is unsupported"),
        (iter([1]), "Encoding objects of type list_iterator is unsupported"),
        ([{"k": 1j}], "Encoding objects of type complex is unsupported"),
        (object, "Encoding objects of type type is unsupported"),
        ("\ud800", r"'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"),
        ([{"k": "a\udfff"}], r"'utf-8' codec can't encode character '\\udfff' in position 1: surrogates not allowed"),
        ({"\ud800": 1}, r"'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"),
        ({None: 1}, "Only dicts with str-like or number-like keys are supported"),
        ({True: 1}, "Only dicts with str-like or number-like keys are supported"),
        ({(1,): 1}, "Only dicts with str-like or number-like keys are supported"),
        (
            10**4300,
            r"Exceeds the limit \(4300 digits\) for integer string conversion; "
            r"use sys.set_int_max_str_digits\(\) to increase the limit",
        ),
    ],
    ids=lambda value: f"{value!r:.40}" if isinstance(value, (str, list, dict)) else type(value).__name__,
)
def test_what_json_cannot_carry_is_refused(value: object, reason: str) -> None:
    """The error names the type of the body, the addressee, and what the encoder has against it."""
    for fields in ({"v": value}, {"v": value, "w": 1}):
        for in_reply_to in (None, 2):
            with pytest.raises(LocalProtocolError, match=f"^JSON cannot carry the 't' body to 'n2': {reason}$"):
                encode("n1", "n2", "t", fields, 3, in_reply_to)


def test_a_key_that_is_a_number_leaves_as_a_string() -> None:
    """Keys of JSON are strings, so a number as a key arrives as its text, as with ``json.dumps``."""
    fields: dict[Any, Any] = {"k": {1: "v", 2.5: "w"}}
    body = {"type": "t", **fields, "msg_id": 7}
    assert encode("n1", "n2", "t", fields, 7).decode() == json.dumps({"src": "n1", "dest": "n2", "body": body})


def nested(depth: int, leaf: object) -> object:
    """Return *leaf* inside *depth* lists."""
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize("leaf", [1, None, math.nan], ids=repr)
@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_nesting_is_carried_or_refused(depth: int, leaf: object) -> None:
    """How deep JSON may nest depends on the Python; past it the error is a `LocalProtocolError` as for the rest."""
    try:
        line = encode("a", "b", "t", {"v": nested(depth, leaf)}, 7)
    except LocalProtocolError:
        pass
    else:
        assert line.count(b"[") == depth
        assert leaf in (1, None)


@pytest.fixture
def caches() -> Iterator[None]:
    """Let the caches of names be empty at first, and at the end."""
    for cache in (_envelopes, _heads, _field_heads):
        cache.clear()
    yield
    for cache in (_envelopes, _heads, _field_heads):
        cache.clear()


def cached() -> tuple[int, int, int]:
    """Return how many envelopes, heads, and heads with a field are cached."""
    return len(_envelopes), len(_heads), len(_field_heads)


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize(
    ("src", "dest", "msg_type", "expected"),
    [
        ("n1", "c1", "t", (1, 1, 1)),
        ("n1", "c" * 196, "t", (1, 1, 1)),
        ("n1", "c" * 197, "t", (1, 1, 0)),
        ("n1", "c" * 198, "t", (1, 0, 0)),
        ("n1", "c" * 199, "t", (0, 0, 0)),
        ("n" * 150, "c" * 51, "t", (0, 0, 0)),
        ("n1", "c" * 1_000_000, "t", (0, 0, 0)),
        ("n1", "ä" * 1_000_000, '"' * 1000, (0, 0, 0)),
    ],
)
def test_long_names_are_sent_and_not_kept(src: str, dest: str, msg_type: str, expected: tuple[int, int, int]) -> None:
    """Of what peers choose 200 characters are cached and no more, however often it comes; what is sent is the same."""
    for _ in range(2):
        body = {"type": msg_type, "x": 1, "in_reply_to": 2, "msg_id": 3}
        reply = encode(src, dest, msg_type, {"x": 1}, 3, 2)
        assert json.loads(reply) == {"src": src, "dest": dest, "body": body}
        assert cached() == expected


@pytest.mark.usefixtures("caches")
def test_many_names_are_sent_and_not_kept() -> None:
    """However many names peers choose, no more than 1,024 of a kind are kept; what is sent is the same."""
    for number in range(3000):
        reply = encode("n1", f"c{number}", "t", {"x": number}, 3, 2)
        assert json.loads(reply)["dest"] == f"c{number}"
        assert max(cached()) <= 1024
    assert encode("n1", "c2999", "t", {"x": 1}, 3, 2).count(b"c2999") == 1


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=3), st.text(), st.integers(), st.integers())
def test_a_message_is_put_together_as_if_encoded_whole(
    fields: dict[str, Any], dest: str, in_reply_to: int, msg_id: int
) -> None:
    """However many fields a body has, a reply and a request are the lines that msgspec makes of the whole message."""
    fields = without_reserved(fields)
    body = {"type": "t_ok", **fields, "in_reply_to": in_reply_to, "msg_id": msg_id}
    assert encode("n1", dest, "t_ok", fields, msg_id, in_reply_to) == whole("n1", dest, body)
    del body["in_reply_to"]
    assert encode("n1", dest, "t_ok", fields, msg_id) == whole("n1", dest, body)


@pytest.mark.parametrize("fields", [{}, {"v": "a"}, {"v": 1.5}, {"v": [1, 2]}, {1: "a"}, {"v": 1, "w": "b"}], ids=repr)
def test_a_reply_of_few_fields_is_spaced_as_json_dumps_does(fields: dict[Any, Any]) -> None:
    """The bare acknowledgement, one field of any type, and more, leave byte for byte as the standard library has it."""
    body = {"type": "t_ok", **fields, "in_reply_to": 0, "msg_id": 7}
    expected = json.dumps({"src": "n1", "dest": "c1", "body": body})
    assert encode("n1", "c1", "t_ok", fields, 7, 0).decode() == expected


@pytest.mark.parametrize(
    ("src", "dest"), [("n1", "\ud800"), ("\udfff", "c1"), ("n1", "c" * 300 + "\ud800")], ids=["dest", "src", "long"]
)
def test_half_a_character_in_a_name_is_refused(src: str, dest: str) -> None:
    """A name with half of a surrogate pair raises LocalProtocolError, a short name and a long one."""
    text = f"JSON cannot carry a message from {src!r:.80} to {dest!r:.80}: "
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=f"^{re.escape(text)}.*surrogates not allowed$"):
            encode(src, dest, "t", {}, 3)
        with pytest.raises(LocalProtocolError, match=f"^{re.escape(text)}.*surrogates not allowed$"):
            encode(src, dest, "t", {"x": 1}, 3, 2)


def test_the_text_of_what_cannot_be_carried_is_short() -> None:
    """However long the names that peers chose, the text that tells of a body that cannot be sent to them is not."""
    long = "x" * 1_000_000
    with pytest.raises(LocalProtocolError) as caught:
        encode("n1", long, long, {"v": object()}, 2, 1)
    text = f"JSON cannot carry the {long!r:.80} body to {long!r:.80}: Encoding objects of type object is unsupported"
    assert str(caught.value) == text


def test_nesting_of_a_hundred_is_carried() -> None:
    """What people write is never too deep."""
    fields = {"v": nested(100, None)}
    [message] = feed(encode("a", "b", "t", fields, 7) + b"\n")
    assert message.body == {"type": "t", **fields, "msg_id": 7}
