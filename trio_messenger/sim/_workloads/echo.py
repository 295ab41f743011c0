"""The echo workload: nodes give back what they are given."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar, final

from trio_messenger import Body

from .._checkers import Results
from .._checkers.echo import echo
from .._explanation import Finding
from .._explanation.echo import explain as explain_echo
from .._explanation.scene import Scene
from .._records.history import History
from .base import Invocation, Reply, Workload


class _EchoOk(Reply, kw_only=True):
    echo: Any


@final
class Echo(Workload):
    """``echo`` with a text, answered by ``echo_ok`` with the same."""

    name = "echo"
    summary = "nodes give back what they are given"
    replies: ClassVar[dict[str, type[Reply]]] = {"echo": _EchoOk}

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield what clients do; see `Workload.invocations`."""
        while True:
            yield "echo", f"Please echo {random.randrange(128)}"

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, "echo": value}

    def completed(self, f: str, value: Any, reply: Any) -> Any:  # noqa: ARG002 - what came back is all
        """Return what came back; see `Workload.completed`."""
        return reply.echo

    def check(self, history: History) -> Results:
        """Judge the history."""
        return echo(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Say who and what; see `Workload.explain`."""
        return explain_echo(results, scene)
