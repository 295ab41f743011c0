"""The echo workload: nodes send back the text they receive."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar, final

import attrs

from trio_messenger import Body

from .._checkers import Results
from .._checkers.echo import echo
from .._explanation import Finding
from .._explanation.echo import explain as explain_echo
from .._explanation.scene import Scene
from .._records.history import History, Op
from .base import Workload
from .interface import Invocation, Reply


class _EchoOk(Reply, kw_only=True):
    echo: Any


@final
class Echo(Workload):
    """``echo`` with a text, answered with ``echo_ok`` and the same text."""

    name = "echo"
    summary = "nodes send back the text they receive"
    rules = "Clients send texts to nodes. A node has to send back each text unchanged."
    replies: ClassVar[dict[str, type[Reply]]] = {"echo": _EchoOk}

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield the operations; see `Workload.invocations`."""
        while True:
            yield "echo", f"Please echo {random.randrange(128)}"

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, "echo": value}

    def completed(self, f: str, value: Any, reply: Any) -> Any:  # noqa: ARG002 - only the reply counts
        """Return the echoed value; see `Workload.completed`."""
        return reply.echo

    def adopt(self, op: Op) -> Op:
        """Return the entry with the text only: Maelstrom's history has whole replies; see `Workload.adopt`."""
        if op.type == "ok" and isinstance(op.value, dict) and op.value.get("type") == "echo_ok":
            op = attrs.evolve(op, value=op.value.get("echo"))
        return super().adopt(op)

    def check(self, history: History) -> Results:
        """Judge the history."""
        return echo(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the nodes, values and messages; see `Workload.explain`."""
        return explain_echo(results, scene)
