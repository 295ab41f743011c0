"""The search for cycles of dependencies, the most serious kinds first.

Theory of operation. Every cycle lies in one strongly connected component of the graph, so each component is searched on
its own. For each variant (data dependencies only; also the order of processes; also that of real time) and each kind,
the search decides whether there is such a cycle, and finds a short one. A kind is left out if a kind found before
implies it.

- ``G0``, ``G1c``, ``G2-item``: a cycle with one of certain edges exists if such an edge has both ends in the same
  component of the graph of all edges that are allowed.
- ``G-nonadjacent-item``: no two ``rw`` edges may follow each other. So each node is split in two, one for those who
  arrive by an ``rw`` edge, with no further ``rw`` edge out of it.
- ``G-single-item``: exactly one ``rw`` edge. For each such edge, the search asks whether its end reaches its beginning
  without another one. It does this for hundreds of edges at once, as the bits of an integer.

All of this is linear in the size of the component, except for the last. That one has a budget, counted in edges. If it
runs out, all cycles are still found, but some may be called nonadjacent although there are also single ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, final

import attrs

from .components import KIND_BITS, KIND_MASK, strong_components
from .consistency_models import CYCLE_KINDS, SUFFIXES, implied_by
from .dependency_graph import (
    ANY_SERIAL,
    ANY_SERIAL_PROCESS,
    ANY_SERIAL_REALTIME,
    PASS,
    PROCESS,
    REALTIME,
    RW,
    RW_PROCESS,
    RW_REALTIME,
    WR,
    WW,
    WW_SINGLE,
    WW_SINGLE_PROCESS,
    WW_SINGLE_REALTIME,
    DependencyGraph,
    kinds,
)

CYCLE_BUDGET: Final = 100_000_000
"""The number of edges that the search for single ``rw`` edges may follow: about a minute."""

_SHORTENING: Final = 100_000
"""The number of edges to follow in order to find a shorter cycle of a kind, once there is one: about 50 ms."""

_BATCH: Final = 512
"""The number of ``rw`` edges that are followed at once."""

Step: TypeAlias = tuple[int, int, int]
"""A step of a path: a node, the kind of an edge out of it, and the node to which the edge leads."""

Out: TypeAlias = Sequence[Sequence[int]]
"""The edges out of each node of a graph; see `components.strong_components`."""


@final
@attrs.frozen
class Cycle:
    """A cycle of dependencies."""

    kind: str
    """Its kind, with the suffix of its variant."""
    steps: list[Step]
    """Its steps, from transaction to transaction. The first one begins at the earliest transaction."""


@final
@attrs.frozen
class _Variant:
    """The edges that a variant allows."""

    suffix: str
    order: int
    rw: int
    ww_single: int
    any_serial: int

    @property
    def free(self) -> int:
        """The edges that are allowed between any two ``rw`` edges."""
        return kinds(WW, WR, PASS) | self.order | self.ww_single


VARIANTS: Final = (
    _Variant(SUFFIXES[0], 0, kinds(RW), kinds(WW_SINGLE), kinds(ANY_SERIAL)),
    _Variant(
        SUFFIXES[1],
        kinds(PROCESS),
        kinds(RW, RW_PROCESS),
        kinds(WW_SINGLE, WW_SINGLE_PROCESS),
        kinds(ANY_SERIAL, ANY_SERIAL_PROCESS),
    ),
    _Variant(
        SUFFIXES[2],
        kinds(PROCESS, REALTIME),
        kinds(RW, RW_PROCESS, RW_REALTIME),
        kinds(WW_SINGLE, WW_SINGLE_PROCESS, WW_SINGLE_REALTIME),
        kinds(ANY_SERIAL, ANY_SERIAL_PROCESS, ANY_SERIAL_REALTIME),
    ),
)
"""The variants, in the order of `SUFFIXES`. Each allows all that the one before it allows."""


@final
class CycleSearch:
    """Searches a graph for cycles.

    Args:
      graph: The graph.
      budget: The number of edges that the search for cycles with a single ``rw`` edge may follow.
    """

    def __init__(self, graph: DependencyGraph, budget: int) -> None:
        self.left = budget
        """What is left of the budget."""
        self.undecided = 0
        """The number of components in which the budget did not suffice."""
        self._graph = graph

    def cycles(self) -> Iterator[Cycle]:
        """Yield a cycle of each kind from each component, except of kinds that follow from others."""
        component, count = strong_components(self._graph.out)
        members: list[list[int]] = [[] for _ in range(count)]
        for node, number in enumerate(component):
            members[number].append(node)
        for nodes in sorted(nodes for nodes in members if len(nodes) > 1):
            yield from self._cycles_among(nodes)

    def _cycles_among(self, nodes: list[int]) -> Iterator[Cycle]:
        place = {node: index for index, node in enumerate(nodes)}
        out = [
            [
                place[edge >> KIND_BITS] << KIND_BITS | edge & KIND_MASK
                for edge in self._graph.out[node]
                if edge >> KIND_BITS in place
            ]
            for node in nodes
        ]
        implied: set[str] = set()
        for variant in VARIANTS:
            for kind in CYCLE_KINDS:
                if f"{kind}{variant.suffix}" in implied:
                    continue
                path, real_kind = self._find(kind, variant, out)
                if path is not None:
                    name = f"{real_kind}{variant.suffix}"
                    implied |= implied_by([name])
                    yield Cycle(name, self._transactions_only([(nodes[a], k, nodes[b]) for a, k, b in path]))

    def _find(self, kind: str, variant: _Variant, out: Out) -> tuple[list[Step] | None, str]:
        """Return a cycle of *kind*, if there is one, and its kind, which may be a more serious one."""
        if kind == "G0":
            return _cycle_through(out, kinds(WW, PASS) | variant.order, kinds(WW)), kind
        if kind == "G1c":
            return _cycle_through(out, kinds(WW, WR, PASS) | variant.order, kinds(WR)), kind
        if kind == "G-single-item":
            return self._single(variant, out) or _cycle_through(out, variant.free, variant.ww_single), kind
        if kind == "G-nonadjacent-item":
            return _nonadjacent(variant, out)
        through = variant.rw | variant.any_serial
        return _cycle_through(out, variant.free | through, through), kind

    def _single(self, variant: _Variant, out: Out) -> list[Step] | None:
        """Return a cycle with exactly one ``rw`` edge."""
        found, kind = _nonadjacent(variant, out)
        if kind != "G-nonadjacent-item":
            return found  # a cycle with one ``rw`` edge would be nonadjacent as well
        component, count = strong_components(out, variant.free)
        members: list[list[int]] = [[] for _ in range(count)]
        for node, number in enumerate(component):
            members[number].append(node)
        edges = [(node, *each) for node in range(len(out)) for each in _edges(out[node], variant.rw)]
        cost = sum(map(len, out)) + len(out)
        for first in range(0, len(edges), _BATCH):
            self.left -= cost
            if self.left < 0:
                self.undecided += 1
                return None
            batch = edges[first : first + _BATCH]
            reached = _reached(out, variant.free, component, members, [before for before, _, _ in batch])
            hits = [edge for bit, edge in enumerate(batch) if reached[component[edge[2]]] >> bit & 1]
            if hits:
                return _shortest_of(out, variant.free, hits)
        return None

    def _transactions_only(self, path: list[Step]) -> list[Step]:
        """Return a cycle without its auxiliary nodes, from its earliest transaction on."""
        size = self._graph.size
        begins = [index for index, (node, _, _) in enumerate(path) if node < size]
        ends = [*begins[1:], begins[0]]
        steps = [(path[begin][0], path[begin][1], path[end][0]) for begin, end in zip(begins, ends, strict=True)]
        start = steps.index(min(steps))
        return steps[start:] + steps[:start]


def _edges(edges: Sequence[int], allowed: int) -> Iterator[tuple[int, int]]:
    """Yield the kind and target of each edge that is allowed."""
    for edge in edges:
        if allowed >> (edge & KIND_MASK) & 1:
            yield edge & KIND_MASK, edge >> KIND_BITS


def _cycle_through(out: Out, allowed: int, through: int) -> list[Step] | None:
    """Return a short cycle of *allowed* edges with at least one of the edges *through*; None if there is none."""
    component, _ = strong_components(out, allowed)
    inside = (
        (node, kind, target)
        for node in range(len(out))
        for kind, target in _edges(out[node], through)
        if component[node] == component[target]
    )
    return _shortest_of(out, allowed, inside)


def _shortest_of(out: Out, allowed: int, edges: Iterator[Step] | list[Step]) -> list[Step] | None:
    """Return a short cycle of *allowed* edges and one of *edges*, each of which is part of a cycle."""
    best: list[Step] | None = None
    left = _SHORTENING
    for edge in edges:
        before, _, after = edge
        most = len(out) + 1 if best is None else _length(best) - 2
        path, followed = _shortest_path(out, after, before, allowed, most)
        if path is not None:
            best = [edge, *path]
        left -= followed + 1
        if best is not None and (left < 0 or _length(best) <= 2):  # noqa: PLR2004 - no cycle is shorter
            break
    return best


def _length(path: list[Step]) -> int:
    return sum(kind != PASS for _, kind, _ in path)


def _shortest_path(out: Out, start: int, goal: int, allowed: int, most: int) -> tuple[list[Step] | None, int]:
    """Return a shortest path with up to *most* edges, and how many edges were followed. Edges `PASS` do not count."""
    distance = {start: 0}
    came_by: dict[int, Step] = {}
    waiting = deque([(0, start)])
    followed = 0
    while waiting:
        so_far, node = waiting.popleft()
        if node == goal:
            break
        if so_far > distance[node]:
            continue
        for kind, target in _edges(out[node], allowed):
            followed += 1
            new = so_far + (kind != PASS)
            if new <= most and new < distance.get(target, most + 1):
                distance[target] = new
                came_by[target] = (node, kind, target)
                (waiting.appendleft if kind == PASS else waiting.append)((new, target))
    if goal not in distance:
        return None, followed
    path: list[Step] = []
    node = goal
    while node != start:
        path.append(came_by[node])
        node = path[-1][0]
    return path[::-1], followed


def _nonadjacent(variant: _Variant, out: Out) -> tuple[list[Step] | None, str]:
    """Return a cycle in which no two ``rw`` edges are adjacent, and its kind."""
    split: list[list[int]] = [[] for _ in range(2 * len(out))]
    for node, edges in enumerate(out):
        for kind, target in _edges(edges, variant.rw):
            split[2 * node].append((2 * target + 1) << KIND_BITS | kind)
        for kind, target in _edges(edges, variant.free):
            split[2 * node].append((2 * target) << KIND_BITS | kind)
            after_rw = 2 * target + 1 if kind == PASS else 2 * target
            split[2 * node + 1].append(after_rw << KIND_BITS | kind)
    found = _cycle_through(split, variant.free | variant.rw, variant.rw)
    if found is None:
        return None, ""
    count = sum(variant.rw >> kind & 1 for _, kind, _ in found)
    return [(a >> 1, k, b >> 1) for a, k, b in found], "G-single-item" if count == 1 else "G-nonadjacent-item"


def _reached(
    out: Out, allowed: int, component: Sequence[int], members: Sequence[Sequence[int]], goals: Sequence[int]
) -> list[int]:
    """Return for each component which *goals* it reaches: bit *i* stands for goal *i*."""
    reached = [0] * len(members)
    for bit, goal in enumerate(goals):
        reached[component[goal]] |= 1 << bit
    for number, nodes in enumerate(members):  # edges lead to smaller numbers, which are known
        bits = reached[number]
        for node in nodes:
            for edge in out[node]:
                if allowed >> (edge & KIND_MASK) & 1:
                    bits |= reached[component[edge >> KIND_BITS]]
        reached[number] = bits
    return reached
