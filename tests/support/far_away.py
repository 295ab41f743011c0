"""A transport from a world whose time of day is not this machine's."""

from __future__ import annotations

import trio

from trio_messenger import Message, Transport


class FarAway(Transport):
    """A transport around *inner*, to where it is midnight on 2 January 2026 when Trio's clock shows 0, plus *ahead*."""

    MIDNIGHT = 1_767_312_000.0

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.ahead = 0.0

    def wall_time(self) -> float:
        return self.MIDNIGHT + trio.current_time() + self.ahead

    async def receive(self) -> list[Message]:
        return await self._inner.receive()

    async def send(self, value: list[bytes]) -> None:
        await self._inner.send(value)

    async def aclose(self) -> None:
        await self._inner.aclose()
