"""Lists to which transactions append: the order of appends to each key, and the dependencies that follow from it.

A read of a list shows the order of all appends before it. So the longest read of a key is the order of its versions,
and every other read must be a prefix of it. Appends that no read has seen come after all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from ..values import ValueKey, original, value_keys
from .dependency_graph import RW, WR, WW, DependencyGraph
from .observations import Observations, Transaction
from .sentences import NEXT_VALUE


def list_read(value: Any) -> list[ValueKey]:
    """Return the elements that a read returned; none if the key was never written.

    Raises:
      TypeError: if *value* is neither a list nor None.
    """
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise TypeError("not a list")
    return list(value_keys(value))


@final
class ListKey:
    """What is known about one key.

    Args:
      seen: The transactions.
      number: The number of the key.
    """

    def __init__(self, seen: Observations, number: int) -> None:
        self.number = number
        self.value: Any = seen.keys[number]
        self.writers = seen.writers[number]
        self.order: list[ValueKey] = []
        """The elements in the order in which they were appended, as far as reads show it."""
        self.readers: list[list[int]] = []
        """For each number of elements, the transactions that read so many, in this order."""
        self.strange_reads: list[tuple[Transaction, list[ValueKey]]] = []
        """Reads that are not a prefix of the order."""
        self.unseen: list[int] = []
        """The transactions that appended an element that no read has seen."""
        self.writer_at: list[int] = []
        """For each element of the order, the transaction that appended it; -1 if it failed, or if there is none."""
        self.before: list[int] = []
        """For each number of elements, the last transaction that appended one of these; -1 if there is none."""
        self.after: list[int] = []
        """For each number of elements, the first transaction that appended a later one of the order; else -1."""
        self._positions: dict[ValueKey, int] | None = None

    def read(self, reads: list[tuple[Transaction, list[ValueKey]]]) -> None:
        """Take in all *reads* of the key that are known."""
        longest = max((elements for _, elements in reads), key=len, default=[])
        if len(set(longest)) < len(longest):
            longest = max((list(dict.fromkeys(elements)) for _, elements in reads), key=len)
        order = self.order = longest
        self.readers = [[] for _ in range(len(order) + 1)]
        for transaction, elements in reads:
            count = len(elements)
            if elements == order[:count]:
                self.readers[count].append(transaction.number)
            else:
                self.strange_reads.append((transaction, elements))
        known = set(order)
        self.unseen = list(dict.fromkeys(each for value, each in self.writers.items() if value not in known))
        self._find_writers()

    def _find_writers(self) -> None:
        self.writer_at = [self.writers.get(element, -1) for element in self.order]
        last = -1
        self.before = [-1]
        for writer in self.writer_at:
            last = writer if writer >= 0 else last
            self.before.append(last)
        following = -1
        self.after = [-1]
        for writer in reversed(self.writer_at):
            following = writer if writer >= 0 else following
            self.after.append(following)
        self.after.reverse()

    def add_dependencies(self, graph: DependencyGraph) -> None:
        """Add the edges that follow from the order, and from reads."""
        last = -1
        for writer in self.writer_at:
            if writer >= 0:
                if last >= 0 and last != writer:
                    graph.add(last, writer, WW)
                last = writer
        if last >= 0:
            for writer in self.unseen:
                if writer != last:
                    graph.add(last, writer, WW)
        for count, readers in enumerate(self.readers):
            self._add_reads(graph, count, readers)
        for transaction, elements in self.strange_reads:
            writer = self.seen_writer(elements)
            if writer not in (-1, transaction.number):
                graph.add(writer, transaction.number, WR)

    def _add_reads(self, graph: DependencyGraph, count: int, readers: list[int]) -> None:
        writer, following = self.before[count], self.after[count]
        others = [reader for reader in readers if reader != writer]  # the edge from a writer is the one to the next one
        if writer >= 0:
            for reader in others:
                graph.add(writer, reader, WR)
        if following >= 0:
            for reader in others:
                if reader != following:
                    graph.add(reader, following, RW)
        elif others and self.unseen:
            graph.add_all(others, self.unseen, RW)

    def seen_writer(self, elements: list[ValueKey]) -> int:
        """Return the transaction that appended the last of *elements*, leaving out those that failed; else -1."""
        return next((self.writers[each] for each in reversed(elements) if each in self.writers), -1)

    def position(self, element: ValueKey) -> int | None:
        """Return the index of *element* in the order; None if no read has seen it."""
        if self._positions is None:
            self._positions = {each: index for index, each in enumerate(self.order)}
        return self._positions.get(element)

    def is_prefix(self, elements: list[ValueKey]) -> bool:
        """Tell whether a read of *elements* is a prefix of the order."""
        return elements == self.order[: len(elements)]


@final
class ListVersions:
    """The versions of all keys.

    Args:
      seen: The transactions.
    """

    def __init__(self, seen: Observations) -> None:
        self.seen = seen
        reads: list[list[tuple[Transaction, list[ValueKey]]]] = [[] for _ in seen.keys]
        for transaction in seen.transactions:
            if transaction.is_ok:
                for is_read, number, value in transaction.ops:
                    if is_read:
                        reads[number].append((transaction, value))
        self.keys = [ListKey(seen, number) for number in range(len(seen.keys))]
        for key, its_reads in zip(self.keys, reads, strict=True):
            key.read(its_reads)

    def add_dependencies(self, graph: DependencyGraph) -> None:
        """Add the edges of all keys."""
        for key in self.keys:
            key.add_dependencies(graph)

    def why(self, before: int, kind: int, after: int) -> dict[str, Any]:
        """Return the key and the values that make *after* depend on *before*, as in Elle's results."""
        first, second = self.seen.transactions[before], self.seen.transactions[after]
        reasons = {WW: self._appends, WR: self._reads, RW: self._missed}[kind](first, second)
        reason, *_ = reasons
        return reason

    def _appends(self, first: Transaction, second: Transaction) -> Iterator[dict[str, Any]]:
        for is_read, number, value in second.ops:
            if not is_read:
                key = self.keys[number]
                end = key.position(value)
                earlier = key.order[:end]
                if key.seen_writer(earlier) == first.number:
                    element = next(each for each in reversed(earlier) if each in key.writers)
                    yield {"key": key.value, "value": original(element), NEXT_VALUE: original(value)}

    def _reads(self, first: Transaction, second: Transaction) -> Iterator[dict[str, Any]]:
        for is_read, number, value in second.ops:
            key = self.keys[number]
            if is_read and key.seen_writer(value) == first.number:
                element = next(each for each in reversed(value) if each in key.writers)
                yield {"key": key.value, "value": original(element)}

    def _missed(self, first: Transaction, second: Transaction) -> Iterator[dict[str, Any]]:
        for is_read, number, value in first.ops:
            key = self.keys[number]
            if not is_read or not key.is_prefix(value):
                continue
            following = key.after[len(value)]
            if following not in (-1, second.number):
                continue
            for is_other_read, other, element in second.ops:
                place = key.position(element) if other == number and not is_other_read else None
                if other != number or is_other_read or (place is None) != (following < 0):
                    continue
                if place is None or place >= len(value):
                    last = original(value[-1]) if value else None
                    yield {"key": key.value, "value": last, NEXT_VALUE: original(element)}
