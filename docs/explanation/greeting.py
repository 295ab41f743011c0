"""Don't copy: a node that greets its peers in the order of a set, which the seed does not decide."""

from trio_messenger import Node, Request


def build():
    node = Node()

    @node.on_init
    async def greet():
        for peer in set(node.peers):
            await node.send(peer, {"type": "hello"})

    @node.on("hello")
    def hello():
        return {}

    @node.on("echo")
    def echo(request: Request):
        return {"echo": request.require("echo")}

    return node
