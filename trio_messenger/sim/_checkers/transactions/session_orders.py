"""The order of processes, and the order of real time, as edges of the graph of dependencies.

A transaction comes before another in real time if it ended before the other began. Most of these pairs follow from
others. The edges here are a chain of instants: a transaction that ends leads to the next instant, and an instant leads
to the transactions that begin after it and to the next instant. So there are at most four edges for each transaction,
however many clients there are, and from a transaction one can get to just those that began after its end.

A transaction whose outcome is unknown may take effect at any time after it began, so no edge leads out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .dependency_graph import PASS, PROCESS, REALTIME, DependencyGraph
from .observations import Transaction


def add_process_order(graph: DependencyGraph, transactions: Sequence[Transaction]) -> None:
    """Add an edge from each transaction that ended as ok to the next one of its process."""
    last: dict[int, int] = {}
    for transaction in transactions:
        process = transaction.begin.process
        if process in last:
            graph.add(last[process], transaction.number, PROCESS)
        if transaction.is_ok:
            last[process] = transaction.number


def add_realtime_order(graph: DependencyGraph, transactions: Sequence[Transaction]) -> None:
    """Add edges so that each transaction that ended as ok reaches all those that began after its end."""
    events = [(each.begin.index, each.number, False) for each in transactions]
    events += [(each.end.index, each.number, True) for each in transactions if each.is_ok and each.end is not None]
    instant: int | None = None
    is_used = True  # whether a transaction has begun since the instant
    for _, number, is_end in sorted(events):
        if not is_end:
            is_used = True
            if instant is not None:
                graph.add(instant, number, PASS)
            continue
        if is_used:
            earlier, instant = instant, graph.auxiliary()
            if earlier is not None:
                graph.add(earlier, instant, PASS)
            is_used = False
        assert instant is not None
        graph.add(number, instant, REALTIME)
