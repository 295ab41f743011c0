"""Annotations of handlers that are strings, and names in them that mean nothing."""

import functools
import re
import sys
import types
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from support.handler_bodies import WRITE, call, decorated, request

from trio_messenger import Node, Request  # noqa: F401 - annotations that are strings name it
from trio_messenger._serving.handlers import make_handler

SOURCE = """
from __future__ import annotations
import attrs
from trio_messenger import Request

@attrs.frozen
class Put:
    key: str
    parts: list[Part] = attrs.Factory(list)

@attrs.frozen
class Part:
    n: int

def both(request: Request, body: Put) -> dict:
    return request, body

class Service:
    def __call__(self, body: Put) -> dict:
        return body

def register_local(node, register):
    @attrs.frozen
    class Local:
        key: str

    @register(node, "local")
    def handler(body: Local) -> dict:
        return body

def register_too_early(node):
    @node.on("local")
    def handler(body: Local) -> dict:
        return body

    @attrs.frozen
    class Local:
        key: str
"""


@pytest.fixture
def module() -> Any:
    """A module under ``from __future__ import annotations``."""
    made = types.ModuleType("author")
    exec(compile(SOURCE, "author.py", "exec", dont_inherit=True), made.__dict__)
    return made


def test_annotations_of_another_module_are_resolved_there(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in annotations mean what they mean in the module of the function, not in the one that registers it."""
    monkeypatch.setitem(sys.modules, "author", module)
    given = request(key="k", parts=[{"n": 1}])
    put = module.Put("k", [module.Part(1)])
    assert call(module.both, given) == (given, put)
    assert call(functools.partial(module.both, given), given) == (given, put)
    assert call(module.Service(), given) == put
    assert call(module.Service().__call__, given) == put
    assert call(decorated(module.both), given) == ("wrapped", (given, put))


def test_classes_that_are_local_to_a_function_are_found(module: Any) -> None:
    """A class defined in the function that registers the handler is in scope, as it is for the reader."""
    node = Node()

    def on(node: Node, type_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return node.on(type_)

    @attrs.frozen
    class Local:
        key: str

    @node.on("direct")
    def handler(body: "Local") -> "Local":
        return body

    assert handler(Local("k")) == Local("k")
    assert make_handler(handler, locals()).call(WRITE) == Local("k")
    with pytest.raises(TypeError, match="'Local', which has no meaning where the handler is registered"):
        module.register_local(node, on)  # registered one function further out than its class


def test_a_local_class_under_future_annotations(module: Any) -> None:
    """The same under ``from __future__ import annotations``, if `Node.on` is called where the class is."""
    node = Node()
    module.register_local(node, Node.on)
    with pytest.raises(ValueError, match=r"^'local' has a handler already; a type of request has one handler$"):
        module.register_local(node, Node.on)


def test_a_name_that_means_nothing_fails_at_registration(module: Any) -> None:
    """A class that is not there yet is named, with the handler, the parameter and what to do."""
    text = (
        "parameter 'body' of handler register_too_early.<locals>.handler is annotated with the string 'Local', which "
        "has no meaning where the handler is registered ("
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}.*") as caught:
        module.register_too_early(Node())
    assert str(caught.value).endswith("); define the class before, in the module or in the same function")
    assert isinstance(caught.value.__cause__, NameError)


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        ("Nowhere", "NameError: name 'Nowhere' is not defined"),
        ("Request.nothing", "AttributeError: type object 'Request' has no attribute 'nothing'"),
        ("1 +", "SyntaxError: invalid syntax (<string>, line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_string_that_cannot_be_read_fails_at_registration(annotation: str, problem: str) -> None:
    """Whatever goes wrong with an annotation is a TypeError that shows it."""

    def handler(x: object) -> None:
        """Do nothing."""

    handler.__annotations__["x"] = annotation
    handler.__qualname__ = "handler"
    text = (
        f"parameter 'x' of handler handler is annotated with the string {annotation!r}, which has no meaning where "
        f"the handler is registered ({problem}); define the class before, in the module or in the same function"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        make_handler(handler, {})
