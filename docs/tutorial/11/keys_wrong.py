# Don't copy: when the network is cut, each side has a leader.
import trio
from operations import apply

from trio_messenger import Node, Request

node = Node()
values = {}
heard = {}  # by peer: when it was heard last


@node.on("alive")
def hear(request: Request):
    heard[request.src] = trio.current_time()
    values.update(dict(request.require("values")))


async def say_alive():
    for peer in node.peers:
        pairs = list(values.items()) if leader() == node.id else []  # JSON would turn the keys into strings
        await node.send(peer, {"type": "alive", "values": pairs})


node.every(0.25, say_alive)


def leader():
    return min([node.id, *(peer for peer, time in heard.items() if trio.current_time() < time + 1.0)])


async def serve(request: Request):
    if leader() != node.id:
        reply = await node.rpc(leader(), request.body, timeout=1.0)
        return {"value": reply["value"]} if "value" in reply else {}
    outcome = apply(request.body, values)
    await say_alive()
    return outcome


for kind in ("read", "write", "cas"):
    node.on(kind)(serve)
