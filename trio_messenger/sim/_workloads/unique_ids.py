"""The unique-ids workload: nodes give ids, none of them twice."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar, final

from trio_messenger import Body

from .._checkers import Results
from .._checkers.unique_ids import unique_ids
from .._explanation import Finding
from .._explanation.scene import Scene
from .._explanation.unique_ids import explain as explain_unique_ids
from .._records.history import History
from .base import Invocation, Reply, Workload


class _GenerateOk(Reply, kw_only=True):
    id: Any


@final
class UniqueIds(Workload):
    """``generate``, answered by ``generate_ok`` with an ``id`` that is any JSON value."""

    name = "unique-ids"
    summary = "nodes give ids, none of them twice"
    replies: ClassVar[dict[str, type[Reply]]] = {"generate": _GenerateOk}
    reuses_clients = True

    def invocations(self, random: Random) -> Iterator[Invocation]:  # noqa: ARG002 - nothing is left to chance
        """Yield what clients do; see `Workload.invocations`."""
        while True:
            yield "generate", None

    def request(self, f: str, value: Any) -> Body:  # noqa: ARG002 - there is none
        """Return the request; see `Workload.request`."""
        return {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:  # noqa: ARG002 - the id is all
        """Return the id; see `Workload.completed`."""
        return reply.id

    def check(self, history: History) -> Results:
        """Judge the history."""
        return unique_ids(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Say who and what; see `Workload.explain`."""
        return explain_unique_ids(results, scene)
