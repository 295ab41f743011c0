"""Proofs that operations on one object are not linearizable, from the last operations before a point.

A search of the whole history can prove this only if it tries all orders of everything, also of what happened long
before. That takes too long if many operations always overlap. But usually the last operations are enough: whatever the
state was when they began, no order explains them.

So a `Refuter` searches for an order of the operations that ended in a window. It assumes less than is known. If there
is no order even then, the history has none either:

- At the beginning of the window, the object may be in any state that is reachable at all.
- An operation that had begun before the window, and had not ended then, may have taken effect before or not, and may
  take effect any number of times. (That may seem careless. But otherwise the search would have to tell apart which of
  many such operations had taken effect.)
- An operation that had not ended at the end of the window is open: it takes effect once or never.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Final, final

from .._records.history import Operation
from .models import IMPOSSIBLE, Model, State
from .order_search import Search

_WINDOW_SIZES: Final = (20, 80, 320)
"""How many of the last operations to end are in the windows that are tried."""

_MOST_STATES: Final = 100
"""The maximum number of reachable states. With more, the only window is everything up to the operation."""

_MOST_STEPS: Final = 200_000
"""The maximum number of steps to find the reachable states: a fraction of a second."""


@final
class Refuter:
    """Tries to prove that operations on one object are not linearizable.

    Args:
      operations: The operations that ended as ``ok``, and the open ones that are no reads, in the order of their
        beginnings.
      model: Their effects.
    """

    def __init__(self, operations: Sequence[Operation], model: Model) -> None:
        self._operations = operations
        self._model = model

    def refute(self, last: Operation, budget: int) -> set[State] | None:
        """Return a set of states if the operations up to the end of *last* are not linearizable; None if unproven.

        Args:
          last: The operation with whose end the windows end.
          budget: The number of configurations that each search may visit.

        Returns:
          The states that may be possible before *last* ends. No other state is possible then.
        """
        end = end_of(last)
        ends = sorted(each for each in map(end_of, self._operations) if each <= end)
        for size in _WINDOW_SIZES:
            if size < len(ends) and self._reachable:
                found = self._search(ends[-size - 1], last, self._reachable, budget)
                if found is not None:
                    return found
        return self._search(-1, last, [self._model.initial], budget)

    def _search(self, begin: float, last: Operation, states: Iterable[State], budget: int) -> set[State] | None:
        """Search the window from *begin* to the end of *last*, from each of *states*."""
        old, recent = self._window(begin, end_of(last))
        operations = [*old, *recent]
        possible: set[State] = set()
        for state in states:
            search = Search(operations, self._model, state, repeatable=range(len(old)))
            if search.run(budget) is not False:
                return None
            if operations[search.blocked_by] is last:
                possible |= search.blocked_states
        return possible

    def _window(self, begin: float, end: float) -> tuple[list[Operation], list[Operation]]:
        """Return the operations that began before a window, one for each effect, and those that began in it."""
        old: dict[Hashable, Operation] = {}
        recent: list[Operation] = []
        for index, each in enumerate(self._operations):
            if each.invocation.index > end or end_of(each) <= begin:
                continue
            is_old = each.invocation.index <= begin
            if not is_old and end_of(each) <= end:
                recent.append(each)
            elif not self._model.is_read(each):
                open_ = Operation(each.invocation, None)
                if is_old:
                    old.setdefault(self._kind(index, open_), open_)
                else:
                    recent.append(open_)
        return list(old.values()), recent

    def _kind(self, index: int, operation: Operation) -> Hashable:
        """Return a value that is equal for operations with the same effect."""
        effect = self._model.effect(operation)
        return (index,) if effect is None else (None, effect)

    @cached_property
    def _reachable(self) -> list[State]:
        """All states that operations can lead to, in any order and number; an empty list if there are too many."""
        kinds: dict[Hashable, Operation] = {}
        for index, each in enumerate(self._operations):
            if not self._model.is_read(each):
                for variant in (each, Operation(each.invocation, None)):
                    kinds[variant.outcome, self._kind(index, variant)] = variant
        found = {self._model.initial: None}  # a dict, because its order does not depend on hashes
        waiting = [self._model.initial]
        while waiting:
            if len(found) > _MOST_STATES or len(found) * len(kinds) > _MOST_STEPS:
                return []
            state = waiting.pop()
            for each in kinds.values():
                following = self._model.step(state, each)
                if following is not IMPOSSIBLE and following not in found:
                    found[following] = None
                    waiting.append(following)
        return list(found)


def end_of(operation: Operation) -> float:
    """Return the index of the end of an ``ok`` operation; infinity for another, because it may take effect later."""
    end = operation.completion
    return math.inf if end is None or end.type != "ok" else end.index
