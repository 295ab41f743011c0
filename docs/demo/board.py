from trio_messenger import Node, Request

node = Node()
board = []


@node.on("broadcast")
async def broadcast(request: Request):
    board.append(request.body["message"])
    await node.rpc_all(node.peers, {"type": "tell", "message": request.body["message"]}, timeout=0.5)
    return {}


@node.on("tell")
def tell(request: Request):
    board.append(request.body["message"])
    return {}


@node.on("read")
def read():
    return {"messages": board}


@node.on("topology")
def topology():
    return {}


if __name__ == "__main__":
    node.run()
