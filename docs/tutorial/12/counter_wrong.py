# Don't copy: it publishes each addition once, and counts on it.
from trio_messenger import AtMostOnce, Node, Request

node = Node()
guests = {"value": 0}


@node.on("add", at_most_once=AtMostOnce())
async def add(request: Request):
    guests["value"] += request.require("delta")
    for peer in node.peers:
        await node.send(peer, {"type": "tell", "delta": request.body["delta"]})
    return {}


@node.on("tell")
def tell(request: Request):
    guests["value"] += request.require("delta")


@node.on("read")
def read():
    return guests


if __name__ == "__main__":
    node.run()
