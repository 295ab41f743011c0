"""Registers to which transactions write: what is known about the order of their versions, and dependencies.

A read shows one version, not those before it. So the order of versions is known only in part:

- The initial state, None, comes before every version.
- A transaction that reads a version of a key, and then writes to the key, writes a later one.

`coherence` infers more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias, final

from ..values import ValueKey, original, value_key
from .dependency_graph import RW, WR, WW, DependencyGraph
from .observations import Observations, Transaction
from .sentences import NEXT_VALUE

Edge: TypeAlias = tuple[int, int, int]
"""The first transaction, the second one, and the kind of the edge between them."""


def register_read(value: Any) -> ValueKey | None:
    """Return the value that a read returned, as it is compared."""
    return None if value is None else value_key(value)


@final
class RegisterKey:
    """What is known about one key.

    Args:
      seen: The transactions.
      number: The number of the key.
    """

    def __init__(self, seen: Observations, number: int) -> None:
        self.number: Final = number
        self.value: Final = seen.keys[number]
        self.writers: Final = seen.writers[number]
        self.readers: Final[dict[ValueKey | None, list[int]]] = {}
        """The transactions that read each value."""
        self.updaters: Final[dict[ValueKey | None, list[int]]] = {}
        """The transactions that read each value, and then wrote to the key."""
        self.earlier: Final[dict[ValueKey, ValueKey | None]] = {}
        """For each value that such a transaction wrote, the value that it had read."""
        self.written: Final[dict[int, ValueKey]] = {}
        """The last value that each transaction wrote to the key."""

    def read(self, transaction: Transaction, value: ValueKey | None) -> None:
        """Take in a read."""
        readers = self.readers.setdefault(value, [])
        if not readers or readers[-1] != transaction.number:
            readers.append(transaction.number)

    def update(self, transaction: Transaction, before: ValueKey | None, value: ValueKey) -> None:
        """Take in a write of *value* by a transaction that read *before*."""
        updaters = self.updaters.setdefault(before, [])
        if not updaters or updaters[-1] != transaction.number:
            updaters.append(transaction.number)
        self.earlier[value] = before

    def add_dependencies(self, graph: DependencyGraph) -> None:
        """Add the edges that are known for sure."""
        for value, readers in self.readers.items():
            writer = -1 if value is None else self.writers.get(value, -1)
            others = [reader for reader in readers if reader != writer]
            if writer >= 0:
                for reader in others:
                    graph.add(writer, reader, WR)
            later = list(self.written) if value is None else self.updaters.get(value, [])
            for each in later if writer >= 0 else ():
                if each != writer:
                    graph.add(writer, each, WW)
            if others and later:
                graph.add_all(others, later, RW)

    def cycles(self) -> list[list[ValueKey]]:
        """Return values of which each was written by a transaction that had read the one before it, all around."""
        color: dict[ValueKey, ValueKey] = {}  # for each value, the one from which it was reached
        found: list[list[ValueKey]] = []
        for start in self.earlier:
            value: ValueKey | None = start
            path: list[ValueKey] = []
            while value is not None and value not in color:
                color[value] = start
                path.append(value)
                value = self.earlier.get(value)
            if value is not None and color[value] == start and value in path:
                cycle = path[path.index(value) :]
                if len(cycle) > 1:
                    found.append(cycle[::-1])
        return found


@final
class RegisterVersions:
    """The versions of all keys.

    Args:
      seen: The transactions.
    """

    def __init__(self, seen: Observations) -> None:
        self.seen: Final = seen
        self.keys: Final = [RegisterKey(seen, number) for number in range(len(seen.keys))]
        self.inferred: Final[dict[Edge, dict[str, Any]]] = {}
        """Why there are the edges that `coherence` added: a step of a cycle, without its type."""
        for transaction in seen.transactions:
            self._take_in(transaction)

    def _take_in(self, transaction: Transaction) -> None:
        first: dict[int, ValueKey | None] = {}
        for is_read, number, value in transaction.ops:
            key = self.keys[number]
            if not is_read:
                key.written[transaction.number] = value
                if number in first:
                    key.update(transaction, first[number], value)
            elif transaction.is_ok:
                key.read(transaction, value)
                if transaction.number not in key.written:
                    first.setdefault(number, value)

    def add_dependencies(self, graph: DependencyGraph) -> None:
        """Add the edges of all keys that are known for sure."""
        for key in self.keys:
            key.add_dependencies(graph)

    def why(self, before: int, kind: int, after: int) -> dict[str, Any]:
        """Return the key and the values that make *after* depend on *before*, as in Elle's results."""
        if (before, after, kind) in self.inferred:
            return self.inferred[before, after, kind]
        reason, *_ = [step for key in self.keys_of(before) for step in _steps(key, before, kind, after)]
        return reason

    def keys_of(self, number: int) -> list[RegisterKey]:
        """Return the keys of a transaction, each once."""
        numbers = dict.fromkeys(key for _, key, _ in self.seen.transactions[number].ops)
        return [self.keys[each] for each in numbers]


def _steps(key: RegisterKey, before: int, kind: int, after: int) -> Iterator[dict[str, Any]]:
    """Yield why *before* comes before *after*, as far as *key* shows it."""
    if kind == WR:
        for value, readers in key.readers.items():
            if value is not None and key.writers.get(value) == before and after in readers:
                yield {"key": key.value, "value": original(value)}
        return
    for value, readers in key.readers.items():
        holds = before in readers if kind == RW else value is not None and key.writers.get(value) == before
        if holds and after in (key.written if value is None else key.updaters.get(value, ())):
            old = None if value is None else original(value)
            yield {"key": key.value, "value": old, NEXT_VALUE: original(key.written[after])}
