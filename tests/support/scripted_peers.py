"""Peers that follow a script: what they say to each request of the node, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio
import trio.testing

from trio_messenger import Body, Message
from trio_messenger.testing import Network

Replies: TypeAlias = Sequence[tuple[float, Body]]
"""What is said to one request: bodies, and how many seconds after the request came. None: no word."""

OK = {"type": "ask_ok"}


def error(code: int, text: str = "no") -> Body:
    """Return the body of an error reply."""
    return {"type": "error", "code": code, "text": text}


class Script:
    """What the peers of a node are to say, and what they were asked.

    Args:
      network: Where the node sends.
      replies: For each request in the order of sending; there is no word to further ones.
    """

    def __init__(self, network: Network, replies: Sequence[Replies]) -> None:
        self.requests: list[Message] = []
        self.times: list[float] = []
        self._network = network
        self._replies = replies

    async def play(self) -> None:
        """Take requests and say what the script has for them, until the node closes."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    request = await self._network.receive()
                except trio.EndOfChannel:
                    return
                self.requests.append(request)
                self.times.append(trio.current_time())
                if len(self.requests) <= len(self._replies):
                    for after, body in self._replies[len(self.requests) - 1]:
                        nursery.start_soon(self._reply, request, after, body)

    async def _reply(self, request: Message, after: float, body: Body) -> None:
        await trio.sleep(after)
        await self._network.reply(request, body)


@asynccontextmanager
async def scripted(network: Network, *replies: Replies) -> AsyncIterator[Script]:
    """Play the peers of a node; what has not been said on leaving is not said any more."""
    script = Script(network, replies)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(script.play)
        yield script
        await trio.testing.wait_all_tasks_blocked()  # what the node sent is here
        nursery.cancel_scope.cancel()
