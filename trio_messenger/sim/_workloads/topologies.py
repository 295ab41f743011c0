"""Topologies: who is whose neighbour, as the broadcast workload tells the nodes. Maelstrom's, by its names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

Topology: TypeAlias = Callable[[Sequence[str]], dict[str, list[str]]]
"""Makes of the ids of all nodes the ids of each one's neighbours."""


def grid(node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Lay the nodes row by row into a square; neighbours are those below, above, to the right and to the left."""
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
    """Put the nodes in a row; neighbours are those before and behind. A single node is left out, as in Maelstrom."""
    if len(node_ids) < 2:  # noqa: PLR2004 - a pair has neighbours
        return {}
    return {
        node_id: [*node_ids[max(index - 1, 0) : index], *node_ids[index + 1 : index + 2]]
        for index, node_id in enumerate(node_ids)
    }


def total(node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Make everyone a neighbour of everyone else."""
    return {node_id: [other for other in node_ids if other != node_id] for node_id in node_ids}


def tree(branches: int, node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Make a tree, filled level by level, in which each node has up to *branches* children; the first is the root."""
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
"""All of them, by Maelstrom's names."""
