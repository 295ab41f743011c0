"""Quantiles as Jepsen computes them: each is one of the values, without interpolation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


def quantiles(values: Iterable[_Number], points: Iterable[float]) -> dict[str, _Number]:
    """Return the quantiles of *values* at *points*.

    Args:
      values: The values, in any order.
      points: Numbers from 0 (the least value) to 1 (the greatest).

    Returns:
      A JSON object whose names are the points, such as ``0.95``; empty if there are no values.
    """
    ascending = sorted(values)
    last = len(ascending) - 1
    return {f"{point:g}": ascending[min(last, int(len(ascending) * point))] for point in points if ascending}
