from trio_messenger import Node, Request

node = Node()
messages = []


@node.on("broadcast")
async def broadcast(request: Request):
    messages.append(request.body["message"])
    for peer in node.peers:
        await node.rpc(peer, {"type": "tell", "message": request.body["message"]})
    return {}


@node.on("tell")
def tell(request: Request):
    messages.append(request.body["message"])
    return {}


@node.on("read")
def read():
    return {"messages": messages}


if __name__ == "__main__":
    node.run()
