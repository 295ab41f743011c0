"""Quantiles, as Jepsen takes them: each is one of the values, and none lies between two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


def quantiles(values: Iterable[_Number], points: Iterable[float]) -> dict[str, _Number]:
    """Return the quantiles of *values* at *points*.

    Args:
      values: In any order.
      points: From 0, the least value, to 1, the greatest.

    Returns:
      A JSON object, its names the points, such as ``0.95``; empty if there are no values.
    """
    ascending = sorted(values)
    last = len(ascending) - 1
    return {f"{point:g}": ascending[min(last, int(len(ascending) * point))] for point in points if ascending}
