"""Topologies: Maelstrom's graphs of neighbours."""

from __future__ import annotations

from collections import deque

import pytest

from trio_messenger.sim import TOPOLOGIES
from trio_messenger.sim._workloads.topologies import Topology


def ids(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def edges(topology: Topology, count: int) -> set[frozenset[str]]:
    """Return the pairs of neighbours."""
    return {frozenset((one, other)) for one, others in topology(ids(count)).items() for other in others}


@pytest.mark.parametrize("count", [*range(1, 28), 100])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_is_connected_and_mutual(name: str, count: int) -> None:
    """Every node is there, each a neighbour of its neighbours and not of itself, and a message can reach all."""
    neighbours = TOPOLOGIES[name](ids(count))
    if (name, count) == ("line", 1):
        assert neighbours == {}  # in Maelstrom, too
        return
    assert list(neighbours) == ids(count)
    for node_id, others in neighbours.items():
        assert len(set(others)) == len(others)
        assert node_id not in others
        assert all(node_id in neighbours[other] for other in others)
    reached, queue = {"n1"}, deque(["n1"])
    while queue:
        for other in neighbours[queue.popleft()]:
            if other not in reached:
                reached.add(other)
                queue.append(other)
    assert len(reached) == count


def test_the_grid_is_a_square_filled_row_by_row() -> None:
    """Five nodes make rows of three; neighbours are told as Maelstrom does: below, above, right, left."""
    assert TOPOLOGIES["grid"](ids(5)) == {
        "n1": ["n4", "n2"],
        "n2": ["n5", "n3", "n1"],
        "n3": ["n2"],
        "n4": ["n1", "n5"],
        "n5": ["n2", "n4"],
    }


def test_the_line_has_ends() -> None:
    """The first and the last have one neighbour."""
    assert TOPOLOGIES["line"](ids(3)) == {"n1": ["n2"], "n2": ["n1", "n3"], "n3": ["n2"]}


def test_all_are_neighbours_in_total() -> None:
    """Everyone has everyone else, in the order of the nodes."""
    assert TOPOLOGIES["total"](ids(3)) == {"n1": ["n2", "n3"], "n2": ["n1", "n3"], "n3": ["n1", "n2"]}


@pytest.mark.parametrize(("name", "branches"), [("tree", 2), ("tree2", 2), ("tree3", 3), ("tree4", 4)])
def test_a_tree_is_filled_level_by_level(name: str, branches: int) -> None:
    """The first node is the root, with as many children as the name says; there are no cycles."""
    neighbours = TOPOLOGIES[name](ids(25))
    assert neighbours["n1"] == ids(25)[1 : branches + 1]
    assert neighbours["n2"] == ["n1", *ids(25)[branches + 1 : 2 * branches + 1]]
    assert len(edges(TOPOLOGIES[name], 25)) == 24
