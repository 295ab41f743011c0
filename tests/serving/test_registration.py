"""Registration: types, decorators and the options of a node."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from support.handlers import doubler

from trio_messenger import Node


@pytest.mark.parametrize(
    ("message_type", "text"),
    [
        ("double", r"^'double' has a handler already; a type of request has one handler$"),
        ("init", r"^the node handles 'init' messages itself; use on_init to take part in 'init'$"),
        ("error", r"^the node handles 'error' messages itself; errors reply to RPCs$"),
    ],
)
def test_type_that_is_taken_is_refused(message_type: str, text: str) -> None:
    """A type has one handler, and those of the node itself have none from outside."""
    with pytest.raises(ValueError, match=text):
        doubler().on(message_type)(lambda: None)


@pytest.mark.parametrize("message_type", [None, 5, ["echo"]])
def test_type_that_is_no_string_is_refused(message_type: Any) -> None:
    """The type of a request is a string; the text shows how it is given."""
    text = re.escape(f"on() takes the type of the requests, as in @node.on('echo'), not {message_type!r}")
    with pytest.raises(TypeError, match=f"^{text}$"):
        Node().on(message_type)


def test_on_without_its_type_is_refused() -> None:
    """A decorator that was written without parentheses fails where it stands, not at the first message."""

    def handle() -> None: ...

    text = re.escape(f"on() takes the type of the requests, as in @node.on('echo'), not {handle!r:.80}")
    with pytest.raises(TypeError, match=f"^{text}$"):
        Node().on(handle)  # type: ignore[arg-type]


def test_type_that_was_taken_meanwhile_is_refused() -> None:
    """Of two decorators made for one type, the second to be used raises."""
    node = Node()
    first, second = node.on("x"), node.on("x")
    first(lambda: None)
    with pytest.raises(ValueError, match=r"^'x' has a handler already; a type of request has one handler$"):
        second(lambda: None)


def test_handler_is_returned_as_it_was() -> None:
    """Decorating leaves the function usable: on(), on_init() and background() return it."""
    node = Node()

    def plain() -> None: ...

    async def async_fn() -> None: ...

    assert node.on("x")(plain) is plain
    assert node.on_init(plain) is plain
    assert node.background(async_fn) is async_fn


def test_definite_codes_are_the_applications_own() -> None:
    """A code that the protocol defines cannot be given another meaning."""
    with pytest.raises(ValueError, match=r"^definite_codes contains 13; give codes from 1000 up$"):
        Node(definite_codes=[1000, 13])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *(
            ({"rpc_timeout": it}, f"the timeout of an RPC is {it!r} s; give 0 or more, or math.inf to wait forever")
            for it in (-1, math.nan, "2", None)
        ),
        *(({"max_handlers": it}, f"max_handlers is {it!r}; give 1 or more") for it in (0, -1, math.nan, "5", None)),
        *(({"outbox_limit": it}, f"outbox_limit is {it!r}; give 1 or more") for it in (0, -1, math.nan, "5", None)),
        *(({"grace": it}, f"grace is {it!r}; give 0 or more") for it in (-1, -math.inf, math.nan, "1", None)),
        *(
            ({"envelope_log": it}, f"envelope_log is {it!r}; give 0 (no log) or more")
            for it in (-1, math.nan, 2.5, "5", None)
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    """A number that is too small, or none, is a ValueError when the node is made, which names it and what to give."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Node(**options)


def test_options_at_their_least_are_taken() -> None:
    """The least that the texts allow is allowed, and so is what has no end."""
    Node(rpc_timeout=0, max_handlers=1, outbox_limit=1, grace=0, envelope_log=0)
    Node(rpc_timeout=math.inf, grace=math.inf)


def test_transport_is_wrapped_by_a_function() -> None:
    """What cannot be called wraps no transport, and is a TypeError when the node is made."""
    with pytest.raises(TypeError, match=r"^'wrap_transport' must be callable \(got 5 that is a <class 'int'>\)\.$"):
        Node(wrap_transport=5)  # type: ignore[arg-type]
