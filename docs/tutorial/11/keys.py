from contextlib import suppress

from election import Elections
from operations import apply

from trio_messenger import AtMostOnce, ErrorCode, Node, Request, RpcError


class Keys(Elections):
    def __init__(self, node: Node, store):
        super().__init__(node, store)
        self.log = store.get("log", [])
        for kind in ("read", "write", "cas"):
            node.on(kind, at_most_once=AtMostOnce())(self.serve)
        node.on("append")(self.on_append)
        node.every(0.25, self.heartbeat)

    async def serve(self, request: Request):
        if self.leader is None:
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "no leader is known")
        if self.leader == self.node.id:
            return await self.lead(request.body)
        reply = await self.node.rpc(self.leader, request.body, timeout=1.0)
        return {"value": reply["value"]} if "value" in reply else {}

    async def lead(self, operation):
        self.log = self.store["log"] = log = [*self.log, [self.term, operation]]
        if not await self.ask_majority(self.entries(), "ok"):
            raise RpcError(ErrorCode.TIMEOUT, "no majority has confirmed it; it may still happen")
        return answer(log)

    def entries(self):
        return {"type": "append", "term": self.term, "log": self.log}

    async def heartbeat(self):
        if self.leader == self.node.id:
            await self.node.rpc_all(self.node.peers, self.entries(), timeout=0.25)

    def on_append(self, request: Request):
        term, log = request.require("term"), request.require("log")
        self.observe(term)
        if term < self.term:
            return {"ok": False}
        self.leader = request.src
        self.timer.reset()
        if end_of(log) >= end_of(self.log):
            self.log = self.store["log"] = log
        return {"ok": True}

    def end(self):
        return end_of(self.log)


def end_of(log):
    return [log[-1][0] if log else 0, len(log)]  # the term of the last entry, and the number of entries


def answer(log):
    """Do all operations of the log, and return the answer to the last one."""
    values = {}
    for _, operation in log[:-1]:
        with suppress(RpcError):
            apply(operation, values)
    return apply(log[-1][1], values)


def build(store, member=Keys):
    node = Node()
    member(node, store)
    return node
