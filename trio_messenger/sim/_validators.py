"""attrs validators of the simulator, whose texts name the field, the value, and what it may be."""

from __future__ import annotations

import math

import attrs


def is_fraction(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"{field.name} is {value}; give a probability from 0 to 1")


def is_at_least_zero(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse what is negative, or not finite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{field.name} is {value}; give 0 or more, and a finite number")


def is_finite(_: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse infinities and what is no number."""
    if not math.isfinite(value):
        raise ValueError(f"{field.name} is {value}; give a finite number")
