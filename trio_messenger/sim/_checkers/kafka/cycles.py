"""Cycles: operations of which each must come before the next one, and the last one before the first.

An operation comes before another one if that polled a message that it sent, if the same process did that later, or if
that began after its end. The search is that of the checkers of transactions. It takes no order from the offsets of two
messages: messages of several clients interleave in a log, even those of transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

from ..transactions.cycle_search import CYCLE_BUDGET, Cycle, CycleSearch
from ..transactions.dependency_graph import PROCESS, REALTIME, WR, DependencyGraph
from ..transactions.observations import Transaction
from ..transactions.sentences import cycle_in_words
from ..transactions.session_orders import add_process_order, add_realtime_order
from ..values import ValueKey, mention, original
from .log_operations import LogHistory, LogOperation

_SENT: Final = "sent"
"""What a send does to a log, in words."""


def cycles(history: LogHistory) -> dict[str, list[dict[str, Any]]]:
    """Return the cycles of each kind: ``G1c`` of messages only, ``G1c-process``, and ``G1c-realtime``.

    There is one of each kind for each set of operations that are in cycles with each other. Kinds that follow from
    others are left out.
    """
    graph = _Messages(history)
    found: dict[str, list[dict[str, Any]]] = {}
    for cycle in CycleSearch(graph.graph, CYCLE_BUDGET).cycles():
        found.setdefault(cycle.kind, []).append(graph.described(cycle))
    return found


@final
class _Messages:
    """The graph of the operations that are not known to have failed."""

    def __init__(self, history: LogHistory) -> None:
        self._history = history
        self._operations = [each for each in history.transactions if each.outcome != "fail"]
        numbers = {id(each): number for number, each in enumerate(self._operations)}
        self.graph = DependencyGraph(len(self._operations))
        for number, reader in enumerate(self._operations):
            senders = {numbers.get(id(writer), number): None for writer, _, _ in self._polled(reader)}
            for sender in senders.keys() - {number}:
                self.graph.add(sender, number, WR)
        transactions = [
            Transaction(number, each.begun, each.end, each.outcome == "ok", [])
            for number, each in enumerate(self._operations)
        ]
        add_process_order(self.graph, transactions)
        add_realtime_order(self.graph, transactions)

    def _polled(self, reader: LogOperation) -> Iterator[tuple[LogOperation | None, str, ValueKey]]:
        """Yield who sent each message that *reader* polled, its key, and the message."""
        for key, pairs in reader.polled.items():
            for _, value in pairs:
                yield self._history.writer(key, value), key, value

    def described(self, cycle: Cycle) -> dict[str, Any]:
        """Return a cycle in Elle's form: the operations, the first one again at the end, and the steps between them."""
        steps: list[dict[str, Any]] = []
        for before, kind, after in cycle.steps:
            if kind == PROCESS:
                steps.append({"type": "process", "process": self._operations[before].begun.process})
            elif kind == REALTIME:
                steps.append({"type": "realtime"})
            else:
                key, value = self._message(before, after)
                steps.append({"type": "wr", "key": key, "value": original(value)})
        operations = [mention(self._operations[before].end) for before, _, _ in cycle.steps]
        return {"cycle": [*operations, operations[0]], "steps": steps, "text": cycle_in_words(steps, _SENT)}

    def _message(self, before: int, after: int) -> tuple[str, ValueKey]:
        """Return a message that *after* polled from *before*, with its key."""
        sender = self._operations[before]
        found = self._polled(self._operations[after])
        return next((key, value) for writer, key, value in found if writer is sender)
