"""Handlers: what they are called with, what can be one, and what is refused."""

import functools
import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from support.handler_bodies import WRITE, Point, Shape, Write, call, decorated, request

from trio_messenger import Request
from trio_messenger._serving.handlers import Handler, make_handler


@attrs.frozen
class AllDefaults:
    """A body that an empty one fits."""

    limit: int = 10


# What a handler is called with


def test_a_parameter_without_annotation_is_the_request() -> None:
    """A handler need not annotate: its one parameter is the request, the very object."""

    def handler(anything):  # type: ignore[no-untyped-def] # that is the point
        return anything

    assert call(handler) is WRITE
    assert call(lambda request: request) is WRITE


def test_annotations_say_what_a_handler_takes() -> None:
    """The request, the body as a record, both in either order, or nothing: by annotation, not by name or place."""

    def takes_request(body: Request) -> object:
        return body

    def takes_body(request: Write) -> object:
        return request

    def takes_both(request: Request, body: Write) -> object:
        return request, body

    def takes_both_the_other_way(body: Write, request: Request, /) -> object:
        return body, request

    def takes_nothing() -> object:
        return "nothing"

    def takes_body_and_anything(body: Write, anything) -> object:  # type: ignore[no-untyped-def] # as many write
        return body, anything

    write = Write("k", 1)
    assert call(takes_request) is WRITE
    assert call(takes_body) == write
    assert call(takes_both) == (WRITE, write)
    assert call(takes_both_the_other_way) == (write, WRITE)
    assert call(takes_nothing) == "nothing"
    assert call(takes_body_and_anything) == (write, WRITE)


def test_a_handler_of_the_request_is_called_without_a_detour() -> None:
    """The most frequent form costs nothing: the router calls the author's function itself."""

    def handler(request: Request) -> None:
        """Do nothing."""

    assert make_handler(handler, {}) == Handler(handler, is_async=False)


def test_reserved_and_unknown_keys_do_not_disturb_a_record() -> None:
    """A record takes the fields it knows; ``type``, ``msg_id`` and whatever else is in the body may be there."""

    @attrs.frozen
    class WithType:
        type: str
        msg_id: int
        key: str

    def known(body: Write) -> object:
        return body

    def all_of_it(body: WithType) -> object:
        return body

    assert call(known, request(key="k", value=1, other=[1])) == Write("k", 1)
    assert call(all_of_it) == WithType("write", 3, "k")


def test_each_request_gets_a_record_of_its_own() -> None:
    """Defaults made by a factory are made for each request."""

    def handler(body: Write) -> Write:
        return body

    registered = make_handler(handler, {})
    assert registered.call(WRITE).tags is not registered.call(WRITE).tags


def test_parameters_with_defaults_are_the_authors() -> None:
    """A parameter with a default, also a keyword-only one or one before `*args`, is left alone."""

    def handler(request: Request, bound: int = 7, *, other: "Nowhere" = 8) -> object:  # type: ignore[name-defined] # noqa: F821 - nobody looks at it
        return request, bound, other

    assert call(handler) == (WRITE, 7, 8)
    assert call(lambda x=5: x) == 5


# What is a function


class Methods:
    """Things that can be called."""

    def plain(self, body: "Write", request: "Request") -> object:
        """Return the arguments."""
        return self, body, request

    async def waits(self, body: "Write") -> None:
        """Do nothing."""

    @classmethod
    def of_class(cls, body: "Write") -> object:
        """Return the arguments."""
        return cls, body

    @staticmethod
    def static(body: "Write") -> object:
        """Return the argument."""
        return body


class Callable_:  # noqa: N801 - Callable is taken
    """An object that can be called."""

    def __call__(self, body: "Write") -> object:
        """Return the argument."""
        return body


class AsyncCallable:
    """An object that is called as an async function."""

    async def __call__(self, body: "Write") -> object:
        """Return the argument."""
        return body


async def waits(body: "Write") -> None:
    """Do nothing."""


async def waits_with(prefix: int, body: "Write") -> None:
    """Do nothing."""


def with_prefix(prefix: int, request: "Request", body: "Write", suffix: int) -> object:
    """Return the arguments."""
    return prefix, request, body, suffix


def test_whatever_can_be_called_can_be_a_handler() -> None:
    """Methods, partials, callable objects and decorated functions are read as plain functions are."""
    write, methods = Write("k", 1), Methods()
    assert call(methods.plain) == (methods, write, WRITE)
    assert call(Methods.of_class) == (Methods, write)
    assert call(Methods.static) == write
    assert call(Callable_()) == write
    assert call(functools.partial(with_prefix, 7, suffix=8)) == (7, WRITE, write, 8)
    assert call(functools.partial(functools.partial(with_prefix, 7), suffix=8)) == (7, WRITE, write, 8)
    assert call(functools.partial(methods.plain)) == (methods, write, WRITE)
    assert call(decorated(Callable_().__call__)) == ("wrapped", write)


def test_a_decorated_partial_is_read_where_its_function_is_from() -> None:
    """However often a function is wrapped, and in which ways, its annotations mean what they mean in its module."""
    partial = functools.partial(with_prefix, 7, suffix=8)
    assert call(functools.partial(decorated(partial))) == ("wrapped", (7, WRITE, Write("k", 1), 8))


@pytest.mark.parametrize(
    "function",
    [
        waits,
        functools.partial(waits),
        functools.partial(waits_with, 7),
        functools.partial(functools.partial(waits_with), 7),
        Methods().waits,
        functools.partial(Methods().waits),
        AsyncCallable(),
        AsyncCallable().__call__,
        functools.partial(AsyncCallable().__call__),
        functools.partial(AsyncCallable()),
    ],
    ids=range(10),
)
def test_what_waits_is_known_to(function: Callable[..., Any]) -> None:
    """Async functions, methods, partials of them, and objects with an async ``__call__`` get a task."""
    assert make_handler(function, {}).is_async


@pytest.mark.parametrize(
    "function",
    [Methods().plain, Callable_(), decorated(waits), functools.partial(with_prefix, 7, suffix=8), lambda: None],
    ids=range(5),
)
def test_what_does_not_wait_is_called_in_place(function: Callable[..., Any]) -> None:
    """Everything else is plain, whatever it calls inside."""
    assert not make_handler(function, {}).is_async


# What is refused


class NotAttrs:
    """A class without fields."""


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (dict, "<class 'dict'>"),
        (dict[str, Any], "dict[str, typing.Any]"),
        (NotAttrs, f"{NotAttrs!r}"),
        (Write | None, f"{Write | None!r}"),
        (None, "None"),
        (3, "3"),
        ("'Write'", "'Write'"),
    ],
)
def test_another_annotation_is_refused(annotation: Any, shown: str) -> None:
    """An annotation that is neither Request nor a record class fails at registration and says what to write."""

    def handler(x: object) -> None:
        """Do nothing."""

    handler.__annotations__["x"] = annotation
    handler.__qualname__ = "handler"
    text = (
        f"parameter 'x' of handler handler is annotated with {shown}; annotate it with Request, or with an attrs "
        "class, a msgspec struct, a dataclass or a TypedDict that describes the body"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        make_handler(handler, {})


def keyword_only(*, request: Request) -> None:
    """Do nothing."""


def variadic(*args: Any) -> None:
    """Do nothing."""


def keywords(request: Request, **kwargs: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "function", [keyword_only, variadic, keywords, print, functools.partial(with_prefix, prefix=1)]
)
def test_a_form_that_cannot_be_called_is_refused(function: Callable[..., Any]) -> None:
    """Parameters that are keyword-only, or any number of them, fail at registration, with the signature in the text."""
    with pytest.raises(
        TypeError,
        match=r"^handler .+ takes \(.*\).*; it is called with the request, with the body as its class, "
        r"with both or with nothing: def handler\(request: Request\), def handler\(body: MyBody\), def handler\(\)$",
    ):
        make_handler(function, {})


@pytest.mark.parametrize("thing", [3, None, "echo", WRITE], ids=["3", "None", "echo", "request"])
def test_what_cannot_be_called_is_refused(thing: Any) -> None:
    """What is no function fails at registration."""
    with pytest.raises(TypeError, match=f"^a handler is a function, not {re.escape(repr(thing))}$"):
        make_handler(thing, {})


def test_what_tells_no_signature_is_refused() -> None:
    """Something built in whose parameters Python cannot tell is a TypeError, as any other unfit handler."""
    with pytest.raises(TypeError, match=r"^handler dict has no readable signature; wrap it in a function$"):
        make_handler(dict, {})


def test_two_parameters_for_the_same_are_refused() -> None:
    """Two requests are one annotation forgotten: that fails at registration, not as a strange body later."""

    def handler(request, body) -> None:  # type: ignore[no-untyped-def] # that is the point
        """Do nothing."""

    with pytest.raises(
        TypeError,
        match=r"^parameters 'request' and 'body' of handler .*handler both take the request; "
        r"annotate the one for the body with its class$",
    ):
        make_handler(handler, {})


@attrs.frozen
class Unresolvable:
    """A body with a field of a type that is nowhere."""

    part: "Nowhere"  # type: ignore[name-defined] # noqa: F821 - that is the point


@attrs.frozen
class Unsupported:
    """A body with a field that JSON values cannot be told apart for."""

    part: Point | Shape


@pytest.mark.parametrize(
    ("body_class", "problem"),
    [
        (Unresolvable, r"name 'Nowhere' is not defined"),
        (Unsupported, r"Type unions may not contain more than one .*"),
    ],
)
def test_a_body_whose_fields_cannot_be_read_is_refused(body_class: type[Any], problem: str) -> None:
    """A class whose fields msgspec cannot read fails at registration, named with the handler and the reason."""

    def handler(body: object) -> None:
        """Do nothing."""

    handler.__annotations__["body"] = body_class
    handler.__qualname__ = "handler"
    with pytest.raises(
        TypeError,
        match=rf"^the fields of {body_class.__name__}, the body of handler handler, cannot be used: {problem}$",
    ) as caught:
        make_handler(handler, {})
    assert caught.value.__cause__ is not None


def test_a_class_that_an_empty_body_fits_is_fine() -> None:
    """Whether an empty body would fit does not matter at registration."""

    def handler(body: AllDefaults) -> object:
        return body

    assert call(handler) == AllDefaults()
    assert call(handler, request(limit=3)) == AllDefaults(3)
