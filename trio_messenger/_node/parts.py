"""What all parts of `Node` share."""

from __future__ import annotations

import random
from collections.abc import Callable
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
        self._exposed: object = None  # see `Node.expose`; None for the node itself
        self._show: Callable[[], object] | None = None  # returns what is exposed; None if it is `_exposed`
