"""Converters and validators of options, whose texts name the value and the allowed ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from .._checkers.transactions.consistency_models import canonical_model
from .._faults.bounds import is_not_too_great
from .._faults.faults import Fault

GREATEST_RATE: Final = 1e6
"""The maximum number of operations per second. With more, virtual time could not advance between two operations."""

GREATEST_COUNT: Final = 10_000
"""The maximum number of keys, of operations in a transaction, and of writes to a key."""


def as_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return *values* as a tuple.

    Raises:
      ValueError: if they are a single string, whose characters would each become a name.
    """
    if isinstance(values, str):
        raise ValueError(f"{values!r:.80} is a single text; give a list of names: {values.split(',')!r:.80}")
    return tuple(values)


def as_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return *faults* as a tuple.

    Raises:
      ValueError: if they are a single fault, or one of them is not a fault.
    """
    return tuple(_checked(faults))


def _checked(faults: Any) -> Iterator[Fault]:
    if isinstance(faults, Fault):
        raise ValueError(f"faults is a single {faults.kind}; give a list of faults")
    for fault in faults:
        if not isinstance(fault, Fault):
            raise ValueError(f"{fault!r:.80} is not a fault; give a fault such as Kill(nodes=['n1'], at=5, until=10)")
        yield fault


def is_duration(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse a number of seconds that is negative, not finite or too large."""
    if not (0 <= value < math.inf):
        raise ValueError(f"{field.name} is {value}; give 0 or more")
    is_not_too_great(field.name, value)


def are_models(_: object, __: object, names: tuple[str, ...]) -> None:
    """Refuse names of consistency models that do not exist, and an empty list of them."""
    for name in names:
        canonical_model(name)
    if not names:
        raise ValueError("consistency_models is empty; give at least one, such as 'strict-serializable'")


def is_count(_: object, field: attrs.Attribute[int], value: int) -> None:
    """Refuse a number that is less than 1 or too large."""
    if value < 1:
        raise ValueError(f"{field.name} is {value}; give 1 or more")
    is_not_too_great(field.name, value, GREATEST_COUNT)


def is_rate(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse a rate that is negative, not finite or too large."""
    if value < math.inf:
        is_not_too_great(field.name, value, GREATEST_RATE)
    is_duration(_, field, value)
