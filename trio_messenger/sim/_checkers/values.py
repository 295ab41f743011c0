"""JSON values and operations as checkers handle them: told apart, put in order, mentioned in results.

Which values are the same, says `canonical`. To Python ``True``, ``1`` and ``1.0`` are equal, and a list cannot be an
element of a set, so checkers compare what stands for a value here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from .._records.canonical import as_json, canonical, from_json
from .._records.history import Op

Identity: TypeAlias = int | str | bytes
"""What stands for a value in sets and dicts: integers and strings are themselves, for all else it is the JSON text."""

_PLAIN: Final[set[type]] = {int, str}


def identity(value: Any) -> Identity:
    """Return what stands for *value*."""
    if type(value) in _PLAIN:  # not isinstance: True is an int
        return value  # type: ignore[no-any-return]
    return canonical(as_json(value))


def identities(values: Sequence[Any]) -> Sequence[Identity]:
    """Return what stands for each of *values*; for integers and strings, which most are, without a copy."""
    return values if _PLAIN.issuperset(map(type, values)) else [identity(value) for value in values]


def original(of: Identity) -> Any:
    """Return the value that `identity` made *of* from."""
    return from_json(of) if isinstance(of, bytes) else of


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return *values* sorted: numbers, then all others by their JSON text."""
    return sorted(values, key=_rank)


def _rank(value: Any) -> tuple[float, bytes]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else math.inf, as_json(value)


def mention(op: Op, **more: Any) -> dict[str, Any]:
    """Return a JSON object that says which *op* of the history is meant; *more* is added to it."""
    place = {} if op.node is None else {"node": op.node}
    return {"index": op.index, "time": op.time, "process": op.process, **place, "type": op.type, "f": op.f, **more}
