"""What all parts of `Node` share."""

from __future__ import annotations

import random
from typing import Final

from .._serving.service import Service


class NodeParts:
    """The base of the parts of `Node`.

    Args:
      seed: Seed of `random`.
    """

    _service: Service  # `Node` sets it: a parameter would make Service a part of the typed public API

    def __init__(self, seed: int | None) -> None:
        self.random: Final[random.Random] = random.Random(seed)
        """The node's own source of random numbers. If a node uses it, a simulated run can be repeated."""
