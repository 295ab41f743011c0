from trio_messenger import Body, Node, Request

PATIENCE = 0.5


def build() -> Node:
    node = Node()
    notes: list[int] = []

    def pin(note: int) -> None:
        if note not in notes:
            notes.append(note)

    @node.on("topology")
    def topology() -> Body:
        return {}

    @node.on("read")
    def read() -> Body:
        return {"messages": notes}

    @node.on("tell")
    def tell(request: Request) -> Body:
        pin(request.body["note"])
        return {}

    @node.on("broadcast")
    async def broadcast(request: Request) -> Body:
        note = request.body["message"]
        pin(note)
        await node.rpc_all(node.peers, {"type": "tell", "note": note}, timeout=PATIENCE)
        return {}

    return node
