# Don't copy: it says that nothing was done when it does not know.
from trio_messenger import ErrorCode, Node, Request, RpcError, RpcTimeout

node = Node()
messages = []


@node.on("broadcast")
async def broadcast(request: Request):
    note = request.body["message"]
    messages.append(note)
    for peer in node.peers:
        try:
            await node.rpc(peer, {"type": "tell", "message": note}, timeout=0.5)
        except RpcTimeout:
            messages.remove(note)
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, f"{peer} is away; try again later") from None
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
