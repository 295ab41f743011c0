"""echo: replies with the value it receives."""

from __future__ import annotations

from trio_messenger import Body, Node, Request


def build() -> Node:
    """Return an echo node.

    Example:
      >>> from trio_messenger.nodes import echo
      >>> async def main():
      ...     async with running(echo.build()) as network:
      ...         print(await network.request("echo", echo="hi"))
      >>> trio.run(main)
      {'type': 'echo_ok', 'echo': 'hi', 'in_reply_to': 1, 'msg_id': 1}
    """
    node = Node()

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.require("echo")}

    return node
