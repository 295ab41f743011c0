"""Bodies as records, and calls of handlers that take them."""

import functools
from collections.abc import Callable
from typing import Any

import attrs

from trio_messenger import Request
from trio_messenger._serving.handlers import make_handler


@attrs.frozen
class Write:
    """The body of a write."""

    key: str
    value: int
    tags: list[str] = attrs.field(factory=list)


@attrs.frozen
class Point:
    """A part of a body."""

    x: int
    y: int


@attrs.frozen
class Shape:
    """A body with parts, whose annotations are strings."""

    points: "list[Point]"
    named: "dict[str, Point]" = attrs.field(factory=dict)


def request(type_: str = "write", **fields: Any) -> Request:
    """Return a request of c1 to n1."""
    return Request("c1", "n1", type_, 3, {"type": type_, "msg_id": 3, **fields}, 0.5)


WRITE = request(key="k", value=1)


def call(function: Callable[..., Any], given: Request = WRITE) -> Any:
    """Register *function* and call it as the router does."""
    return make_handler(function, {}).call(given)


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap *function* as decorators do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return "wrapped", function(*args, **kwargs)

    return wrapper
