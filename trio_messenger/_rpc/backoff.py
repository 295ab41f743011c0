"""Backoff: how long to wait before trying again.

The delays grow exponentially up to a cap, and jitter makes each one longer. Without jitter, callers that fail together
also retry together (see M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from random import Random
from typing import final

import attrs

from .._protocol.validators import at_least


def _at_least_one(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not value >= 1:
        raise ValueError(f"{field.name} is {value}; give 1 (delays that stay the same) or more")


def _finite(_: object, field: attrs.Attribute[float], value: float) -> None:
    if math.isinf(value):
        raise ValueError(f"{field.name} is {value}; give a finite number")


@final
@attrs.frozen(kw_only=True)
class Backoff:
    """A sequence of delays: the n-th, from 0, is ``base * factor**n``, plus jitter, never more than ``cap``.

    Iteration yields the delays without end, and draws new jitter each time.

    Raises:
      ValueError: if a number is out of range; the text names the number and the limit.

    Example:
      >>> backoff = Backoff(base=0.5, factor=2, cap=3, random=Random(1))
      >>> backoff.schedule(4)
      [0.5, 1.0, 2.0, 3.0]
      >>> delays = iter(backoff)
      >>> [round(next(delays), 3) for _ in range(4)]
      [0.507, 1.085, 2.153, 3.0]
    """

    base: float = attrs.field(default=0.1, converter=float, validator=at_least(0))
    """The first delay, in seconds."""
    factor: float = attrs.field(default=2.0, converter=float, validator=[_at_least_one, _finite])
    """How many times longer each delay is than the one before."""
    cap: float = attrs.field(default=2.0, converter=float, validator=at_least(0))
    """The longest delay, jitter included, in seconds."""
    jitter: float = attrs.field(default=0.1, converter=float, validator=[at_least(0), _finite])
    """The largest random addition, as a fraction of the delay; drawn uniformly from 0 to this value."""
    random: Random | None = attrs.field(default=None, eq=False)
    """The source of jitter. The default is `Node.random`, or a new generator if there is no node."""

    def __iter__(self) -> Iterator[float]:
        random = self.random or Random()
        delays = self._undisturbed()
        while True:
            delay = next(delays)
            yield min(delay * (1 + random.uniform(0, self.jitter)), self.cap)

    def schedule(self, retries: int) -> list[float]:
        """Return the first *retries* delays in seconds, without jitter. This draws no random numbers.

        Raises:
          ValueError: if *retries* is negative.
        """
        if retries < 0:
            raise ValueError(f"retries is {retries}; give 0 or more")
        return list(itertools.islice(self._undisturbed(), retries))

    def with_random(self, random: Random) -> Backoff:
        """Return this backoff with *random* as its generator, unless it has a generator already."""
        return self if self.random is not None else attrs.evolve(self, random=random)

    def _undisturbed(self) -> Iterator[float]:
        delay = min(self.base, self.cap)
        while True:
            yield delay
            delay = min(delay * self.factor, self.cap)
