"""Check a workload when its class is defined, so that a mistake is one line then, and not a traceback later."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

from .interface import Reply

_TEXTS: Final = ("name", "summary")
_METHODS: Final = ("request", "completed", "check")
_GENERATORS: Final = ("invocations", "next_invocation")
_ASYNC: Final = "invoke"


def check_definition(cls: type[Any], base: type[Any]) -> None:
    """Check that *cls* defines everything that *base*, the class `Workload`, demands.

    Raises:
      TypeError: if not; the text lists everything that is missing or wrong.
    """
    faults = [*_missing(cls, base), *_wrong(cls)]
    if faults:
        raise TypeError(f"the workload {cls.__qualname__} is incomplete: {'; '.join(faults)}")


def _missing(cls: type[Any], base: type[Any]) -> Iterator[str]:
    lacks = [name for name in (*_TEXTS, "replies") if not hasattr(cls, name)]
    lacks += [f"{name}()" for name in _METHODS if _is_inherited(cls, base, name) and _is_needed(cls, base, name)]
    if all(_is_inherited(cls, base, name) for name in _GENERATORS):
        lacks.append("invocations() or next_invocation()")
    if lacks:
        yield f"it lacks {', '.join(lacks)}"


def _is_inherited(cls: type[Any], base: type[Any], name: str) -> bool:
    return getattr(cls, name) is getattr(base, name)


def _is_needed(cls: type[Any], base: type[Any], name: str) -> bool:
    """Tell whether *cls* needs its own method *name*: an own `invoke` may do without `request` and `completed`."""
    return name == "check" or _is_inherited(cls, base, _ASYNC)


def _wrong(cls: type[Any]) -> Iterator[str]:
    for name in _TEXTS:
        value = getattr(cls, name, "")
        if not isinstance(value, str):
            yield f"{name} is {value!r:.80}; give a text"
    name = getattr(cls, "name", "-")
    if isinstance(name, str) and (not name or set(name) & set("/:\0 ") or name.startswith(".")):
        yield f"name is {name!r:.80}; give a word such as 'greatest', which can name a folder"
    replies = getattr(cls, "replies", {})
    if not isinstance(replies, dict):
        yield f"replies is {replies!r:.80}; give a dict with a subclass of Reply for each function"
    else:
        for f, schema in replies.items():
            if not (isinstance(schema, type) and issubclass(schema, Reply)):
                yield f"replies[{f!r:.80}] is {schema!r:.80}; give a subclass of Reply"
    if not inspect.iscoroutinefunction(cls.invoke):
        yield "invoke() is not async"
    for method in (*_METHODS, *_GENERATORS, "update", "explain", "setup", "final_invocation", "final_invocations"):
        if inspect.iscoroutinefunction(getattr(cls, method, None)):
            yield f"{method}() is async; only invoke() may be"
