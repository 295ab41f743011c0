"""The nodes under load: `trio-messenger node bench.nodes:build`."""

from __future__ import annotations

import gc

import trio

from trio_messenger import Body, Node, Request

LEAK_TIMEOUT = 2.0
"""Seconds until a leaked RPC is reaped: longer than it takes to leak 100,000, so that all are pending at once."""


def build() -> Node:
    """Return a node that serves what the benchmark asks for, in the plainest form."""
    node = Node()

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.body["echo"]}

    @node.on("relay")
    async def relay(request: Request) -> Body:
        reply = await node.rpc("n2", {"type": "fwd", "value": request.body["value"]})
        return {"value": reply["value"]}

    @node.on("wait")
    async def wait(request: Request) -> Body:
        await trio.lowlevel.checkpoint()
        return {"value": request.body["value"]}

    ended = 0

    def count(_: Body | Exception) -> None:
        nonlocal ended
        ended += 1

    @node.on("leak")
    def leak(request: Request) -> Body:
        value = request.body["value"]
        node.rpc_callback("n2", {"type": "fwd", "value": value}, count, timeout=LEAK_TIMEOUT)
        return {"value": value}

    @node.on("ended")
    def report_ended() -> Body:
        gc.collect()
        return {"value": ended}

    return node
