"""JSON values and operations in checkers: how to compare them, sort them, and mention them in results.

In Python ``True``, ``1`` and ``1.0`` are equal, and a list cannot be an element of a set. So checkers compare the
`value_key` of values, which is based on `canonical`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from .._records.canonical import as_json, canonical, from_json
from .._records.history import Op

ValueKey: TypeAlias = int | str | bytes
"""Represents a value in sets and dicts: an integer or string represents itself, any other value is its JSON text."""

_PLAIN_TYPES: Final[set[type]] = {int, str}


def value_key(value: Any) -> ValueKey:
    """Return the key of *value*."""
    if type(value) in _PLAIN_TYPES:  # not isinstance: True is an int
        return value  # type: ignore[no-any-return]
    return canonical(as_json(value))


def value_keys(values: Sequence[Any]) -> Sequence[ValueKey]:
    """Return the key of each of *values*; without a copy if all are integers and strings, which is usual."""
    return values if _PLAIN_TYPES.issuperset(map(type, values)) else [value_key(value) for value in values]


def original(of: ValueKey) -> Any:
    """Return the value whose `value_key` is *of*."""
    return from_json(of) if isinstance(of, bytes) else of


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return *values* sorted: first numbers, then all other values by their JSON text."""
    return sorted(values, key=_rank)


def _rank(value: Any) -> tuple[float, bytes]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else math.inf, as_json(value)


def mention(op: Op, **more: Any) -> dict[str, Any]:
    """Return a JSON object that identifies *op* in the history, with the fields of *more*."""
    place = {} if op.node is None else {"node": op.node}
    return {"index": op.index, "time": op.time, "process": op.process, **place, "type": op.type, "f": op.f, **more}
