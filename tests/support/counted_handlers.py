"""Handlers that are to serve each request once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from trio_messenger import AtMostOnce, Body, Node, Request
from trio_messenger.testing import Network

plain_and_async = pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])


class Counted:
    """A handler that counts its calls and answers with their number, or as it is told."""

    def __init__(self, answer: Callable[[int], object] | None = None) -> None:
        self.calls = 0
        self._answer = answer or (lambda n: {"n": n})

    def register(self, node: Node, once: AtMostOnce, *, is_async: bool, type_: str = "add") -> Counted:
        if is_async:

            async def handle_async(request: Request) -> Any:
                await trio.lowlevel.checkpoint()
                return self._serve()

            node.on(type_, at_most_once=once)(handle_async)
        else:

            def handle() -> Any:
                return self._serve()

            node.on(type_, at_most_once=once)(handle)
        return self

    def _serve(self) -> object:
        self.calls += 1
        return self._answer(self.calls)


async def ask(network: Network, msg_id: int | None, *, src: str = "c1", type_: str = "add") -> Body:
    """Send a request with that number, and return the body of the reply without the reply's own number."""
    await network.send(src, {"type": type_, "msg_id": msg_id})
    reply = await network.receive()
    assert (reply.dest, reply.body.pop("in_reply_to")) == (src, msg_id)
    del reply.body["msg_id"]
    return reply.body


class Gate:
    """A handler that waits until it is let through, and then answers, or raises what it is told to."""

    def __init__(self, node: Node, once: AtMostOnce, error: Exception | None = None) -> None:
        self.calls: list[int | None] = []
        self.open = trio.Event()
        self._error = error
        node.on("wait", at_most_once=once)(self.handle)

    async def handle(self, request: Request) -> Body:
        self.calls.append(request.msg_id)
        await self.open.wait()
        if self._error is not None:
            raise self._error
        return {"calls": len(self.calls)}
