"""When two JSON values are the same, to services and to checkers: if and only if their canonical forms are.

Python's ``==`` takes ``True``, ``1`` and ``1.0`` for one value. Maelstrom does not, so neither do we: ``1``, ``"1"``,
``true`` and ``1.0`` are four values. The order in which an object lists its fields does not matter, nor does the sign
of ``0.0``.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

Json: TypeAlias = bytes
"""A JSON value as text: the fields of objects sorted by name, no blanks."""

as_json: Final = msgspec.json.Encoder(order="deterministic").encode
"""Returns the text of a value, a `Json`, that `from_json` makes the same value of."""

from_json: Final = msgspec.json.Decoder().decode
"""Returns a new value, which the text stands for."""


def canonical(json: Json) -> Json:
    """Return what all texts of values that are the same have in common: *json* itself, nearly always."""
    return json if b"-0.0" not in json else as_json(_without_sign(from_json(json)))


def _without_sign(value: Any) -> Any:
    """Return *value* with 0.0 for -0.0, wherever that is."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [_without_sign(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_sign(each) for name, each in value.items()}
    return value
