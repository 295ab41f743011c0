from trio_messenger import Node, Request

node = Node()
messages: set[int] = set()


@node.on("topology")
def topology() -> dict:
    return {}


@node.on("broadcast")
def broadcast(request: Request) -> dict:
    messages.add(request.body["message"])
    for peer in node.peers:
        node.send_nowait(peer, {"type": "tell", "message": request.body["message"]})
    return {}


@node.on("tell")
def tell(request: Request) -> None:
    messages.add(request.body["message"])


@node.on("read")
def read() -> dict:
    return {"messages": sorted(messages)}


if __name__ == "__main__":
    node.run()
