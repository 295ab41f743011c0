import logging

from trio_messenger import Body, Node, Request

log = logging.getLogger("board")
node = Node(envelope_log=3)


@node.on("broadcast")
def broadcast(request: Request) -> Body:
    log.info("%s pins %r", request.src, request.body["message"])
    print("prints go to stderr, too")
    return {}


@node.on("ask")
async def ask(request: Request) -> Body:
    reply = await node.rpc(request.body["whom"], {"type": "read"}, timeout=0.25)
    return {"answer": reply["messages"]}


@node.on("status")
def status() -> Body:
    latest = [f"{envelope.dir} {envelope.msg_type}" for envelope in node.envelopes]
    pending = [rpc.dest for rpc in node.pending]
    return {"pending": pending, "reaped": node.stats.reaped, "latest": latest}


if __name__ == "__main__":
    node.run(log_level="INFO")
