from trio_messenger import Body, DurableStore, MemoryStore, Node, Request


def build(store: DurableStore | None = None) -> Node:
    kept = MemoryStore() if store is None else store
    node = Node()

    @node.on("vote")
    async def vote(request: Request) -> Body:
        term, candidate = request.body["term"], request.src
        if term > kept.get("term", -1):
            kept["term"] = term
            kept["voted_for"] = candidate
            await kept.sync()  # first make the vote durable, then give it
        return {"granted": (kept["term"], kept["voted_for"]) == (term, candidate)}

    return node
