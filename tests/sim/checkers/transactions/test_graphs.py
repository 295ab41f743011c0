"""The graph of dependencies: components, auxiliary nodes, and the orders of sessions, against plain definitions."""

from __future__ import annotations

from random import Random

from support.transactions import in_real_time, in_session, random_transaction_history

from trio_messenger.sim._checkers.transactions.components import KIND_BITS, strong_components
from trio_messenger.sim._checkers.transactions.dependency_graph import RW, DependencyGraph
from trio_messenger.sim._checkers.transactions.list_versions import list_read
from trio_messenger.sim._checkers.transactions.observations import Observations
from trio_messenger.sim._checkers.transactions.session_orders import add_process_order, add_realtime_order


def reached(out: list[list[int]], start: int) -> set[int]:
    """Return the nodes to which edges lead from *start*, over any others."""
    found: set[int] = set()
    waiting = [start]
    while waiting:
        for edge in out[waiting.pop()]:
            if edge >> KIND_BITS not in found:
                found.add(edge >> KIND_BITS)
                waiting.append(edge >> KIND_BITS)
    return found


def test_nodes_that_reach_each_other_are_one_component() -> None:
    """And an edge between two components leads to the smaller number."""
    random = Random(1)
    for _ in range(200):
        size = random.randint(1, 9)
        out = [[random.randrange(size) << KIND_BITS for _ in range(random.randint(0, 2))] for _ in range(size)]
        component, count = strong_components(out)
        assert set(component) == set(range(count))
        reach = [reached(out, node) for node in range(size)]
        for a in range(size):
            for b in range(size):
                same = a == b or (b in reach[a] and a in reach[b])
                assert (component[a] == component[b]) is same
                assert same or b not in reach[a] or component[b] < component[a]


def test_edges_of_a_kind_that_does_not_count_are_no_edges() -> None:
    """The set of kinds has a bit for each."""
    out = [[1 << KIND_BITS | 3], [0 << KIND_BITS | 4]]
    assert strong_components(out)[1] == 1
    assert strong_components(out, 1 << 3)[1] == 2


def test_edges_from_many_to_many_reach_all_but_the_node_itself() -> None:
    """Whether auxiliary nodes are used or not, and whoever is on both sides."""
    random = Random(1)
    for _ in range(200):
        size = random.randint(1, 12)
        before = random.sample(range(size), random.randint(1, size))
        after = random.sample(range(size), random.randint(1, size))
        for each in before:
            graph = DependencyGraph(size)
            graph.add_all(before, after, RW)
            for other in range(size):  # only the edges of one node, not those of the nodes that it reaches
                if other != each:
                    graph.out[other].clear()
            assert {node for node in reached(graph.out, each) if node < size} == set(after) - {each}


def test_edges_from_many_to_many_are_few() -> None:
    """Their number grows as the sum, not as the product."""
    graph = DependencyGraph(2000)
    graph.add_all(range(1000), range(2000), RW)
    assert sum(map(len, graph.out)) < 11_000


def test_the_orders_of_sessions_are_those_of_their_definitions() -> None:
    """From each transaction, edges lead to just those that come later in its process, or in real time."""
    for seed in range(100):
        whole = random_transaction_history(Random(seed), "append")
        seen = Observations(whole, "append", list_read)
        operations = [each for each in whole.operations("txn") if each.outcome != "fail"]
        for add, order in ((add_process_order, in_session), (add_realtime_order, in_real_time)):
            graph = DependencyGraph(len(operations))
            add(graph, seen.transactions)
            for number, operation in enumerate(operations):
                later = {node for node in reached(graph.out, number) if node < len(operations)}
                assert later == {other for other, each in enumerate(operations) if order(operation, each)}, seed
            assert sum(map(len, graph.out)) <= 4 * len(operations)
