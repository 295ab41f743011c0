from trio_messenger import Body, Node, Request


def build() -> Node:
    return _build(never_goes_back=True)


def build_wrong() -> Node:
    return _build(never_goes_back=False)


def _build(*, never_goes_back: bool) -> Node:
    node = Node()
    known = 0

    @node.on("propose")
    async def propose(request: Request) -> Body:
        learn(request)
        for peer in node.peers:
            await node.send(peer, {"type": "learn", "number": known})
        return {}

    @node.on("read")
    def read() -> Body:
        return {"number": known}

    @node.on("learn")
    def learn(request: Request) -> None:
        nonlocal known
        told = request.body["number"]
        known = max(known, told) if never_goes_back else told

    return node
