from typing import ClassVar

from trio_messenger import Node, RpcError
from trio_messenger.sim import Reply, Workload, simulate


class Done(Reply, kw_only=True):
    ticket: int


class Tickets(Workload):
    name, summary = "tickets", "no two clients hold the same ticket"
    replies: ClassVar = {"take": Done, "give": Done}

    def __init__(self):
        self.held = {}  # the ticket of each process

    def next_invocation(self, context, random):
        ticket = self.held.get(context.process)
        return ("take", None) if ticket is None else ("give", ticket)

    def update(self, op):
        if op.type == "ok":
            self.held[op.process] = op.value if op.f == "take" else None

    async def invoke(self, client, f, value):
        try:
            return await super().invoke(client, f, value)
        except RpcError as exc:
            if exc.code == 11:
                return None  # the node has no ticket left
            raise

    def request(self, f, value):
        return {"type": f} if value is None else {"type": f, "ticket": value}

    def completed(self, f, value, reply):
        return reply.ticket

    def check(self, history):
        held, twice = set(), []
        for op in history:
            if op.f == "give" and op.type == "invoke":
                held.discard(op.value)  # from now on, another client may get it
            elif op.f == "take" and op.type == "ok" and op.value is not None:
                twice += [op.value] if op.value in held else []
                held.add(op.value)
        return {"valid?": not twice, "twice": twice}


def build(is_shared=True):
    node, tickets = Node(), [3, 2, 1]

    @node.on("take")
    @node.on("give")
    async def serve(request):
        if is_shared and node.id != "n1":
            return await node.rpc("n1", request.body)
        if request.type == "give":
            tickets.append(request.body["ticket"])
            return {"ticket": tickets[-1]}
        if tickets:
            return {"ticket": tickets.pop()}
        raise RpcError(11, "no ticket is left")

    return node


if __name__ == "__main__":
    for is_shared in (False, True):
        report = simulate(Tickets, lambda: build(is_shared), nodes=3, concurrency=6, rate=20, time_limit=10)  # noqa: B023
        print(f"shared {is_shared}: valid {report.valid}, twice {report.results['workload']['twice'][:5]}")
