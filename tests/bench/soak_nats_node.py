"""The node of the soak over NATS: `trio-messenger node bench.soak_nats_node:build`."""

from __future__ import annotations

from trio_messenger import Body, LocalProtocolError, Node, Request

OVERSIZED = 2 * 1024 * 1024
"""Bytes of a value that the server does not take."""

RPC_TIMEOUT = 0.5
"""Seconds that the node waits for a peer that does not exist."""


def build() -> Node:
    """Return a node that echoes, asks a peer that is not there, and tries to send too much."""
    node = Node(rpc_timeout=RPC_TIMEOUT)

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.body["echo"]}

    @node.on("ask")
    def ask() -> Body:
        node.rpc_callback("n2", {"type": "fwd"}, lambda _: None)
        return {}

    @node.on("big")
    async def big() -> Body:
        try:
            await node.rpc("n2", {"type": "fwd", "value": "x" * OVERSIZED})
        except LocalProtocolError as exc:
            return {"refused": f"{exc}"}
        return {}

    return node
