"""Nodes with one handler."""

from __future__ import annotations

from trio_messenger import Body, Node, Request


def doubler() -> Node:
    node = Node()

    @node.on("double")
    def double(request: Request) -> Body:
        return {"value": request.body["value"] * 2}

    return node
