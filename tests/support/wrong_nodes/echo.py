"""Echo nodes that are wrong."""

from __future__ import annotations

import trio

from trio_messenger import Body, Node, Request


def cuts_short() -> Node:
    """Answers with no more than the first dozen characters."""
    node = Node()

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.body["echo"][:12]}

    return node


def mixes_up() -> Node:
    """Answers each client with what the one before it said."""
    node = Node()
    said = ""

    @node.on("echo")
    def echo(request: Request) -> Body:
        nonlocal said
        before, said = said, request.body["echo"]
        return {"echo": before}

    return node


def drops_some() -> Node:
    """Does not answer every tenth request."""
    node = Node()
    count = 0

    @node.on("echo")
    def echo(request: Request) -> Body | None:
        nonlocal count
        count += 1
        return {"echo": request.body["echo"]} if count % 10 else None

    return node


def dawdles() -> Node:
    """Takes a second longer than clients wait, now and then."""
    node = Node()

    @node.on("echo")
    async def echo(request: Request) -> Body:
        await trio.sleep(6 if node.random.random() < 0.1 else 0)
        return {"echo": request.body["echo"]}

    return node


def answers_with_more() -> Node:
    """Says in each reply who it is, for which there is no field."""
    node = Node()

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.body["echo"], "node": node.id}

    return node
