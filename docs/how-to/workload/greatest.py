import itertools
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

from trio_messenger import Body
from trio_messenger.sim import Finding, History, Invocation, Reply, Results, Scene, Workload


class ReadOk(Reply, kw_only=True):
    number: int


class Greatest(Workload):
    """``propose`` with a ``number``; ``read``, answered with the greatest ``number``."""

    name = "greatest"
    summary = "all nodes come to know the greatest number that any was told"
    replies: ClassVar = {"propose": Reply, "read": ReadOk}
    idempotent = frozenset({"read"})

    def invocations(self, random: Random) -> Iterator[Invocation]:
        numbers = itertools.count(1)
        while True:
            yield ("propose", next(numbers)) if random.randrange(2) else ("read", None)

    def final_invocation(self) -> Invocation:
        return "read", None

    def request(self, f: str, value: Any) -> Body:
        return {"type": f, "number": value} if f == "propose" else {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        return reply.number if f == "read" else value

    def check(self, history: History) -> Results:
        return check(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        wrong = {read.node: read for read in map(scene.history.__getitem__, results["wrong"])}
        went_back = [scene.history[index] for index in results["went-back"]]
        told = [(read, f"at the end; the greatest number is {results['greatest']}") for read in wrong.values()]
        told += [(read, "after a greater number") for read in went_back]
        return [Finding(f"{read.node} read {read.value} {what}", scene.messages_of(read)) for read, what in told]


def check(history: History) -> Results:
    """Judge whether the last reads gave the greatest number, and none less than before."""
    proposals = history.operations("propose")
    greatest = max([each.invocation.value for each in proposals if each.outcome == "ok"], default=0)
    perhaps = [each.invocation.value for each in proposals if each.outcome == "info"]
    reads = [each.completion for each in history.operations("read") if each.completion and each.outcome == "ok"]
    last = [read for read in reads if read.final]
    wrong = [read.index for read in last if read.value != greatest and not greatest < read.value in perhaps]
    went_back, latest = [], dict[int, int]()
    for read in reads:
        if read.value < latest.get(read.process, 0):
            went_back.append(read.index)
        latest[read.process] = read.value
    valid = not wrong and not went_back
    return {
        "valid?": valid if last or not valid else "unknown",
        "greatest": greatest,
        "last-reads": len(last),
        "wrong": wrong,
        "went-back": went_back,
    }
