"""Bodies that do not fit what a handler takes."""

from typing import Any

import attrs
import pytest
from support.handler_bodies import Shape, Write, call, request

from trio_messenger import ErrorCode, RpcError


@attrs.frozen
class Bounded:
    """A body with validators."""

    size: int = attrs.field(validator=attrs.validators.gt(0))
    name: Any = attrs.field(default="", validator=attrs.validators.instance_of(str))


@attrs.frozen
class Parts:
    """A body with parts that have validators."""

    parts: list[Bounded]


@pytest.mark.parametrize(
    ("body_class", "fields", "problem"),
    [
        (Write, {"key": "k"}, "Object missing required field `value`"),
        (Write, {"key": 1, "value": 1}, "Expected `str`, got `int` - at `body.key`"),
        (Write, {"key": "k", "value": "1"}, "Expected `int`, got `str` - at `body.value`"),
        (Write, {"key": "k", "value": None}, "Expected `int`, got `null` - at `body.value`"),
        (Write, {"key": "k", "value": True}, "Expected `int`, got `bool` - at `body.value`"),
        (Write, {"key": "k", "value": 1.5}, "Expected `int`, got `float` - at `body.value`"),
        (Write, {"key": "k", "value": 1, "tags": ["a", 2]}, "Expected `str`, got `int` - at `body.tags[1]`"),
        (Shape, {"points": [{"x": 1, "y": 2}, {"x": 1}]}, "Object missing required field `y` - at `body.points[1]`"),
        (Shape, {"points": {}}, "Expected `array`, got `object` - at `body.points`"),
        (
            Shape,
            {"points": [], "named": {"a": {"x": 1, "y": []}}},
            "Expected `int`, got `array` - at `body.named[...].y`",
        ),
        (Bounded, {"size": 0}, "'size' must be > 0: 0"),
        (Bounded, {"size": 1, "name": 3}, "'name' must be <class 'str'> (got 3 that is a <class 'int'>)."),
        (Parts, {"parts": [{"size": 1}, {"size": 0}]}, "'size' must be > 0: 0 - at `body.parts[1]`"),
        (
            Parts,
            {"parts": [{"size": 1, "name": 3}]},
            "'name' must be <class 'str'> (got 3 that is a <class 'int'>). - at `body.parts[0]`",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_error_12(body_class: type[Any], fields: dict[str, Any], problem: str) -> None:
    """What does not fit the record is a definite error whose text names the path and what was expected there."""

    def handler(body: object) -> object:
        raise AssertionError("called with a body that does not fit")

    handler.__annotations__["body"] = body_class
    with pytest.raises(RpcError) as caught:
        call(handler, request(**fields))
    assert str(caught.value) == f"malformed-request (12): malformed 'write' request: {problem}"
    assert caught.value.code is ErrorCode.MALFORMED_REQUEST
    assert caught.value.definite
    assert caught.value.__suppress_context__  # that msgspec did it is no news to anybody


def test_a_body_that_fits_passes_its_validators() -> None:
    """Validators see the converted values."""

    def handler(body: Bounded) -> object:
        return body

    assert call(handler, request(size=1, name="n")) == Bounded(1, "n")


def test_what_the_handler_raises_is_its_own() -> None:
    """An error inside a handler is not taken for one of its body."""

    def handler(body: Write) -> None:
        raise TypeError(body.key)

    with pytest.raises(TypeError, match=r"^k$"):
        call(handler)
