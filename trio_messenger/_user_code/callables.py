"""Inspect functions before they are called."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def is_async_callable(function: object) -> bool:
    """Tell whether calling *function* returns a coroutine. An object with an async ``__call__`` counts as well."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def is_function(value: object) -> bool:
    """Tell whether *value* is a function, a method or a partial, and not just an object that can be called."""
    return inspect.isroutine(value) or isinstance(value, functools.partial)


def globals_of(function: Any) -> dict[str, Any]:
    """Return the module-level names that the code of *function* sees; look through partials and wrappers."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    if not inspect.isroutine(function):
        function = type(function).__call__
    return getattr(function, "__globals__", {})


def check_arguments(function: object, args: tuple[object, ...], taker: str) -> None:
    """Raise TypeError if *function*, given to ``Node.<taker>``, cannot be called with *args*."""
    if not callable(function):
        raise TypeError(f"{taker}() takes a function, not {function!r:.80}")
    try:
        inspect.signature(function).bind(*args)
    except ValueError:
        pass  # it has no signature to inspect
    except TypeError as exc:
        given = f"the arguments {args!r:.80}" if args else "no arguments"
        raise TypeError(f"{taker}() cannot call {function!r:.80} with {given}: {exc}") from None


def is_plain_function(function: object) -> bool:
    """Tell whether *function* is certainly not async: a ``def``, and not a lambda, which may return an awaitable."""
    while isinstance(function, functools.partial):
        function = function.func
    is_lambda = getattr(function, "__name__", "") == "<lambda>"
    return inspect.isfunction(function) and not inspect.iscoroutinefunction(function) and not is_lambda
