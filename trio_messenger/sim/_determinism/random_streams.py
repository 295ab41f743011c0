"""Keyed streams of random numbers: a draw does not depend on earlier draws for other decisions.

A run has one seed and many random sources: operations, latencies, losses, faults, nodes. If they shared one stream,
removing a fault from a schedule would shift every later draw, and the shrunk run would be a different run. So each
source has its own stream, named by a key, and each message on a link has its own five draws.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Final, NamedTuple, final

_SCALE: Final = 2.0**-53
"""The distance between possible draws, the same as for ``random.random()``."""


class Draws(NamedTuple):
    """The random draws for one message, each from the interval [0, 1)."""

    latency: float
    """Determines its latency."""
    loss: float
    """The message is lost if the probability of loss is greater than this."""
    duplicate: float
    """The message is duplicated if the probability of duplication is greater than this."""
    delay: float
    """Determines how long a copy, or a message that is held back, is delayed."""
    reorder: float
    """The message is held back, so that others overtake it, if the probability of that is greater than this."""


@final
class Streams:
    """All random numbers of a run.

    Args:
      seed: The seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed: Final = seed
        """The seed of the run."""
        digits = b"%d" % seed
        # A key of BLAKE2b has at most 64 bytes.
        self._key = digits if len(digits) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(digits).digest()

    def stream(self, *names: str) -> Random:
        """Return a new generator for the key *names*. The same names and seed always give the same numbers.

        Its seed is a string, which Python hashes in the same way in every process and version.
        """
        return Random("/".join((str(self.seed), *names)))

    def draws(self, src: str, dest: str, n: int) -> Draws:
        """Return the draws for the *n*-th message from *src* to *dest*.

        They come from a hash, because seeding a generator for each message takes twice as long.
        """
        digest = hashlib.blake2b(f"{src}\0{dest}\0{n}".encode(), digest_size=40, key=self._key).digest()
        return Draws(*[(int.from_bytes(digest[i : i + 8], "big") >> 11) * _SCALE for i in range(0, 40, 8)])
