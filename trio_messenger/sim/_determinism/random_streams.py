"""Streams of random numbers, keyed: what one decision draws does not depend on what others drew before.

A run has one seed and many sources of chance: operations, latencies, losses, faults, nodes. Were they to draw from one
stream, removing one fault from a schedule would shift every draw behind it, and the shrunk run would be another run.
So each source has a stream of its own, named by a key, and each message on a link its own four draws.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Final, NamedTuple, final

_SCALE: Final = 2.0**-53
"""The distance between the floats that a draw can be, as with ``random.random()``."""


class Draws(NamedTuple):
    """What chance has decided of one message; each from 0 up to, but without, 1."""

    latency: float
    """For its latency."""
    loss: float
    """It is lost where the probability of that is greater."""
    duplicate: float
    """It is duplicated where the probability of that is greater."""
    delay: float
    """For the delay of a copy, or of a message that others are to overtake."""
    reorder: float
    """Others may overtake it where the probability of that is greater."""


@final
class Streams:
    """All the chance of a run.

    Args:
      seed: Of the whole run.
    """

    def __init__(self, seed: int) -> None:
        self.seed: Final = seed
        """Of the whole run."""
        digits = b"%d" % seed
        # A key has 64 bytes at the most.
        self._key = digits if len(digits) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(digits).digest()

    def stream(self, *names: str) -> Random:
        """Return a new generator for what *names* say, at its beginning; the same for the same names and seed.

        Seeded with a string, which Python hashes in the same way in every process and version.
        """
        return Random("/".join((str(self.seed), *names)))

    def draws(self, src: str, dest: str, n: int) -> Draws:
        """Return the draws for the *n*-th message from *src* to *dest*.

        A hash and no generator: to seed one for each message takes twice as long.
        """
        digest = hashlib.blake2b(f"{src}\0{dest}\0{n}".encode(), digest_size=40, key=self._key).digest()
        return Draws(*[(int.from_bytes(digest[i : i + 8], "big") >> 11) * _SCALE for i in range(0, 40, 8)])
