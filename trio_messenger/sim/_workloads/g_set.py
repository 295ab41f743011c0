"""The g-set workload: a set that only grows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, ClassVar, final

from .._checkers import Results
from .._checkers.set_full import set_full
from .._explanation import Finding
from .._explanation.scene import Scene
from .._explanation.sets import explain as explain_sets
from .._records.history import History
from .adding import Adding
from .interface import Reply
from .shapes import A_LIST, Shape


class _ReadOk(Reply, kw_only=True):
    value: list[Any] | None


@final
class GSet(Adding):
    """``add`` with an ``element``, answered with ``add_ok``; ``read``, answered with the set as a list in ``value``.

    Each element is added only once. Every error ends the operation as ``info``, even a read, as in Maelstrom.
    """

    name = "g-set"
    summary = "a set that only grows"
    rules = (
        "Clients add each element at one node. The nodes have to tell each other: at the end, every node has to have"
        " each element that a node has acknowledged, which means confirmed to a client."
    )
    replies: ClassVar[dict[str, type[Reply]]] = {"add": Reply, "read": _ReadOk}
    shapes: ClassVar[Mapping[str, Shape]] = {"read": A_LIST}
    errors_are_indefinite = True
    field = "element"

    def values(self, random: Random) -> Iterator[Any]:  # noqa: ARG002 - nothing is random
        """Yield 0, 1, 2 and so on; see `Adding.values`."""
        return itertools.count()

    def check(self, history: History) -> Results:
        """Judge the history."""
        return set_full(history, add="add", read="read")

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the nodes, values and messages; see `Workload.explain`."""
        return explain_sets(results, scene, add="add", read="read")
