"""lin-tso: a linearizable timestamp oracle. Its timestamps are a counter."""

from __future__ import annotations

import itertools
from typing import ClassVar, final

from trio_messenger import LIN_TSO, Body

from .requests import unsupported


@final
class LinTso:
    """Maelstrom's ``lin-tso``, a `SimulatedService`: answers ``ts`` with 0, 1, 2, ..., each once and in this order."""

    age: ClassVar[int] = 0
    """Always 0, because it answers from its newest state; see `SimulatedService.age`."""

    def __init__(self) -> None:
        self._timestamps = itertools.count()

    def handle(self, src: str, body: Body) -> Body | None:  # noqa: ARG002 - the signature of SimulatedService.handle
        """Serve one request; see `SimulatedService.handle`."""
        if body.get("type") != "ts":
            return unsupported(body, LIN_TSO, ("ts",))
        return {"type": "ts_ok", "ts": next(self._timestamps)}
