from trio_messenger import ErrorCode, Node, Request, RpcError

node = Node()
messages = []


@node.on("broadcast")
async def broadcast(request: Request):
    note = request.require("message")
    messages.append(note)
    told = await node.rpc_all(node.peers, {"type": "tell", "message": note}, timeout=0.5)
    if told.errors:
        raise RpcError(ErrorCode.TIMEOUT, f"pinned here; not confirmed by {', '.join(told.errors)}")
    return {}


@node.on("tell")
def tell(request: Request):
    messages.append(request.require("message"))
    return {}


@node.on("read")
def read():
    return {"messages": messages}


if __name__ == "__main__":
    node.run()
