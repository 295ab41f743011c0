"""Strongly connected components of a graph: Tarjan's algorithm, without recursion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

KIND_BITS: Final = 4
"""The number of bits of an edge that say what kind of edge it is; the bits above are the number of its target."""

KIND_MASK: Final = (1 << KIND_BITS) - 1

ALL_KINDS: Final = (1 << (1 << KIND_BITS)) - 1
"""The set of all kinds of edges. In a set of kinds, bit *k* is kind *k*."""


def strong_components(out: Sequence[Sequence[int]], kinds: int = ALL_KINDS) -> tuple[list[int], int]:  # noqa: PLR0915 - one loop
    """Return the number of each node's component, and how many components there are.

    An edge between two components leads to the one with the smaller number.

    Args:
      out: The edges out of each node: the target's number, shifted left by `KIND_BITS`, and the kind of the edge.
      kinds: The kinds of edges that count.
    """
    size = len(out)
    done = size + 1  # greater than each number of discovery
    found = [0] * size  # when each node was discovered, from 1; later the earliest one that it reaches; `done` at last
    component = [0] * size
    count = discovered = 0
    waiting: list[int] = []  # discovered, but the component is not known
    for root in range(size):
        if found[root]:
            continue
        discovered += 1
        found[root] = discovered
        path = [(root, discovered, iter(out[root]))]
        while path:
            node, number, edges = path[-1]
            lowest = found[node]
            for edge in edges:
                if not kinds >> (edge & KIND_MASK) & 1:
                    continue
                target = edge >> KIND_BITS
                seen = found[target]
                if not seen:
                    discovered += 1
                    found[target] = discovered
                    path.append((target, discovered, iter(out[target])))
                    break
                if seen < lowest:  # noqa: PLR1730 - min() takes three times as long
                    lowest = seen
            else:
                path.pop()
                found[node] = lowest
                if lowest < number:
                    waiting.append(node)
                    parent = path[-1][0]
                    found[parent] = min(found[parent], lowest)
                    continue
                while waiting and found[waiting[-1]] >= number:
                    member = waiting.pop()
                    component[member] = count
                    found[member] = done
                component[node] = count
                found[node] = done
                count += 1
                continue
            found[node] = lowest
    return component, count
