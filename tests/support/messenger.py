"""What is sent to a messenger, and what comes back."""

from __future__ import annotations

from typing import Any

from trio_messenger import Body
from trio_messenger.testing import Network

ECHO = {"type": "echo", "echo": "hello"}


async def send(network: Network, type_: str, msg_id: int = 1, src: str = "c1", **fields: Any) -> None:
    """Send a request whose reply is not the next message."""
    await network.send(src, {"type": type_, **fields, "msg_id": msg_id})


def keys(body: Body, type_: str) -> list[str]:
    """Return the payload's keys of a reply, in their order, once the reserved ones are where they belong."""
    assert body["type"] == type_, body
    first, *payload, in_reply_to, msg_id = body
    assert (first, in_reply_to, msg_id) == ("type", "in_reply_to", "msg_id")
    return payload


def error(body: Body) -> tuple[int, str]:
    assert keys(body, "error") == ["code", "text"]
    return body["code"], body["text"]
