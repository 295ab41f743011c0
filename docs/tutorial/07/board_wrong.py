# Don't copy: it tells a note again and again, and each time it is pinned.
from trio_messenger import Node, Request, RpcTimeout

node = Node()
messages = []


@node.on("broadcast")
async def broadcast(request: Request):
    note = request.require("message")
    messages.append(note)
    for peer in node.peers:
        await tell_until_answered(peer, {"type": "tell", "message": note})
    return {}


async def tell_until_answered(peer, body):
    while True:
        try:
            return await node.rpc(peer, body, timeout=0.5)
        except RpcTimeout:
            pass


@node.on("tell")
def tell(request: Request):
    messages.append(request.require("message"))
    return {}


@node.on("read")
def read():
    return {"messages": messages}


if __name__ == "__main__":
    node.run()
