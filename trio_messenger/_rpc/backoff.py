"""Backoff: how long to wait before trying again.

Exponential, capped, with jitter that only ever lengthens a delay (see M. Brooker, "Exponential Backoff and Jitter",
AWS Architecture Blog, 2015, on why there must be some: without it, those who failed together retry together).
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

    Iterating gives the delays one by one, without end, and draws fresh jitter each time.

    Raises:
      ValueError: if a number makes no sense; the text names it and what it may be.
    """

    base: float = attrs.field(default=0.1, converter=float, validator=at_least(0))
    """The first delay, in seconds."""
    factor: float = attrs.field(default=2.0, converter=float, validator=[_at_least_one, _finite])
    """How many times longer each delay is than the one before."""
    cap: float = attrs.field(default=2.0, converter=float, validator=at_least(0))
    """The longest delay, jitter included, in seconds."""
    jitter: float = attrs.field(default=0.1, converter=float, validator=[at_least(0), _finite])
    """The most that is added at random, as a fraction of the delay; drawn uniformly from 0 up to it."""
    random: Random | None = attrs.field(default=None, eq=False)
    """Where jitter comes from. By default the node's own `Node.random`, or a new generator where there is no node."""

    def __iter__(self) -> Iterator[float]:
        random = self.random or Random()
        delays = self._undisturbed()
        while True:
            delay = next(delays)
            yield min(delay * (1 + random.uniform(0, self.jitter)), self.cap)

    def schedule(self, retries: int) -> list[float]:
        """Return the first *retries* delays in seconds, without jitter; draws nothing.

        Raises:
          ValueError: if *retries* is negative.
        """
        if retries < 0:
            raise ValueError(f"retries is {retries}; give 0 or more")
        return list(itertools.islice(self._undisturbed(), retries))

    def with_random(self, random: Random) -> Backoff:
        """Return this backoff drawing from *random*, unless it has a generator of its own."""
        return self if self.random is not None else attrs.evolve(self, random=random)

    def _undisturbed(self) -> Iterator[float]:
        delay = min(self.base, self.cap)
        while True:
            yield delay
            delay = min(delay * self.factor, self.cap)
