# Don't copy: what a peer has missed for longer than the retries last, nobody ever tells it.
import trio

from trio_messenger import AtMostOnce, ErrorCode, Node, Request, RpcError

node = Node()
notes = {}  # by an id that the first board gives


@node.on("broadcast", at_most_once=AtMostOnce())
async def broadcast(request: Request):
    note = request.require("message")
    note_id = f"{node.random.getrandbits(64):016x}"
    notes[note_id] = note
    missing = []
    async with trio.open_nursery() as nursery:
        for peer in node.peers:
            nursery.start_soon(tell_again, peer, {"type": "tell", "id": note_id, "message": note}, missing)
    if missing:
        raise RpcError(ErrorCode.TIMEOUT, f"pinned here; not confirmed by {', '.join(missing)}")
    return {}


async def tell_again(peer, body, missing):
    try:
        await node.rpc_retry(peer, body, timeout=0.5)
    except RpcError:
        missing.append(peer)


@node.on("tell")
def tell(request: Request):
    notes[request.require("id")] = request.require("message")
    return {}


@node.on("topology")
def topology():
    return {}


@node.on("read")
def read():
    return {"messages": list(notes.values())}


if __name__ == "__main__":
    node.run()
