"""A cluster that runs elsewhere, as a run sees it: nodes in this process, behind one transport."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from trio_messenger import Message, Node, Transport
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair

CLIENT: Final = "tester"
"""The id of the clients there."""


def line(src: str, dest: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"src": src, "dest": dest, "body": body}).encode()


@attrs.define(eq=False)
class FarCluster:
    """Nodes that are initialised, each with the ids of all. The ends of the transports are by the id of their owner."""

    nodes: Mapping[str, Node]
    sent: list[Message] = attrs.field(factory=list)
    """All messages, except the first ``init``."""
    ends: dict[str, MemoryTransport] = attrs.field(factory=dict)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Transport]:
        """Run the nodes, and open the transport of the clients."""
        client, self.ends[CLIENT] = memory_transport_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._switch, self.ends[CLIENT])
            for node_id, node in self.nodes.items():
                theirs, self.ends[node_id] = memory_transport_pair()
                init = {"type": "init", "msg_id": 1, "node_id": node_id, "node_ids": list(self.nodes)}
                await self.ends[node_id].send([line("init", node_id, init)])
                nursery.start_soon(node.serve, theirs)
                nursery.start_soon(self._switch, self.ends[node_id])
            yield client
            nursery.cancel_scope.cancel()

    async def _switch(self, end: MemoryTransport) -> None:
        async for messages in end:
            for message in messages:
                if message.dest in self.ends:
                    self.sent.append(message)
                    await self.ends[message.dest].send([line(message.src, message.dest, message.body)])
