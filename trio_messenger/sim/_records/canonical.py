"""The canonical form of JSON values. Services and checkers treat two values as equal if their canonical forms are.

Python's ``==`` treats ``True``, ``1`` and ``1.0`` as equal. Maelstrom does not, and neither do we: ``1``, ``"1"``,
``true`` and ``1.0`` are four values. The order of an object's fields and the sign of ``0.0`` are ignored.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

Json: TypeAlias = bytes
"""A JSON value as text, without blanks, with the fields of objects sorted by name."""

as_json: Final = msgspec.json.Encoder(order="deterministic").encode
"""Encodes a value as a `Json`; `from_json` decodes it."""

from_json: Final = msgspec.json.Decoder().decode
"""Decodes a `Json` to a new value."""


def canonical(json: Json) -> Json:
    """Return the canonical form of *json*, which is nearly always *json* itself."""
    return json if b"-0.0" not in json else as_json(_without_sign(from_json(json)))


def _without_sign(value: Any) -> Any:
    """Return *value* with every -0.0 replaced by 0.0, at any depth."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [_without_sign(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_sign(each) for name, each in value.items()}
    return value
