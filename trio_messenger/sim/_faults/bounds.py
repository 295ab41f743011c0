"""attrs validators of the simulator. Their error texts name the field, its value, and the allowed values."""

from __future__ import annotations

import math
from typing import Final

import attrs

GREATEST: Final = 1e9
"""The greatest number of seconds (31 years), and of anything that is multiplied with seconds. In nanoseconds it still
fits into 64 bits, and a float clock at this value still resolves microseconds."""


def is_fraction(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Raise `ValueError` if *value* is not a probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"{field.name} is {value}; give a probability from 0 to 1")


def is_at_least_zero(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Raise `ValueError` if *value* is negative, not finite, or too great."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{field.name} is {value}; give a finite number of 0 or more")
    is_not_too_great(field.name, value)


def is_finite(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Raise `ValueError` if *value* is infinite, NaN, or too great in magnitude."""
    if not math.isfinite(value):
        raise ValueError(f"{field.name} is {value}; give a finite number")
    is_not_too_great(field.name, abs(value))


def is_not_too_great(name: str, value: float, greatest: float = GREATEST) -> None:
    """Raise `ValueError` if *value* is greater than *greatest*."""
    if value > greatest:
        raise ValueError(f"{name} is {value:g}; give {greatest:,.0f} or less")
