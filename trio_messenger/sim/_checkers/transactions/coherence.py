"""More about the order of the versions of registers, inferred from the transactions that come before one another.

Say that transaction *R* read what *W* wrote to a key, and that another transaction *V* wrote to the key as well. Then:

- If *W* comes before *V*, so does *R*: otherwise it would have read what *V* wrote.
- If *V* comes before *R*, it also comes before *W*: otherwise *R* would have read what *V* wrote.

Elle does neither, and so misses most stale reads. What comes before what follows from the edges that are already known,
and each new edge may show more. So this goes on until nothing new follows.

Each inference assumes something, because it only says what would happen otherwise: a cycle. If *W* reaches *V* without
``rw`` edges, a version order that puts *V* first makes a cycle without ``rw`` edges. In the second case it makes a
cycle with one ``rw`` edge. If the way itself has ``rw`` edges, it makes a cycle with several. So each new edge is valid
in a history that has no such cycle, and counts only for kinds of cycles that are at least as weak. A history that has
such a cycle contradicts the same models, whatever the order. That is why the edges have kinds of their own, and why
edges that follow from the order of real time count as real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

import attrs

from ..values import ValueKey, original
from .components import KIND_BITS, KIND_MASK, strong_components
from .cycle_search import VARIANTS
from .dependency_graph import (
    ANY_SERIAL,
    ANY_SERIAL_PROCESS,
    ANY_SERIAL_REALTIME,
    RW,
    RW_PROCESS,
    RW_REALTIME,
    WW_SINGLE,
    WW_SINGLE_PROCESS,
    WW_SINGLE_REALTIME,
    DependencyGraph,
)
from .register_versions import RegisterKey, RegisterVersions
from .sentences import NEXT_VALUE

_BITS: Final = 2048
"""The number of transactions for which reachability is found at once, as the bits of an integer."""


@final
@attrs.frozen
class _Stage:
    """Which edges the inference uses, and the kinds of the edges that it adds."""

    allowed: int
    read_before: int
    write_before: int


def _stages() -> Iterator[_Stage]:
    added = (
        (RW, WW_SINGLE, ANY_SERIAL),
        (RW_PROCESS, WW_SINGLE_PROCESS, ANY_SERIAL_PROCESS),
        (RW_REALTIME, WW_SINGLE_REALTIME, ANY_SERIAL_REALTIME),
    )
    for variant, (rw, ww_single, any_serial) in zip(VARIANTS, added, strict=True):
        yield _Stage(variant.free, rw, ww_single)
        yield _Stage(variant.free | variant.rw | variant.any_serial, any_serial, any_serial)


@final
class Coherence:
    """Adds edges that follow from others.

    Args:
      versions: The versions of all keys.
      graph: The graph, with all other edges.
      budget: The number of edges that the inference may follow.
    """

    def __init__(self, versions: RegisterVersions, graph: DependencyGraph, budget: int) -> None:
        self.left = budget
        """What is left of the budget; negative if it did not suffice."""
        self._versions = versions
        self._graph = graph
        self._is_cyclic = False  # whether the last round met a cycle
        self._known: set[tuple[int, int, int]] = set()
        self._keys = [key for key in versions.keys if len(key.written) > 1 and len(key.readers) > 0]

    def infer(self) -> None:
        """Add edges until nothing new follows, or the budget is spent.

        The last stage infers all that the others do. If it meets no cycle, no stage does, and the weaker ones need not
        run.
        """
        *weaker, strongest = _stages()
        if self._meets_cycle(strongest):
            for stage in weaker:
                self._meets_cycle(stage)

    def _meets_cycle(self, stage: _Stage) -> bool:
        """Infer all that follows in *stage*; tell whether there is a cycle."""
        while self.left >= 0 and self._round(stage):
            pass
        return self._is_cyclic

    def _round(self, stage: _Stage) -> bool:
        """Add what follows from the present edges; tell whether anything did."""
        out = self._graph.out
        component, count = strong_components(out, stage.allowed)
        self._is_cyclic = count < len(out)
        if self._is_cyclic:
            return False  # the history is wrong already, and anything would follow
        order = [0] * count
        for node, number in enumerate(component):
            order[number] = node
        new: list[tuple[int, int, int]] = []
        for keys in self._batches():
            self.left -= sum(map(len, out)) + len(out)
            if self.left < 0:
                return False
            bit = {
                number: 1 << index for index, number in enumerate(dict.fromkeys(n for key in keys for n in _all(key)))
            }
            reached = self._reached(order, bit, stage.allowed)
            for key in keys:
                new += self._follows(key, bit, reached, stage)
        for edge in new:
            self._graph.add(*edge)
        # Edges of a kind that this stage does not use cannot show more in it.
        return any(stage.allowed >> kind & 1 for _, _, kind in new)

    def _batches(self) -> Iterator[list[RegisterKey]]:
        """Yield the keys, as many at once as have enough bits."""
        batch: list[RegisterKey] = []
        size = 0
        for key in self._keys:
            batch.append(key)
            size += len(key.written) + sum(map(len, key.readers.values()))
            if size >= _BITS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _reached(self, order: list[int], bit: dict[int, int], allowed: int) -> list[int]:
        """Return for each node which transactions of *bit* it reaches; *order* has the last node first."""
        out = self._graph.out
        reached = [0] * len(out)
        for node in order:
            bits = bit.get(node, 0)
            for edge in out[node]:
                if allowed >> (edge & KIND_MASK) & 1:
                    bits |= reached[edge >> KIND_BITS]
            reached[node] = bits
        return reached

    def _follows(
        self, key: RegisterKey, bit: dict[int, int], reached: list[int], stage: _Stage
    ) -> Iterator[tuple[int, int, int]]:
        for value, readers in key.readers.items():
            writer = -1 if value is None else key.writers.get(value, -1)
            if value is None or writer < 0:
                continue
            for reader in readers:
                if reader == writer:
                    continue
                for other in key.written:
                    if other in (reader, writer):
                        continue
                    if reached[writer] & bit[other] and not reached[reader] & bit[other]:
                        yield from self._new(key, (reader, other, stage.read_before), value, is_read=True)
                    if reached[other] & bit[reader] and not reached[other] & bit[writer]:
                        yield from self._new(key, (other, writer, stage.write_before), value, is_read=False)

    def _new(
        self, key: RegisterKey, edge: tuple[int, int, int], value: ValueKey, *, is_read: bool
    ) -> Iterator[tuple[int, int, int]]:
        """Yield *edge* unless it is known, and note the reason for it."""
        if edge in self._known:
            return
        self._known.add(edge)
        before, after, _ = edge
        read = original(value)
        step: dict[str, Any]
        if is_read:
            step = {"type": "rw", "key": key.value, "value": read, NEXT_VALUE: original(key.written[after])}
        else:
            step = {"type": "ww", "key": key.value, "value": original(key.written[before]), NEXT_VALUE: read}
        self._versions.inferred[edge] = {**step, "because": "earlier-write" if is_read else "later-read"}
        yield edge


def _all(key: RegisterKey) -> Iterator[int]:
    yield from key.written
    for readers in key.readers.values():
        yield from readers
