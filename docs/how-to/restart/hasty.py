from trio_messenger import Body, DurableStore, Node, Request


def build(store: DurableStore) -> Node:
    node = Node()

    @node.on("add")
    def add(request: Request) -> Body:
        store["elements"] = [*store.get("elements", []), request.body["element"]]
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": store.get("elements", [])}

    return node
