"""What ready-made nodes send when they are served, and a store that outlives them."""

from __future__ import annotations

import json
from collections import UserDict
from typing import Any

import trio

from trio_messenger import Body, MemoryStore, Message, Node
from trio_messenger.testing import Network, running


class Disk(UserDict[str, Any]):
    """A store as on a disk: JSON values, each as it was when it was assigned."""

    def __getitem__(self, name: str) -> Any:
        return json.loads(super().__getitem__(name))

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, json.dumps(value))


class SlowDisk(MemoryStore):
    """A store whose syncs end when the test says so, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs: list[trio.Event] = []

    async def sync(self) -> None:
        self.syncs.append(trio.Event())
        await self.syncs[-1].wait()


async def sent(network: Network) -> Message:
    """Wait for the node's next message, but not for ever."""
    with trio.fail_after(60):
        return await network.receive()


async def heard(network: Network) -> tuple[float, str, Body]:
    """Wait for the node's next message and return when it came, to whom, and its body without ``msg_id``."""
    message = await sent(network)
    return trio.current_time(), message.dest, {key: message.body[key] for key in message.body if key != "msg_id"}


async def served_alone(node: Node, **request: Any) -> Body:
    """Serve *node* as the only one of its cluster for two minutes; return its reply to *request*, all that it sends."""
    async with running(node, init=False) as network:
        await network.send("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1"]})
        await sent(network)
        await trio.sleep(60)
        reply = await network.request(**{"type_": request.pop("type"), **request})
        await trio.sleep(60)
        await network.receive_nothing()
        return reply
