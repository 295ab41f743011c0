import itertools
from typing import ClassVar

from trio_messenger import Node
from trio_messenger.sim import IMPOSSIBLE, Model, Reply, Workload, linearizable, simulate


class QueueModel(Model):
    """``put`` appends a value; ``take`` removes the oldest one, or finds nothing (None)."""

    initial = ()

    def step(self, state, operation):
        if operation.f == "put":
            return (*state, operation.invocation.value)
        if operation.outcome == "ok" and operation.completion.value != (state[0] if state else None):
            return IMPOSSIBLE
        return state[1:]


class Done(Reply, kw_only=True):
    value: int | None


class Queue(Workload):
    name, summary = "queue", "first in, first out"
    replies: ClassVar = {"put": Done, "take": Done}

    def invocations(self, random):
        for value in itertools.count(1):
            yield ("put", value) if random.randrange(2) else ("take", None)

    def request(self, f, value):
        return {"type": f, "value": value}

    def completed(self, f, value, reply):
        return reply.value if f == "take" else value

    def check(self, history):
        found = linearizable(history, QueueModel())
        why = [f"took {v.operation.completion.value} where there was {v.states}" for v in found.violations]
        return {"valid?": found.valid, "why": why}


def build(is_shared=True):
    node, values = Node(), []

    @node.on("put")
    @node.on("take")
    async def serve(request):
        if is_shared and node.id != "n1":
            return {"value": (await node.rpc("n1", request.body))["value"]}
        if request.type == "put":
            values.append(request.body["value"])
            return {"value": None}
        return {"value": values.pop(0) if values else None}

    return node


if __name__ == "__main__":
    for name, is_shared in {"a queue for each node": False, "one queue": True}.items():
        report = simulate(Queue, lambda shared=is_shared: build(shared), nodes=3, rate=20, time_limit=10, seed=1)
        print(f"{name}: valid {report.valid}", *report.results["workload"]["why"], sep="\n  ")
