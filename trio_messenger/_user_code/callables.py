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


def check_no_arguments(function: object, taker: str) -> None:
    """Raise TypeError if *function*, given to ``Node.<taker>``, cannot be called without arguments."""
    if not callable(function):
        raise TypeError(f"{taker}() takes a function without arguments, not {function!r:.80}")
    try:
        inspect.signature(function).bind()
    except ValueError:
        pass  # it has no signature to inspect
    except TypeError as exc:
        raise TypeError(f"{taker}() takes a function without arguments, not {function!r:.80}: {exc}") from None
