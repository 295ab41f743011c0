# Don't copy: it adds what it is told, each time that it is told.
import trio

from trio_messenger import AtMostOnce, ErrorCode, Node, Request, RpcError

node = Node()
guests = {"value": 0}


@node.on("add", at_most_once=AtMostOnce())
async def add(request: Request):
    delta = request.require("delta")
    guests["value"] += delta
    missing = []
    async with trio.open_nursery() as nursery:
        for peer in node.peers:
            nursery.start_soon(tell_again, peer, {"type": "tell", "delta": delta}, missing)
    if missing:
        raise RpcError(ErrorCode.TIMEOUT, f"added here; not confirmed by {', '.join(missing)}")
    return {}


async def tell_again(peer, body, missing):
    try:
        await node.rpc_retry(peer, body, timeout=0.5)
    except RpcError:
        missing.append(peer)


@node.on("tell")
def tell(request: Request):
    guests["value"] += request.require("delta")
    return {}


@node.on("read")
def read():
    return guests


if __name__ == "__main__":
    node.run()
