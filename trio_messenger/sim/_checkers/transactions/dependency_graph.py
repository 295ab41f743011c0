"""The graph of dependencies: which transaction must come before which, and for what kind of reason.

The nodes are the transactions, by their numbers, and auxiliary nodes after them. An auxiliary node stands for many
edges: if *m* transactions must come before *n* others for the same kind of reason, about *m* edges to auxiliary nodes
and *n* from them say the same as *m* times *n* edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from .components import KIND_BITS

WW: Final = 0
"""The second transaction overwrote, or appended to, the version that the first one wrote."""
WR: Final = 1
"""The second transaction read the version that the first one wrote."""
RW: Final = 2
"""The first transaction read the version that the second one overwrote, or appended to."""
PROCESS: Final = 3
"""The same process ran both transactions."""
REALTIME: Final = 4
"""The first transaction ended before the second one began."""
PASS: Final = 5
"""An edge out of an auxiliary node. Its kind is that of the edge into the node."""
RW_PROCESS: Final = 6
"""As `RW`, but inferred with the order of processes; and with the order of real time, the next one."""
RW_REALTIME: Final = 7
WW_SINGLE: Final = 8
"""As `WW`, but inferred on the assumption that there is no cycle with a single `RW`; the next two as above."""
WW_SINGLE_PROCESS: Final = 9
WW_SINGLE_REALTIME: Final = 10
ANY_SERIAL: Final = 11
"""`WW` or `RW`, inferred on the assumption that the transactions are serializable; the next two as above."""
ANY_SERIAL_PROCESS: Final = 12
ANY_SERIAL_REALTIME: Final = 13

ADJACENT_PRODUCT_LIMIT: Final = 8
"""The number of edges up to which no auxiliary node takes their place."""


def kinds(*some: int) -> int:
    """Return a set of kinds of edges; see `components.ALL_KINDS`."""
    return sum(1 << kind for kind in set(some))


@final
class DependencyGraph:
    """A graph of dependencies.

    Args:
      size: The number of transactions.
    """

    def __init__(self, size: int) -> None:
        self.size: Final = size
        """The number of transactions. The numbers of auxiliary nodes begin here."""
        self.out: Final[list[list[int]]] = [[] for _ in range(size)]
        """The edges out of each node, in the form that `components.strong_components` describes."""

    def add(self, before: int, after: int, kind: int) -> None:
        """Add an edge."""
        self.out[before].append(after << KIND_BITS | kind)

    def auxiliary(self) -> int:
        """Add an auxiliary node and return its number."""
        self.out.append([])
        return len(self.out) - 1

    def add_all(self, before: Sequence[int], after: Sequence[int], kind: int) -> None:
        """Add an edge from each of *before* to each of *after*, except from a node to itself."""
        if len(before) * len(after) <= ADJACENT_PRODUCT_LIMIT:
            for each in before:
                for other in after:
                    if each != other:
                        self.add(each, other, kind)
            return
        place = {node: index for index, node in enumerate(after)}
        from_here = self._chain(after[::-1])[::-1]  # each leads to its node of *after* and to all later ones
        to_here = self._chain(after) if place.keys() & set(before) else []
        for each in before:
            index = place.get(each)
            if index is None:
                self.add(each, from_here[0], kind)
                continue
            if index:
                self.add(each, to_here[index - 1], kind)
            if index + 1 < len(after):
                self.add(each, from_here[index + 1], kind)

    def _chain(self, targets: Sequence[int]) -> list[int]:
        """Add an auxiliary node for each of *targets*, which leads to it and to those before it; return these nodes."""
        chain: list[int] = []
        for target in targets:
            node = self.auxiliary()
            self.add(node, target, PASS)
            if chain:
                self.add(node, chain[-1], PASS)
            chain.append(node)
        return chain
