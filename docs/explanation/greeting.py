"""Don't copy: a node that greets its peers in the order of a set, which the seed does not decide."""

from trio_messenger import Node, Request


def build():
    node = Node()

    @node.on("hello")
    def hello():
        return {}

    @node.on("echo")
    async def echo(request: Request):
        for peer in set(node.peers):
            await node.send(peer, {"type": "hello"})
        return {"echo": request.require("echo")}

    return node
