"""The result of a checker of transactions: the anomalies that were found, and what they say about the models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, final

from .. import Results
from .consistency_models import boundary, unwanted, verdict
from .cycle_search import Cycle, CycleSearch
from .dependency_graph import PROCESS, REALTIME, RW, WR, WW, DependencyGraph
from .observations import Observations, Transaction
from .sentences import cycle_in_words
from .session_orders import add_process_order, add_realtime_order

RECORDS_PER_ANOMALY: Final = 32
"""The number of records of each anomaly in a result. All are counted, but a broken database may show thousands."""

Record: TypeAlias = dict[str, Any]
"""An anomaly as a JSON object. ``text`` says in words what happened."""

Why: TypeAlias = Callable[[int, int, int], dict[str, Any]]
"""Returns why one transaction comes before another, given their numbers and the kind of edge between them."""

_STEP_TYPES: Final = {WW: "ww", WR: "wr", RW: "rw", PROCESS: "process", REALTIME: "realtime"}


@final
class AnomaliesFound:
    """The anomalies found so far."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.counts: dict[str, int] = {}

    def add(self, anomaly: str, record: Record) -> None:
        """Add a record of *anomaly*, unless there are enough already; count it in any case."""
        self.counts[anomaly] = self.counts.get(anomaly, 0) + 1
        records = self.records.setdefault(anomaly, [])
        if len(records) < RECORDS_PER_ANOMALY:
            records.append(record)


def result(
    found: AnomaliesFound, *, models: Sequence[str], anomalies: Iterable[str], reason: str | None, count: int = 0
) -> Results:
    """Return the result of a checker.

    Args:
      found: The anomalies.
      models: The models that the history should satisfy.
      anomalies: Other anomalies that it should not have.
      reason: Why the history could not be judged completely; None if it could.
      count: The number of transactions that were judged.
    """
    is_unwanted = unwanted(models, anomalies)
    here = {name: found.records[name] for name in sorted(found.records)}
    bad = {name: records for name, records in here.items() if name in is_unwanted}
    others = {name: records for name, records in here.items() if name not in is_unwanted}
    weakest, other_models, strongest = boundary(found.records)
    return {
        "valid?": verdict(bad, reason),
        **({} if reason is None else {"reason": reason}),
        "consistency-models": list(models),
        "strongest": [] if reason is not None and not found.records else strongest,
        "transaction-count": count,
        "anomaly-types": list(bad),
        "anomalies": bad,
        "anomaly-counts": {name: found.counts[name] for name in here},
        "other-anomalies": others,
        "not": weakest,
        "also-not": other_models,
    }


def add_orders(graph: DependencyGraph, seen: Observations) -> None:
    """Add the orders of processes and of real time to *graph*."""
    add_process_order(graph, seen.transactions)
    add_realtime_order(graph, seen.transactions)


def add_cycles(
    found: AnomaliesFound, graph: DependencyGraph, seen: Observations, *, why: Why, verb: str, budget: int
) -> str | None:
    """Add all cycles of *graph* to *found*.

    Returns:
      Why the search was incomplete; None if it was complete.
    """
    search = CycleSearch(graph, budget)
    for cycle in search.cycles():
        found.add(cycle.kind, cycle_record(cycle, seen, why, verb))
    if search.undecided:
        return (
            f"the search for cycles with a single rw edge followed {budget:,} edges, its budget, and did not finish:"
            " some of the cycles that are called G-nonadjacent-item may hide others called G-single-item; give a"
            " larger budget"
        )
    return None


def cycle_record(cycle: Cycle, seen: Observations, why: Why, verb: str) -> Record:
    """Return the record of a cycle, in Elle's form: the transactions, the first one again at the end, and the steps."""
    steps: list[Record] = []
    for before, kind, after in cycle.steps:
        first = seen.transactions[before]
        if kind == PROCESS:
            steps.append({"type": "process", "process": first.begin.process})
        elif kind == REALTIME:
            steps.append({"type": "realtime"})
        else:
            steps.append({"type": _STEP_TYPES.get(kind, ""), **why(before, kind, after)})
    transactions = [seen.transactions[before].mention() for before, _, _ in cycle.steps]
    return {
        "type": cycle.kind,
        "cycle": [*transactions, transactions[0]],
        "steps": steps,
        "text": cycle_in_words(steps, verb),
    }


def too_little(transactions: Sequence[Transaction]) -> str | None:
    """Return why *transactions* are too few to judge; None if they are not."""
    if not any(each.is_ok for each in transactions):
        return "no transaction ended as ok"
    if not any(is_read for each in transactions if each.is_ok for is_read, _, _ in each.ops):
        return "no transaction that ended as ok has a read, so nobody saw the effect of any write"
    return None
