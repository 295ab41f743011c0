"""Latency distributions of the simulated network; the same as Maelstrom's."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias, final, get_args

import attrs

from .._faults.bounds import is_not_too_great

Distribution: TypeAlias = Literal["constant", "uniform", "exponential"]
"""How latencies are distributed around their mean; Maelstrom's ``--latency-dist``."""

DISTRIBUTIONS: Final[tuple[Distribution, ...]] = get_args(Distribution)
"""All distributions."""


_GREATEST_DRAW: Final = 1 - 2**-53


@final
@attrs.frozen
class Latency:
    """A distribution of latencies. Latencies are whole milliseconds, as in Maelstrom (``net.clj``).

    Example:
      >>> Latency(100).seconds(0.9), Latency(100, "uniform").seconds(0.9), Latency(100, "exponential").seconds(0.9)
      (0.1, 0.18, 0.23)
    """

    mean: float = attrs.field(default=0.0)
    """The mean in milliseconds. 0 means no latency with any distribution (Maelstrom hangs or fails with 0)."""
    distribution: Distribution = attrs.field(default="constant", validator=attrs.validators.in_(DISTRIBUTIONS))
    """``constant``: the mean; ``uniform``: from 0 to less than twice the mean; ``exponential``."""

    @mean.validator
    def _is_duration(self, _: object, mean: float) -> None:
        if not (0 <= mean < math.inf):
            raise ValueError(f"a latency is {mean} ms; give a finite number of 0 or more")
        is_not_too_great("a latency in milliseconds", mean)

    @distribution.validator
    def _is_not_in_vain(self, _: object, distribution: str) -> None:
        if self.mean > 0 and self.seconds(_GREATEST_DRAW) == 0:
            raise ValueError(
                f"a {distribution} latency of {self.mean} ms is always 0, because latencies are whole milliseconds;"
                " give 1 or more, or 0 for no latency"
            )

    def seconds(self, draw: float) -> float:
        """Return the latency in seconds for *draw*, a number that is uniformly distributed from 0 to less than 1."""
        if self.distribution == "constant" or self.mean == 0:
            milliseconds = self.mean
        elif self.distribution == "uniform":
            milliseconds = 2 * self.mean * draw
        else:
            milliseconds = -self.mean * math.log1p(-draw)
        return int(milliseconds) / 1000
