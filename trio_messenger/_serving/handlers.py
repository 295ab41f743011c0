"""Make handlers from registered functions, so that the router can call them with a `Request`.

A function takes the request, or the body as a record class, or both, or nothing. `make_handler` reads this from the
annotations once, at registration. Wrong annotations therefore fail there, and not at the first message.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, final

import attrs
import msgspec

from .._protocol.errors import ErrorCode, RpcError
from .._protocol.messages import Request
from .._protocol.records import RECORD_CLASSES, as_record, is_record_class
from .._user_code.callables import globals_of, is_async_callable

HandlerFunction: TypeAlias = Callable[..., Any]
"""``fn()``, ``fn(request)``, ``fn(body)``, or both in any order; plain or async."""

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@final
@attrs.frozen
class Handler:
    """A registered handler."""

    call: Callable[[Request], Any]
    """Calls the author's function with the arguments that it takes, and returns its result."""
    is_async: bool
    """True if the router must await the result of `call`, in a separate task."""


def make_handler(function: HandlerFunction, local_names: Mapping[str, Any]) -> Handler:
    """Read the annotations of *function* and return it as a `Handler`.

    Args:
      function: The function to register.
      local_names: The local names where it is registered, to resolve annotations that are strings.

    Raises:
      TypeError: if *function* does not have the form of a handler; the text says what to change.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise TypeError(f"a handler is a function, not {function!r}")
    parameters = _parameters(function, name)
    takes = [_what_it_takes(parameter, function, name, local_names) for parameter in parameters]
    if takes.count(Request) > 1:
        one, other = [parameter.name for parameter, take in zip(parameters, takes, strict=True) if take is Request][:2]
        raise TypeError(
            f"parameters {one!r} and {other!r} of handler {name} both take the request; "
            "annotate the one for the body with its class"
        )
    return Handler(_with_arguments(function, takes), is_async_callable(function))


def _parameters(function: HandlerFunction, name: str) -> list[inspect.Parameter]:
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise TypeError(f"handler {name} has no readable signature; wrap it in a function") from None
    # Ignore parameters with a default, such as a variable bound at definition.
    parameters = [p for p in signature.parameters.values() if p.default is inspect.Parameter.empty]
    if any(parameter.kind not in _POSITIONAL for parameter in parameters):
        raise TypeError(
            f"handler {name} takes {signature}; it is called with the request, with the body as its class, "
            "with both or with nothing: def handler(request: Request), def handler(body: MyBody), def handler()"
        )
    return parameters


def _what_it_takes(
    parameter: inspect.Parameter, function: HandlerFunction, name: str, local_names: Mapping[str, Any]
) -> type[Any]:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return Request
    if isinstance(annotation, str):
        annotation = _resolve(annotation, function, f"parameter {parameter.name!r} of handler {name}", local_names)
    if annotation is Request:
        return Request
    if not is_record_class(annotation):
        raise TypeError(
            f"parameter {parameter.name!r} of handler {name} is annotated with {annotation!r}; "
            f"annotate it with Request, or with {RECORD_CLASSES} that describes the body"
        )
    try:
        as_record({}, annotation)
    except msgspec.ValidationError:
        pass  # an empty body rarely fits; this only checks that msgspec can read the fields of the class
    except (NameError, TypeError) as exc:
        raise TypeError(
            f"the fields of {annotation.__qualname__}, the body of handler {name}, cannot be used: {exc}"
        ) from exc
    return annotation


def _resolve(annotation: str, function: HandlerFunction, what: str, local_names: Mapping[str, Any]) -> Any:
    try:
        return eval(annotation, globals_of(function), dict(local_names))
    except Exception as exc:
        raise TypeError(
            f"{what} is annotated with the string {annotation!r}, which has no meaning where the handler is "
            f"registered ({type(exc).__name__}: {exc}); define the class before, in the module or in the same function"
        ) from exc


def _with_arguments(function: HandlerFunction, takes: list[type[Any]]) -> Callable[[Request], Any]:
    if takes == [Request]:
        return function
    if len(takes) == 1:
        (body_class,) = takes
        return lambda request: function(_convert(request, body_class))
    return lambda request: function(*[request if take is Request else _convert(request, take) for take in takes])


def _convert(request: Request, body_class: type[Any]) -> Any:
    try:
        return as_record(request.body, body_class)
    except msgspec.ValidationError as exc:
        reason = str(exc).replace("`$", "`body")
        if exc.__cause__ is not None and exc.__cause__.args:  # a validator's error, to which attrs adds more than text
            reason = reason.replace(str(exc.__cause__), str(exc.__cause__.args[0]))
        raise RpcError(ErrorCode.MALFORMED_REQUEST, f"malformed {request.type!r} request: {reason}") from None
