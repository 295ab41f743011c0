"""Check a workload when its class is defined, so that a mistake is one line then, and not a traceback later."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

from .foreign_texts import shown
from .interface import Reply
from .shapes import Shape

_METHODS: Final = ("request", "completed", "check")
_GENERATORS: Final = ("invocations", "next_invocation")
_ASYNC: Final = ("invoke", "leftovers")
_PLAIN_METHODS: Final = (
    *(*_METHODS, *_GENERATORS, "check_setting", "update", "final_invocation", "final_invocations", "setup"),
    *("client_state", "client_timeout", "parse", "outcome", "adopt", "explain", "pictures"),
)
_WITHOUT_RESULT: Final = ("check_setting", "update")
"""Methods that nobody iterates over: as generators, they would do nothing."""

_LONGEST_NAME: Final = 100
"""Bytes of the name of a workload, which names a folder."""

_NO_NAMES: Final = frozenset({"latest", "index.html"})
"""What is in a store besides the folders of workloads."""

_Rule: TypeAlias = tuple[Callable[[Any], bool], str]
"""Tells whether a value fits, and what to give instead."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _can_name_a_folder(name: str) -> bool:
    return bool(name) and name.isprintable() and not set(name) & set("/: ") and not name.startswith(".")


def _are_functions(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, (str, bytes)) and all(map(_is_text, value))


def _are_shapes(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_text(f) and isinstance(value[f], Shape) for f in value)


_OF_CLASSES: Final[Mapping[str, tuple[_Rule, ...]]] = {
    "name": (
        (_is_text, "give a text"),
        (_can_name_a_folder, "give a word such as 'greatest', which can name a folder"),
        (lambda name: len(name.encode()) <= _LONGEST_NAME, f"give at most {_LONGEST_NAME} bytes"),
        (lambda name: name not in _NO_NAMES, "give another word: in a folder of runs, this one names something else"),
    ),
    "summary": ((_is_text, "give a text"),),
    "replies": (
        (lambda value: isinstance(value, dict), "give a dict with a subclass of Reply for each function"),
        (lambda value: all(map(_is_text, value)), "give the name of a function as each key"),
    ),
    "rules": ((_is_text, "give a text"),),
    "clients_per_node": (
        (lambda value: _is_number(value) and isinstance(value, int) and value >= 1, "give a whole number from 1"),
    ),
}
"""The attributes that are read from the class, before there is an instance."""

_OF_INSTANCES: Final[Mapping[str, tuple[_Rule, ...]]] = {
    "shapes": ((_are_shapes, "give a dict with a Shape for each function"),),
    "idempotent": ((_are_functions, "give a set of functions, such as frozenset({'read'})"),),
    "errors_are_indefinite": ((_is_flag, "give True or False"),),
    "reuses_clients": ((_is_flag, "give True or False"),),
    "final_pause": ((lambda value: _is_number(value) and 0 <= value < float("inf"), "give seconds, from 0"),),
    "final_limit": ((lambda value: _is_number(value) and value > 0, "give seconds, above 0"),),
}
"""The attributes that are read from an instance, which may set them, or have properties for them."""


def check_definition(cls: type[Any], base: type[Any]) -> None:
    """Check that *cls* defines everything that *base*, the class `Workload`, demands.

    Raises:
      TypeError: if not; the text lists everything that is missing or wrong.
    """
    faults = [*_missing(cls, base), *_wrong_attributes(cls), *_wrong_methods(cls)]
    if faults:
        raise TypeError(f"the workload {cls.__qualname__} is incomplete: {'; '.join(faults)}")


def faults_of_instance(workload: object) -> Iterator[str]:
    """Yield what is wrong with the attributes that *workload*, an instance, has."""
    for name, rules in _OF_INSTANCES.items():
        yield from _against(name, getattr(workload, name), rules)


def _missing(cls: type[Any], base: type[Any]) -> Iterator[str]:
    lacks = [name for name in ("name", "summary", "replies") if not hasattr(cls, name)]
    lacks += [f"{name}()" for name in _METHODS if _is_inherited(cls, base, name) and _is_needed(cls, base, name)]
    if all(_is_inherited(cls, base, name) for name in _GENERATORS):
        lacks.append("invocations() or next_invocation()")
    if lacks:
        yield f"it lacks {', '.join(lacks)}"


def _is_inherited(cls: type[Any], base: type[Any], name: str) -> bool:
    return getattr(cls, name) is getattr(base, name)


def _is_needed(cls: type[Any], base: type[Any], name: str) -> bool:
    """Tell whether *cls* needs its own method *name*: an own `invoke` may do without `request` and `completed`."""
    return name == "check" or _is_inherited(cls, base, "invoke")


def _wrong_attributes(cls: type[Any]) -> Iterator[str]:
    for name, rules in _OF_CLASSES.items():
        if hasattr(cls, name):
            yield from _against(name, getattr(cls, name), rules)
    replies = getattr(cls, "replies", {})
    for f, schema in replies.items() if isinstance(replies, dict) else ():
        if not (isinstance(schema, type) and issubclass(schema, Reply)):
            yield f"replies[{shown(f)}] is {shown(schema)}; give a subclass of Reply"
    for name, rules in _OF_INSTANCES.items():
        value = inspect.getattr_static(cls, name)
        if not hasattr(type(value), "__get__"):  # a property has a value for each instance
            yield from _against(name, value, rules)
    setting = inspect.getattr_static(cls, "setting")
    if isinstance(setting, property) and setting.fset is None:
        yield "setting cannot be set; leave it to the run, which sets it"


def _against(name: str, value: Any, rules: tuple[_Rule, ...]) -> Iterator[str]:
    """Yield what is wrong with *value* by the first of *rules* that it does not fit."""
    for fits, give in rules:
        if not fits(value):
            yield f"{name} is {shown(value)}; {give}"
            return


def _wrong_methods(cls: type[Any]) -> Iterator[str]:
    for name in (*_PLAIN_METHODS, *_ASYNC):
        method = getattr(cls, name)
        if not callable(method):
            yield f"{name} is {shown(method)}; give a method"
        elif name in _ASYNC:
            if not inspect.iscoroutinefunction(method):
                yield f"{name}() is not async"
        elif inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            yield f"{name}() is async; only invoke() may be"
        elif name in _WITHOUT_RESULT and inspect.isgeneratorfunction(method):
            yield f"{name}() has a yield, so it would do nothing; leave the yield out"
