"""The search for an order in which operations on one object took effect, for `linearizable`.

It is the algorithm of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993) in Lowe's version (*Testing for
Linearizability*, 2017). Beginnings and ends of operations form a linked list. The search removes an operation from the
list when it lets the operation take effect. It searches each configuration only once: a configuration is the set of
operations that have taken effect, and the state.

Theory of operation. The operations that begin before the first end in the list are those that may take effect now. The
search tries them, one after another, if the model says that their outcome is possible in this state. If none leads to
an order, the operation of the first end has not taken effect in time: the choices so far are wrong, and the search
takes back the last one. An *open* operation is one without a known end. It may take effect at any later time, or never.

These rules make the search short. Each has a proof:

- *A read takes effect as soon as it can.* A read changes nothing, so any order that explains the other operations still
  explains them. This holds only for operations that never change any state. It does not hold for an operation that
  leaves only *this* state unchanged, such as a write of the current value: the search may need that write later, to
  overwrite another value.
- *Of operations with the same effect, only the one that ends first may take effect now.* In an order in which another
  one takes effect now, the two can change places: both have begun, and the one that ends first moves to an earlier
  place. An open operation counts as ending last.
- *The search skips an open operation that has no effect in this state.* It may take effect later or never, so no order
  gets lost.
- *The operation after an open one must be one that needs it*: in the state before the open one it is impossible, or has
  another result. If not, the order without the open operation is as good.
- *A configuration is not searched if the search has been there with fewer open operations.* What can follow it could
  also follow the other one.
- *The search ends when all ok operations have taken effect.* Open operations need not take effect.

The search first tries the operation that ends first, because that one has to take effect soonest.
"""

from __future__ import annotations

import math
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias, final

from .._records.history import Operation
from . import Valid
from .models import IMPOSSIBLE, Impossible, Model, State

_LIST_HEAD: Final = 0

_Configuration: TypeAlias = tuple[int, int, State, State | Impossible]
"""The ok operations that have taken effect, and the state, as four parts: how many of these operations have taken
effect without a gap from the first one on; a bit set of those after them; the state; and the state before the last
operation if that was an open one, else `IMPOSSIBLE`. Open operations are separate, because they may never take effect:
they would make each configuration as large as the history."""


@final
class Search:
    """The search for an order of operations on one object.

    Args:
      operations: The operations that ended as ``ok``, and the open ones that are no reads, in the order of their
        beginnings.
      model: Their effects.
      initial: The state before them.
      repeatable: The open operations, by their indexes, that may take effect any number of times.
    """

    def __init__(
        self, operations: Sequence[Operation], model: Model, initial: State, repeatable: Container[int] = ()
    ) -> None:
        self.blocked_by = -1
        """The operation whose end is the furthest that the search reached and could not pass; -1 for none."""
        self.blocked_states: set[State] = set()
        """The states in which the search reached that end."""
        self.visited = 0
        """The number of configurations that the search has visited."""
        self._visited_at_end = 0  # the same number when the search reached the end of blocked_by
        self._operations = operations
        self._model = model
        self._repeatable = repeatable
        self._is_read = [model.is_read(each) for each in operations]
        self._is_ok = [each.outcome == "ok" for each in operations]
        self._bits = _numbers(self._is_ok)
        self._classify()
        self._build_list()
        self._taken = [0] * len(self._open)  # how many operations of each class in _open have taken effect
        self._open_bits = 0  # the bit set of open operations that have taken effect
        self._configuration: _Configuration = (0, 0, initial, IMPOSSIBLE)
        # For each configuration, the bit sets of open operations with which the search has been there. It leaves out
        # those that contain another one.
        self._seen: dict[_Configuration, tuple[int, ...]] = {}
        # Operations that took effect, in order: the operation, the configuration before it, and the other choices
        # there; None instead of these if it was no choice.
        self._stack: list[tuple[int, _Configuration, Iterator[int] | None]] = []
        self._waiting = sum(self._is_ok)  # how many ok operations have not taken effect yet
        self._choices = self._settle()  # those that are left in this configuration

    def run(self, budget: int, patience: float = math.inf) -> Valid:
        """Search, and return the verdict; if it is not True, `blocked_by` and `blocked_states` say why.

        The verdict is ``unknown`` if a limit is exceeded; then another call goes on from there.

        Args:
          budget: The number of configurations that the search may visit in all.
          patience: The number of configurations that it may visit without reaching a further end.
        """
        while self._waiting:
            if self.visited > min(budget, self._visited_at_end + patience):
                self._note_block()
                if self.visited > min(budget, self._visited_at_end + patience):
                    return "unknown"
            if self._choose():
                self._choices = self._settle()
            else:
                self._note_block()
                others = self._take_back()
                if others is None:
                    return False
                self._choices = others
        return True

    def order(self) -> list[int]:
        """Return the operations that have taken effect, in the order in which they did."""
        return [index for index, _, _ in self._stack]

    def _classify(self) -> None:
        """Group operations with the same effect."""
        classes: dict[Hashable, int] = {}
        outcomes: dict[tuple[int, bool], dict[State, State | Impossible]] = {}
        self._classes: list[int] = []
        # For each operation, the results of `Model.step` by state. Those of a class share them; but an open operation
        # is possible in states in which an ok one is not.
        self._outcomes: list[dict[State, State | Impossible]] = []
        for index, operation in enumerate(self._operations):
            effect = self._model.effect(operation)
            number = classes.setdefault((index,) if effect is None else (None, effect), len(classes))
            self._classes.append(number)
            self._outcomes.append(outcomes.setdefault((number, self._is_ok[index]), {}))
        members: dict[int, list[int]] = {}
        for index, is_ok in enumerate(self._is_ok):
            if not is_ok:
                members.setdefault(self._classes[index], []).append(index)
        self._open = list(members.values())  # the open operations of each class
        self._place_in_open = {number: place for place, number in enumerate(members)}

    def _build_list(self) -> None:
        """Make the linked list of beginnings and ends of ok operations, in the order of the history.

        The number of an entry is its place in this order, so it also tells which of two entries came first. Open
        operations have a number, but they are not in the list.
        """
        places = [(each.invocation.index, False, index) for index, each in enumerate(self._operations)]
        for index, each in enumerate(self._operations):
            if self._is_ok[index] and each.completion is not None:
                places.append((each.completion.index, True, index))
        places.sort()
        count = len(places) + 1
        self._next: list[int] = [*range(1, count), _LIST_HEAD]
        self._previous: list[int] = [count - 1, *range(count - 1)]
        self._operation_of: list[int] = [-1, *(index for _, _, index in places)]
        self._is_end = [True, *(is_end for _, is_end, _ in places)]  # the head ends the list
        self._begin_of = [0] * len(self._operations)
        self._end_of = [0] * len(self._operations)  # 0 for none
        for entry in range(1, count):
            (self._end_of if self._is_end[entry] else self._begin_of)[self._operation_of[entry]] = entry
        for index, is_ok in enumerate(self._is_ok):
            if not is_ok:
                self._lift(self._begin_of[index])

    def _settle(self) -> Iterator[int]:
        """Let all possible reads take effect; return the choices after that, none in a configuration that is known."""
        ends: dict[int, int] = {}  # for each class, the first end of one of its operations
        state = self._configuration[2]
        entry = self._next[_LIST_HEAD]
        while not self._is_end[entry]:
            index = self._operation_of[entry]
            if self._is_read[index]:
                if self._step(index, state) is not IMPOSSIBLE:
                    self._apply(index, state, None)
            else:
                number, end = self._classes[index], self._end_of[index]
                if ends.get(number, end) >= end:
                    ends[number] = end
            entry = self._next[entry]
        if self._is_known():
            return iter(())
        self.visited += 1
        choices = map(self._operation_of.__getitem__, sorted(ends.values()))
        return chain(choices, self._open_choices(entry, ends)) if self._open else choices

    def _open_choices(self, entry: int, others: Container[int]) -> Iterator[int]:
        """Yield the first open operation of each class that began before *entry*, except of the classes in *others*."""
        for place, members in enumerate(self._open):
            if self._begin_of[members[0]] > entry:
                return
            taken = self._taken[place]
            if taken < len(members):
                index = members[taken]
                if self._begin_of[index] < entry and self._classes[index] not in others:
                    yield index

    def _is_known(self) -> bool:
        """Tell whether the search has been here before, with the same or fewer open operations; if not, note it."""
        bits = self._open_bits
        known = self._seen.get(self._configuration)
        if known is None:
            self._seen[self._configuration] = (bits,)
            return False
        if any(each & bits == each for each in known):
            return True
        self._seen[self._configuration] = (*(each for each in known if each & bits != bits), bits)
        return False

    def _choose(self) -> bool:
        """Let the first of the choices take effect that can and is not useless; tell whether there is one."""
        _, _, before, earlier = self._configuration
        for index in self._choices:
            state = self._step(index, before)
            if state is IMPOSSIBLE or (state == before and not self._is_ok[index]):
                continue
            if earlier is IMPOSSIBLE or self._step(index, earlier) != state:
                self._apply(index, state, self._choices)
                return True
        return False

    def _step(self, index: int, state: State) -> State | Impossible:
        """Return the state after an operation in *state*, or `IMPOSSIBLE`."""
        outcomes = self._outcomes[index]
        if state not in outcomes:
            outcomes[state] = self._model.step(state, self._operations[index])
        return outcomes[state]

    def _apply(self, index: int, state: State, others: Iterator[int] | None) -> None:
        self._stack.append((index, self._configuration, others))
        done, bits, before, _ = self._configuration
        if self._is_ok[index]:
            bits |= 1 << (self._bits[index] - done)
            ones = (~bits & (bits + 1)).bit_length() - 1
            self._configuration = (done + ones, bits >> ones, state, IMPOSSIBLE)
            self._waiting -= 1
            self._lift(self._end_of[index])  # first, so that the entry after the beginning is still in the list
            self._lift(self._begin_of[index])
        else:
            self._configuration = (done, bits, state, before)
            self._change_open(index, 1)

    def _take_back(self) -> Iterator[int] | None:
        """Take back the last choice and the reads after it; return the other choices there, or None."""
        while self._stack:
            index, self._configuration, others = self._stack.pop()
            if self._is_ok[index]:
                self._put_back(self._begin_of[index])
                self._put_back(self._end_of[index])
                self._waiting += 1
            else:
                self._change_open(index, -1)
            if others is not None:
                return others
        return None

    def _change_open(self, index: int, by: int) -> None:
        if index in self._repeatable:
            return
        self._taken[self._place_in_open[self._classes[index]]] += by
        self._open_bits ^= 1 << self._bits[index]

    def _lift(self, entry: int) -> None:
        before, after = self._previous[entry], self._next[entry]
        self._next[before], self._previous[after] = after, before

    def _put_back(self, entry: int) -> None:
        self._next[self._previous[entry]] = self._previous[self._next[entry]] = entry

    def _note_block(self) -> None:
        """Note that the search cannot pass the next end: its operation has not taken effect."""
        entry = self._next[_LIST_HEAD]
        while not self._is_end[entry]:
            entry = self._next[entry]
        furthest = self._end_of[self.blocked_by] if self.blocked_by >= 0 else _LIST_HEAD
        if entry > furthest:
            self.blocked_by = self._operation_of[entry]
            self.blocked_states.clear()
            self._visited_at_end = self.visited
        if entry >= furthest:
            self.blocked_states.add(self._configuration[2])


def _numbers(is_ok: Iterable[bool]) -> list[int]:
    """Number the ok operations and the others separately, each from 0."""
    counts: dict[bool, int] = {True: 0, False: 0}
    numbers = []
    for each in is_ok:
        numbers.append(counts[each])
        counts[each] += 1
    return numbers
