"""Records as bodies: attrs classes, msgspec structs, dataclasses and TypedDicts, in both directions."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, ClassVar, Literal, TypedDict

import attrs
import msgspec
import pytest

from trio_messenger import LocalProtocolError
from trio_messenger._protocol.messages import as_body
from trio_messenger._protocol.records import as_record, is_record_class, required_type_of, type_of


@attrs.frozen
class AttrsCas:
    """Knows its type by a class variable, and has a field whose name on the wire is a keyword."""

    type: ClassVar[str] = "cas"
    key: str
    from_: int
    to: int = 0


@dataclasses.dataclass
class DataCas:
    """The same, with a field for the type."""

    key: str
    from_: int
    to: int = 0
    type: Literal["cas"] = "cas"


class StructCas(msgspec.Struct, tag="cas", tag_field="type"):
    """The same, with a tag, and with msgspec's own way to rename a field."""

    key: str
    from_: int = msgspec.field(name="from")
    to: int = 0


class VariableStructCas(msgspec.Struct):
    """The same, with a class variable."""

    type: ClassVar[str] = "cas"
    key: str
    from_: int = msgspec.field(name="from")
    to: int = 0


class SubCas(VariableStructCas):
    """The same, inherited."""


DictCas = TypedDict("DictCas", {"type": Literal["cas"], "key": str, "from": int, "to": int})

BODY = {"type": "cas", "key": "x", "from": 1, "to": 2}

RECORDS = [
    AttrsCas("x", 1, 2),
    DataCas("x", 1, 2),
    StructCas("x", 1, 2),
    VariableStructCas("x", 1, 2),
    SubCas("x", 1, 2),
    BODY,
]
CLASSES: list[Any] = [AttrsCas, DataCas, StructCas, VariableStructCas, SubCas, DictCas]

pairs = pytest.mark.parametrize(
    ("record", "record_class"), list(zip(RECORDS, CLASSES, strict=True)), ids=lambda it: getattr(it, "__name__", "")
)


@pairs
def test_a_record_is_a_body_and_back(record: object, record_class: type[Any]) -> None:
    """The names on the wire are those of JSON, and other keys of a body, such as the reserved ones, are ignored."""
    assert dict(as_body(record)) == BODY
    assert as_record({**BODY, "msg_id": 3, "more": None}, record_class) == record


@pairs
def test_a_record_class_knows_its_type(record: object, record_class: type[Any]) -> None:
    """Whichever way it says it."""
    assert is_record_class(record_class)
    assert required_type_of(record_class) == "cas"


@pytest.mark.parametrize("record_class", CLASSES, ids=lambda it: it.__name__)
@pytest.mark.parametrize(
    ("changed", "message"),
    [({"from": "one"}, "Expected `int`, got `str` - at `$.from`"), ({}, "Object missing required field `from`")],
)
def test_what_does_not_fit_is_told_by_its_name_on_the_wire(
    record_class: type[Any], changed: dict[str, Any], message: str
) -> None:
    """Not by the name that the field has in Python."""
    body = {name: value for name, value in BODY.items() if name != "from"} | changed
    with pytest.raises(msgspec.ValidationError, match=f"^{re.escape(message)}$"):
        as_record(body, record_class)


@attrs.frozen
class NoType:
    """Says nothing of its type."""

    key: str


@attrs.frozen
class AnyType:
    """Has a type that may be any text."""

    type: str = "cas"


@attrs.frozen
class TwoTypes:
    """Has one of two types."""

    type: Literal["cas", "write"]


@attrs.frozen
class NumberType:
    """Has a type that is no text."""

    type: Literal[1]


@attrs.frozen
class NumberVariable:
    """Has a class variable of that name, which is no text."""

    type: ClassVar[int] = 1


@attrs.frozen
class UnknownName:
    """Has an annotation that nobody can read."""

    type: Missing = "cas"  # type: ignore[name-defined] # noqa: F821


class NumberTag(msgspec.Struct, tag=1, tag_field="type"):
    """Has a tag that is no text."""


class OtherTag(msgspec.Struct, tag="cas", tag_field="kind"):
    """Has a tag of another name."""


@pytest.mark.parametrize(
    "record_class",
    [NoType, AnyType, TwoTypes, NumberType, NumberVariable, UnknownName, NumberTag, OtherTag],
    ids=lambda it: it.__name__,
)
def test_a_class_that_does_not_know_its_type_says_so(record_class: type[Any]) -> None:
    """It can be a body all the same."""
    assert type_of(record_class) is None
    expected = f"{record_class.__name__} does not say which 'type' its bodies have; add 'type: ClassVar[str] = ...' to"
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}"):
        required_type_of(record_class)


@pytest.mark.parametrize("value", [3, None, "cas", ["cas"], object(), AttrsCas])
def test_what_is_no_record_is_no_body(value: object) -> None:
    """A class is none either: only its instances are."""
    with pytest.raises(LocalProtocolError, match=r"^a body is a dict or a record, not "):
        as_body(value)


class Array(msgspec.Struct, array_like=True):
    """Becomes a JSON array."""

    x: int


class Odd(msgspec.Struct):
    """May hold what JSON cannot carry."""

    x: Any


def test_structs_that_are_no_object_or_hold_none_are_refused() -> None:
    """The text shows the record."""
    with pytest.raises(LocalProtocolError, match=r"^a body is a JSON object, and this struct becomes an array: Array"):
        as_body(Array(1))
    with pytest.raises(LocalProtocolError, match=r"^JSON cannot carry Odd\(x=<object object "):
        as_body(Odd(object()))
    assert as_body(Odd(math.inf)) == {"x": math.inf}  # refused where the message is encoded


@pytest.mark.parametrize("value", [int, "cas", None, dict[str, int], Literal["cas"]])
def test_other_types_are_no_record_classes(value: object) -> None:
    """Nor what is no type at all."""
    assert not is_record_class(value)
