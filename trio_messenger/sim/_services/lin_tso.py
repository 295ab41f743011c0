"""lin-tso: a source of timestamps, linearizable. It counts."""

from __future__ import annotations

import itertools
from typing import ClassVar, final

from trio_messenger import LIN_TSO, Body

from .requests import unsupported


@final
class LinTso:
    """Maelstrom's ``lin-tso``: answers ``ts`` with 0, 1, 2, ..., each once and in this order; a `Service`."""

    age: ClassVar[int] = 0
    """It answers from its newest state; see `Service.age`."""

    def __init__(self) -> None:
        self._timestamps = itertools.count()

    def handle(self, src: str, body: Body) -> Body | None:  # noqa: ARG002 - the form of Service.handle
        """Serve one request, as `Service.handle`."""
        if body.get("type") != "ts":
            return unsupported(body, LIN_TSO, ("ts",))
        return {"type": "ts_ok", "ts": next(self._timestamps)}
