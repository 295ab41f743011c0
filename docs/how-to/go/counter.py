import attrs

from trio_messenger import Body, KeyValue, Node

node = Node(rpc_timeout=1.0)
kv = KeyValue(node, "lin-kv")


@attrs.frozen
class Add:
    delta: int


@node.on("add")
async def add(body: Add) -> Body:
    await kv.update("sum", lambda value: value + body.delta, default=0)
    return {}


@node.on("read")
async def read() -> Body:
    return {"value": await kv.read("sum", default=0)}


if __name__ == "__main__":
    node.run()
