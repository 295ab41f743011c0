"""How long messages take: Maelstrom's laws."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias, final, get_args

import attrs

from .._faults.bounds import is_not_too_great

Distribution: TypeAlias = Literal["constant", "uniform", "exponential"]
"""How latencies are distributed around their mean; Maelstrom's ``--latency-dist``."""

DISTRIBUTIONS: Final[tuple[Distribution, ...]] = get_args(Distribution)
"""All of them."""


_GREATEST_DRAW: Final = 1 - 2**-53


@final
@attrs.frozen
class Latency:
    """A law of latencies. Drawn in whole milliseconds, as Maelstrom does (its ``net.clj``)."""

    mean: float = attrs.field(default=0.0)
    """Milliseconds. 0 is no latency at all, whatever the distribution (Maelstrom hangs or fails there)."""
    distribution: Distribution = attrs.field(default="constant", validator=attrs.validators.in_(DISTRIBUTIONS))
    """``constant``: the mean; ``uniform``: from 0 up to, but without, twice the mean; ``exponential``."""

    @mean.validator
    def _is_duration(self, _: object, mean: float) -> None:
        if not (0 <= mean < math.inf):
            raise ValueError(f"a latency is {mean} ms; give 0 or more, and a finite number")
        is_not_too_great("a latency in milliseconds", mean)

    @distribution.validator
    def _is_not_in_vain(self, _: object, distribution: str) -> None:
        if self.mean > 0 and self.seconds(_GREATEST_DRAW) == 0:
            raise ValueError(
                f"a {distribution} latency of {self.mean} ms is none, since messages take whole milliseconds;"
                " give 1 or more, or 0"
            )

    def seconds(self, draw: float) -> float:
        """Return the latency, in seconds, that *draw*, evenly distributed from 0 up to 1, stands for."""
        if self.distribution == "constant" or self.mean == 0:
            milliseconds = self.mean
        elif self.distribution == "uniform":
            milliseconds = 2 * self.mean * draw
        else:
            milliseconds = -self.mean * math.log1p(-draw)
        return int(milliseconds) / 1000
