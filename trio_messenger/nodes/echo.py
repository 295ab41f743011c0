"""echo: replies with the value it receives."""

from __future__ import annotations

from trio_messenger import Body, Node, Request


def build() -> Node:
    """Return an echo node."""
    node = Node()

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.require("echo")}

    return node
