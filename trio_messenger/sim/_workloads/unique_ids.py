"""The unique-ids workload: nodes generate ids, each only once."""

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
from .base import Workload
from .interface import Invocation, Reply


class _GenerateOk(Reply, kw_only=True):
    id: Any


@final
class UniqueIds(Workload):
    """``generate``, answered with ``generate_ok`` and an ``id``, which may be any JSON value."""

    name = "unique-ids"
    summary = "nodes generate ids, each only once"
    rules = "Clients ask nodes for ids. No two requests may get the same id, from whichever nodes."
    replies: ClassVar[dict[str, type[Reply]]] = {"generate": _GenerateOk}
    reuses_clients = True

    def invocations(self, random: Random) -> Iterator[Invocation]:  # noqa: ARG002 - nothing is random
        """Yield the operations; see `Workload.invocations`."""
        while True:
            yield "generate", None

    def request(self, f: str, value: Any) -> Body:  # noqa: ARG002 - there is no value
        """Return the request; see `Workload.request`."""
        return {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:  # noqa: ARG002 - only the reply counts
        """Return the id; see `Workload.completed`."""
        return reply.id

    def check(self, history: History) -> Results:
        """Judge the history."""
        return unique_ids(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the ids and messages; see `Workload.explain`."""
        return explain_unique_ids(results, scene)
