from functools import partial

from trio_messenger import AtMostOnce, Node, Request

node = Node()
counts = {}  # by node: what clients have added there
known = {}  # by peer: the counts that it has acknowledged


@node.on_init
def begin():
    counts[node.id] = 0
    known.update({peer: {} for peer in node.peers})


@node.on("add", at_most_once=AtMostOnce())
def add(request: Request):
    counts[node.id] += request.require("delta")
    return {}


def merge(counts, others):
    for name, count in others.items():
        counts[name] = max(count, counts.get(name, 0))


@node.on("merge")
def learn(request: Request):
    merge(counts, request.require("counts"))
    merge(known[request.src], request.body["counts"])
    return {}


def acknowledge(peer, sent, outcome):
    if not isinstance(outcome, Exception):
        merge(known[peer], sent)


def gossip():
    for peer in node.peers:
        news = {name: count for name, count in counts.items() if count > known[peer].get(name, 0)}
        if news:
            node.rpc_callback(peer, {"type": "merge", "counts": news}, partial(acknowledge, peer, news))


node.every(1.0, gossip)


@node.on("read")
def read():
    return {"value": sum(counts.values())}


if __name__ == "__main__":
    node.run()
