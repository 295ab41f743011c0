"""A node that echoes, and what tests of its life send to it and receive."""

from __future__ import annotations

from typing import Any

import trio

from trio_messenger import Body, Node
from trio_messenger.testing import Network

INIT_BODY = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n3", "n1", "n2"]}
INIT_OK = {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}
ASK = {"type": "ask"}


def echo_node(**kwargs: Any) -> Node:
    node = Node(**kwargs)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    return node


def error(code: int, text: str, in_reply_to: int, msg_id: int) -> Body:
    return {"type": "error", "code": code, "text": text, "in_reply_to": in_reply_to, "msg_id": msg_id}


async def receive_until_end(network: Network) -> list[Body]:
    bodies = []
    while True:
        try:
            bodies.append((await network.receive()).body)
        except trio.EndOfChannel:
            return bodies


async def fail_when_cancelled() -> None:
    """Fail in one task of two on the way out."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        nursery.start_soon(trio.sleep_forever)
