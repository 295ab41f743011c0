"""Records: bodies as attrs classes, msgspec structs, dataclasses and TypedDicts.

A record class may know the ``type`` of its bodies: as a class variable, as a field that allows one text only, or as the
tag of a msgspec struct. A field of an attrs class or a dataclass whose name is a keyword with an underscore, such as
``from_``, has the name without it on the wire. A msgspec struct has its own ways to rename fields.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import keyword
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeGuard, TypeVar, cast, get_args, get_origin

import attrs
import msgspec

from .errors import LocalProtocolError, RemoteProtocolError

_T = TypeVar("_T")

RECORD_CLASSES = "an attrs class, a msgspec struct, a dataclass or a TypedDict"
"""What a record class is, for the texts of errors."""


_F = TypeVar("_F", bound=Callable[..., Any])


def _cached(function: _F) -> _F:
    """Cache what *function* returns for a class."""
    return cast("_F", functools.lru_cache(maxsize=1024)(function))


def is_record_class(value: object) -> TypeGuard[type[Any]]:
    """Tell whether *value* is a class whose instances can be bodies."""
    if not isinstance(value, type):
        return typing.is_typeddict(value)
    is_record = attrs.has(value) or dataclasses.is_dataclass(value) or issubclass(value, msgspec.Struct)
    return is_record or typing.is_typeddict(value)


@_cached
def type_of(record_class: Any) -> str | None:
    """Return the ``type`` of the bodies that *record_class* describes; None if it does not say one."""
    if issubclass(record_class, msgspec.Struct):
        config = record_class.__struct_config__
        if config.tag_field == "type" and isinstance(config.tag, str):
            return config.tag
    annotation = _annotation_of_type(record_class)
    if get_origin(annotation) is Literal and len(get_args(annotation)) == 1:
        (only,) = get_args(annotation)
        return only if isinstance(only, str) else None
    value = getattr(record_class, "type", None)
    is_class_variable = annotation is ClassVar or get_origin(annotation) is ClassVar
    return value if is_class_variable and isinstance(value, str) else None


def required_type_of(record_class: Any) -> str:
    """Return the ``type`` of the bodies that *record_class* describes; raise TypeError if it does not say one."""
    kind = type_of(record_class)
    if kind is None:
        name = record_class.__qualname__
        raise TypeError(
            f"{name} does not say which 'type' its bodies have; add 'type: ClassVar[str] = ...' to it, or a field"
            " 'type: Literal[...]'"
        )
    return kind


def _annotation_of_type(record_class: type[Any]) -> Any:
    """Return the annotation of ``type`` alone: other annotations may have names that are unknown here."""
    for base in record_class.__mro__:
        annotation = vars(base).get("__annotations__", {}).get("type")
        if isinstance(annotation, str):
            try:
                return eval(annotation, vars(importlib.import_module(base.__module__)))
            except NameError:
                return None
        if annotation is not None:
            return annotation
    return None


def body_of(record: object) -> Mapping[str, Any] | None:
    """Return *record* as a body, with the names on the wire; None if it is no record.

    Raises:
      LocalProtocolError: if a msgspec struct has a value that JSON cannot carry.
    """
    record_class = type(record)
    if isinstance(record, msgspec.Struct):
        return _of_struct(record)
    if attrs.has(record_class) or dataclasses.is_dataclass(record_class):
        return _make_reader(record_class)(record)
    return None


def _of_struct(record: msgspec.Struct) -> Mapping[str, Any]:
    try:
        body = msgspec.to_builtins(record, str_keys=True)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise LocalProtocolError(f"JSON cannot carry {record!r:.80}: {exc}") from exc
    if not isinstance(body, dict):
        raise LocalProtocolError(f"a body is a JSON object, and this struct becomes an array: {record!r:.80}")
    kind = type_of(type(record))
    return body if kind is None else {"type": kind, **body}


def as_record(value: object, record_class: type[_T]) -> _T:
    """Convert *value*, as decoded from JSON, to *record_class*, or to any type that msgspec knows.

    Raises:
      msgspec.ValidationError: if it does not fit; the text names the path on the wire and the expected type.
    """
    renamed = _renamed(record_class)
    if not renamed or not isinstance(value, dict):
        return msgspec.convert(value, record_class)
    try:
        return msgspec.convert({renamed.get(name, name): item for name, item in value.items()}, record_class)
    except msgspec.ValidationError as exc:
        text = str(exc)
        for wire_name, name in renamed.items():
            text = text.replace(f"`{name}`", f"`{wire_name}`").replace(f"$.{name}", f"$.{wire_name}")
        raise msgspec.ValidationError(text) from exc.__cause__


def as_reply(value: object, record_class: type[_T], what: str) -> _T:
    """Convert *value* as `as_record` does, but raise `RemoteProtocolError` if it does not fit; *what* names it."""
    try:
        return as_record(value, record_class)
    except msgspec.ValidationError as exc:
        raise RemoteProtocolError(f"{what} does not fit: {exc}") from None


def _field_names(record_class: type[Any]) -> list[str]:
    if attrs.has(record_class):
        return [field.name for field in attrs.fields(record_class)]
    return [field.name for field in dataclasses.fields(record_class)]


def _wire_name(name: str) -> str:
    return name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name


@_cached
def _renamed(record_class: Any) -> dict[str, str]:
    """Return the fields whose name on the wire is another one: their names by their names on the wire."""
    if not isinstance(record_class, type) or not (attrs.has(record_class) or dataclasses.is_dataclass(record_class)):
        return {}
    names = _field_names(record_class)
    return {_wire_name(name): name for name in names if _wire_name(name) != name}


@_cached
def _make_reader(record_class: Any) -> Callable[[Any], Mapping[str, Any]]:
    """Return the function that reads the fields of a record of *record_class*."""
    names = [(_wire_name(name), name) for name in _field_names(record_class)]
    kind = type_of(record_class)
    constant = {} if kind is None or "type" in dict(names) else {"type": kind}

    def read(record: Any) -> Mapping[str, Any]:
        return constant | {wire_name: getattr(record, name) for wire_name, name in names}

    return cast("Callable[[Any], Mapping[str, Any]]", read)
