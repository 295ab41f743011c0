"""Topologies: the neighbours of each node, which the broadcast workload sends to the nodes. They are Maelstrom's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

Topology: TypeAlias = Callable[[Sequence[str]], dict[str, list[str]]]
"""Returns the ids of each node's neighbours, given the ids of all nodes."""


def grid(node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Arrange the nodes row by row in a square; the neighbours are below, above, to the right and to the left."""
    side = math.isqrt(len(node_ids) - 1) + 1

    def at(row: int, column: int) -> list[str]:
        index = row * side + column
        return [node_ids[index]] if row >= 0 and 0 <= column < side and index < len(node_ids) else []

    neighbours = {}
    for index, node_id in enumerate(node_ids):
        i, j = divmod(index, side)
        neighbours[node_id] = [*at(i + 1, j), *at(i - 1, j), *at(i, j + 1), *at(i, j - 1)]
    return neighbours


def line(node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Put the nodes in a row; the neighbours are before and after. A single node is left out, as in Maelstrom."""
    if len(node_ids) < 2:  # noqa: PLR2004 - a pair has neighbours
        return {}
    return {
        node_id: [*node_ids[max(index - 1, 0) : index], *node_ids[index + 1 : index + 2]]
        for index, node_id in enumerate(node_ids)
    }


def total(node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Make all nodes neighbours of each other."""
    return {node_id: [other for other in node_ids if other != node_id] for node_id in node_ids}


def tree(branches: int, node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Make a tree, filled level by level: the first node is the root, and each node has at most *branches* children."""
    neighbours: dict[str, list[str]] = {node_id: [] for node_id in node_ids}
    for index, node_id in enumerate(node_ids[1:], 1):
        parent = node_ids[(index - 1) // branches]
        neighbours[parent].append(node_id)
        neighbours[node_id].append(parent)
    return neighbours


TOPOLOGIES: Final[dict[str, Topology]] = {
    "grid": grid,
    "line": line,
    "total": total,
    "tree": partial(tree, 2),
    "tree2": partial(tree, 2),
    "tree3": partial(tree, 3),
    "tree4": partial(tree, 4),
}
"""All topologies, by Maelstrom's names."""
