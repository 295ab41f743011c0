import itertools
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

from trio_messenger import Body, Node, Request
from trio_messenger.sim import (
    IMPOSSIBLE,
    WORKLOADS,
    History,
    Impossible,
    Invocation,
    Model,
    Operation,
    Reply,
    Results,
    State,
    Workload,
    linearizable,
    simulate,
)


class QueueModel(Model):
    """``put`` appends a value; ``take`` removes the oldest one, or finds nothing (None)."""

    initial = ()

    def step(self, state: Any, operation: Operation) -> State | Impossible:
        if operation.f == "put":
            return (*state, operation.invocation.value)
        oldest = state[0] if state else None
        if operation.outcome == "ok" and operation.completion.value != oldest:
            return IMPOSSIBLE
        return tuple(state[1:])

    def describe(self, state: Any) -> str:
        return f"a queue of {', '.join(map(str, state)) or 'nothing'}"


class TakeOk(Reply, kw_only=True):
    value: int | None


class Queue(Workload):
    """``put`` with a ``value``; ``take``, answered with the oldest ``value``, or null."""

    name = "queue"
    summary = "first in, first out"
    replies: ClassVar = {"put": Reply, "take": TakeOk}

    def invocations(self, random: Random) -> Iterator[Invocation]:
        values = itertools.count(1)
        while True:
            yield ("put", next(values)) if random.randrange(2) else ("take", None)

    def request(self, f: str, value: Any) -> Body:
        return {"type": f, "value": value} if f == "put" else {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        return reply.value if f == "take" else value

    def check(self, history: History) -> Results:
        found = linearizable(history, QueueModel())
        return {"valid?": found.valid, "failures": [explain(each) for each in found.violations]}


def explain(violation: Any) -> str:
    end = violation.operation.completion
    return f"at {end.time / 1e9:.2f} s {end.f} returned {end.value}, where there was {' or '.join(violation.states)}"


WORKLOADS[Queue.name] = Queue


def build(*, shared: bool) -> Node:
    """Return a node with a queue: its own, or that of n1, which the others ask."""
    node = Node()
    values: list[int] = []

    @node.on("put")
    async def put(request: Request):
        if shared and node.id != "n1":
            await node.rpc("n1", request.body)
        else:
            values.append(request.body["value"])
        return {}

    @node.on("take")
    async def take(request: Request):
        if shared and node.id != "n1":
            return {"value": (await node.rpc("n1", request.body))["value"]}
        return {"value": values.pop(0) if values else None}

    return node


if __name__ == "__main__":
    for shared in (False, True):
        report = simulate("queue", lambda shared=shared: build(shared=shared), nodes=3, rate=20, time_limit=10, seed=1)
        print(f"{'one queue' if shared else 'a queue for each node'}: valid {report.valid}")
        for failure in report.results["workload"]["failures"]:
            print(f"  {failure}")
