"""Whoever reads slowly what a node sends, so that its outbox fills up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from trio.testing import wait_all_tasks_blocked

from support.lines import INIT
from trio_messenger import Message, Node
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair

FILLERS: Final = ("first", "second")
"""The types of the messages that fill an outbox."""


@final
class SlowReader:
    """The other end of the transport of a node: what the node sends waits until `receive` is called."""

    def __init__(self, transport: MemoryTransport, nursery: trio.Nursery) -> None:
        self.transport = transport
        self.nursery = nursery
        """Where the node is served; a test may start its own tasks there."""
        self.node_ended = trio.Event()

    async def send(self, data: bytes) -> None:
        """Send lines to the node."""
        await self.transport.send_bytes(data)

    def send_eof(self) -> None:
        """End the input of the node."""
        self.transport.send_eof()

    async def receive(self, batches: int = 1) -> list[Message]:
        """Return the messages of the next *batches* that the node has sent or sends now."""
        return [message for _ in range(batches) for message in await self.transport.receive()]

    async def receive_rest(self) -> list[Message]:
        """End the input of the node, and return all that it still sends."""
        self.send_eof()
        return [message async for batch in self.transport for message in batch]


@asynccontextmanager
async def slow_reader(node: Node, *, batches: float = 0) -> AsyncIterator[SlowReader]:
    """Serve *node*, which has answered ``init``; on leaving, end its input and read what is left.

    Args:
      node: One that has not served yet.
      batches: How many batches of lines fit on the way to the reader before the writer of the node waits.
    """
    there, here = memory_transport_pair(batches=batches)
    async with here, trio.open_nursery() as nursery:
        reader = SlowReader(here, nursery)

        async def serve() -> None:
            await node.serve(there)
            reader.node_ended.set()

        nursery.start_soon(serve)
        await here.send_bytes(INIT)
        await here.receive()
        yield reader
        await reader.receive_rest()


async def fill_outbox(node: Node) -> None:
    """Let *node*, whose outbox has a limit of 1 byte, send two messages that nobody reads, of the types `FILLERS`.

    The writer has the first in hand, and the second one fills the outbox.
    """
    for kind in FILLERS:
        await wait_all_tasks_blocked()
        node.send_nowait("n2", {"type": kind})
    assert node._service.outbox.is_full
