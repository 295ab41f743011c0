from trio_messenger import AtMostOnce, Node, Request

node = Node()
counts = {}  # by node: what clients have added there


@node.on_init
def begin():
    counts[node.id] = 0


@node.on("add", at_most_once=AtMostOnce())
def add(request: Request):
    counts[node.id] += request.require("delta")
    return {}


@node.on("merge")
def merge(request: Request):
    for name, count in request.require("counts").items():
        counts[name] = max(count, counts.get(name, 0))
    return {}


async def gossip():
    await node.rpc_all(node.peers, {"type": "merge", "counts": counts}, timeout=0.5)


node.every(1.0, gossip)


@node.on("read")
def read():
    return {"value": sum(counts.values())}


if __name__ == "__main__":
    node.run()
