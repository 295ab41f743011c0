"""Linearizability: whether each operation could have taken effect at one instant between its beginning and its end.

The search is the algorithm of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993) in Lowe's version
(*Testing for Linearizability*, 2017). Beginnings and ends of operations form a linked list. The search removes an
operation from the list when it lets the operation take effect. It searches each configuration only once: a
configuration is the set of operations that have taken effect, and the state. A `Model` defines what operations do, so
the same search works for registers, queues and locks.

Theory of operation. The search reads the list from its head. At a beginning, the operation may take effect now if the
model says that its outcome is possible in this state. At an end, the operation has not taken effect in time: the
choices so far are wrong, and the search takes back the last one. Three rules make the search short; each has a proof:

- *A read takes effect as soon as it can.* A read changes nothing, so any order that explains the other operations still
  explains them. This holds only for operations that never change any state. It does not hold for an operation that
  leaves only *this* state unchanged, such as a write of the current value: the search may need that write later, to
  overwrite another value.
- *The search skips an operation without a known end that has no effect in this state.* The operation may take effect
  later or never, so no order gets lost.
- *The search ends when all ok operations have taken effect.* Operations without a known end need not take effect.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeAlias, final

import attrs

from .._records.history import History, Op, Operation
from . import Valid
from .values import value_key

SEARCH_BUDGET: Final = 3_000_000
"""The number of configurations that a search may visit: about 10 to 20 seconds and less than a gigabyte."""

State: TypeAlias = Hashable
"""A state of a model; equal values are the same state."""


@final
class Impossible:
    """The type of `IMPOSSIBLE`."""

    def __repr__(self) -> str:
        return "IMPOSSIBLE"


IMPOSSIBLE: Final = Impossible()
"""The result of `Model.step` if the outcome of an operation is impossible in a state. (None may be a state.)"""


class Model(ABC):
    """The effect of operations on one object if they happen one after another.

    A model stores no state: it is a function from a state and an operation to the next state.
    """

    @property
    @abstractmethod
    def initial(self) -> State:
        """The state before the first operation."""

    @abstractmethod
    def step(self, state: State, operation: Operation) -> State | Impossible:
        """Return the state after *operation* took effect in *state*, or `IMPOSSIBLE`.

        Args:
          state: `initial`, or the result of an earlier call.
          operation: An operation that ended as ``ok`` or ``info``. The result of an ``ok`` operation must be possible
            in *state*. The result of an ``info`` operation is unknown, so any result is possible. The search never
            passes an operation that ended as ``fail``.
        """

    def is_read(self, operation: Operation) -> bool:  # noqa: ARG002 - for subclasses
        """Tell whether *operation* never changes any state. Reads make the search much shorter."""
        return False

    def key(self, operation: Operation) -> Hashable:  # noqa: ARG002 - for subclasses
        """Return the key of the object that *operation* uses. Each object is searched separately."""
        return None

    def describe(self, state: State) -> str:
        """Return *state* in words, for reports."""
        return f"{state!r:.80}"


@final
class CasRegisters(Model):
    """Registers with ``read``, ``write`` and ``cas``, one for each key, as in the lin-kv workload.

    The value of each operation is a pair of the key and an argument: the value to write, ``[from, to]`` for ``cas``, or
    the value read, which is None if the key is absent. At first every key is absent.
    """

    @property
    def initial(self) -> State:
        """Return None: the key is absent."""
        return None

    def step(self, state: State, operation: Operation) -> State | Impossible:
        """Return the value of the register after *operation*; see `Model.step`."""
        _, argument = operation.invocation.value
        if operation.f == "write":
            return value_key(argument)
        if operation.f == "cas":
            expected, new = map(value_key, argument)
            if state == expected:
                return new
            return state if operation.outcome == "info" else IMPOSSIBLE
        return state if operation.outcome == "info" or _read_by(operation) == state else IMPOSSIBLE

    def is_read(self, operation: Operation) -> bool:
        """Tell whether *operation* is a ``read``."""
        return operation.f == "read"

    def key(self, operation: Operation) -> Hashable:
        """Return the key of the register."""
        return value_key(operation.invocation.value[0])

    def describe(self, state: State) -> str:
        """Return the value in words, or ``absent``."""
        return "absent" if state is None else f"{state!r:.80}"


def _read_by(operation: Operation) -> State:
    assert operation.completion is not None  # only an ok operation has a result
    value = operation.completion.value[1]
    return None if value is None else value_key(value)


@final
@attrs.frozen(kw_only=True)
class Violation:
    """The reason why the operations of one object are not linearizable."""

    key: Hashable
    """The key of the object; None if the model has only one."""
    operation: Operation
    """The first operation to end that no order explains, given the outcomes of all operations, even of those in flight.
    The operations that ended before it can be ordered; together with it they cannot."""
    in_flight: Sequence[Operation]
    """The other operations that had begun but not ended when it ended, in the order of their beginnings."""
    states: Sequence[str]
    """The states that were possible just before it ended, in words. Its outcome is not possible in any of them."""
    linearization: Sequence[Operation]
    """A possible order in which operations took effect that explains all operations that ended before it."""


@final
@attrs.frozen(kw_only=True)
class Linearizability:
    """The result of the search."""

    valid: Valid
    """True, False, or ``unknown`` if the search used up its budget first."""
    violations: Sequence[Violation]
    """One violation for each object whose operations are not linearizable, in the order of their first operations."""
    undecided: Sequence[Hashable]
    """The keys of the objects whose search used up its budget."""


def linearizable(history: History, model: Model, *, budget: int = SEARCH_BUDGET) -> Linearizability:
    """Judge whether *history* is linearizable.

    The search ignores failed operations: they did not happen. An operation that ended as ``info``, or did not end, may
    take effect at any time after its beginning, or never.

    Args:
      history: The operations.
      model: The effect of the operations.
      budget: How many configurations the search may visit for one object before it gives up.
    """
    objects: defaultdict[Hashable, list[Operation]] = defaultdict(list)
    for operation in history.operations():
        if operation.outcome == "ok" or (operation.outcome == "info" and not model.is_read(operation)):
            objects[model.key(operation)].append(operation)
    violations, undecided = [], []
    for key, operations in objects.items():
        search = _Search(operations, model, budget)
        valid = search.run()
        if valid is False:
            violations.append(_violation(key, operations, model, search))
        elif valid == "unknown":
            undecided.append(key)
    verdict: Valid = False if violations else "unknown" if undecided else True
    return Linearizability(valid=verdict, violations=violations, undecided=undecided)


def _violation(key: Hashable, operations: Sequence[Operation], model: Model, search: _Search) -> Violation:
    failed = operations[search.blocked_by]
    end = _end(failed)
    before = [each for each in operations if each.invocation.index < end.index and each is not failed]
    # Treat operations that had not ended by then as still open: then the search finds an order for the others.
    cut = [each if _has_ended(each, end) else Operation(each.invocation, None) for each in before]
    again = _Search(cut, model, search.budget)
    again.run()
    return Violation(
        key=key,
        operation=failed,
        in_flight=[each for each in before if not _has_ended(each, end)],
        states=sorted({model.describe(state) for state in search.blocked_states}),
        linearization=[before[index] for index in again.order()],
    )


def _end(operation: Operation) -> Op:
    assert operation.completion is not None  # an operation without an end blocks nothing
    return operation.completion


def _has_ended(operation: Operation, end: Op) -> bool:
    """Tell whether *operation* ended before *end*; an ``info`` operation has no end."""
    return operation.outcome == "ok" and _end(operation).index < end.index


_LIST_HEAD: Final = 0

_Configuration: TypeAlias = tuple[int, int, int, State]
"""The operations that have taken effect, and the state, as four parts: how many ok operations have taken effect without
a gap from the first one on; a bit set of the ok operations after these; a bit set of the operations without a known
end; the state. The two kinds are separate because an open operation may never take effect: it would keep the first
number from growing, and each configuration would become as large as the history."""


@final
class _Search:
    """The search for an order of the *operations* on one object; they are given in the order of their beginnings."""

    def __init__(self, operations: Sequence[Operation], model: Model, budget: int) -> None:
        self.budget = budget
        self.blocked_by = -1
        """The operation whose end is the furthest that the search reached and could not pass; -1 for none."""
        self.blocked_states: set[State] = set()
        """The states in which the search reached that end."""
        self._operations = operations
        self._model = model
        self._is_read = [model.is_read(each) for each in operations]
        self._is_ok = [each.outcome == "ok" for each in operations]
        self._bits = _numbers(self._is_ok)
        self._build_list()
        self._configuration: _Configuration = (0, 0, 0, model.initial)
        self._seen: set[_Configuration] = set()
        # Operations that took effect, in order: the operation, the configuration before it, whether it was a choice.
        self._stack: list[tuple[int, _Configuration, bool]] = []
        self._waiting = sum(self._is_ok)  # how many ok operations have not taken effect yet

    def run(self) -> Valid:
        """Search, and return the verdict; if it is False, `blocked_by` and `blocked_states` say why."""
        entry = self._settle()
        while self._waiting:
            index = self._operation_of[entry]
            if self._is_end[entry]:
                self._note_block(entry, index)
                taken_back = self._take_back()
                if taken_back is None:
                    return False
                entry = self._next[self._begin_of[taken_back]]
            elif self._take_effect(index):
                if len(self._seen) > self.budget:
                    return "unknown"
                entry = self._settle()
            else:
                entry = self._next[entry]
        return True

    def order(self) -> list[int]:
        """Return the operations that have taken effect, in the order in which they did."""
        return [index for index, _, _ in self._stack]

    def _build_list(self) -> None:
        """Make the linked list of beginnings and ends, in the order of the history."""
        places: list[tuple[int, bool, int]] = []
        for index, operation in enumerate(self._operations):
            places.append((operation.invocation.index, False, index))
            if self._is_ok[index]:
                places.append((_end(operation).index, True, index))
        places.sort()
        count = len(places) + 1
        self._next: list[int] = [*range(1, count), _LIST_HEAD]
        self._previous: list[int] = [count - 1, *range(count - 1)]
        self._operation_of: list[int] = [-1, *(index for _, _, index in places)]
        self._is_end = [False, *(is_end for _, is_end, _ in places)]
        self._position = [-1, *(position for position, _, _ in places)]
        self._begin_of = [0] * len(self._operations)
        self._end_of = [0] * len(self._operations)  # 0 for none
        for entry in range(1, count):
            (self._end_of if self._is_end[entry] else self._begin_of)[self._operation_of[entry]] = entry

    def _take_effect(self, index: int) -> bool:
        """Let an operation take effect as a choice; return False if it cannot, or if trying it is useless."""
        before = self._configuration
        state = self._model.step(before[3], self._operations[index])
        if state is IMPOSSIBLE or (state == before[3] and not self._is_ok[index]):
            return False
        self._apply(index, state, is_choice=True)
        return True

    def _settle(self) -> int:
        """Let all possible reads take effect; return where to continue: at the head, or after a choice taken back."""
        entry = self._next[_LIST_HEAD]
        state = self._configuration[3]
        while entry != _LIST_HEAD and not self._is_end[entry]:
            index = self._operation_of[entry]
            if self._is_read[index] and self._model.step(state, self._operations[index]) is not IMPOSSIBLE:
                self._apply(index, state, is_choice=False)
            entry = self._next[entry]
        if self._configuration in self._seen:
            taken_back = self._take_back()
            assert taken_back is not None  # a configuration seen before was left by taking back a choice
            return self._next[self._begin_of[taken_back]]
        self._seen.add(self._configuration)
        return self._next[_LIST_HEAD]

    def _apply(self, index: int, state: State, *, is_choice: bool) -> None:
        self._stack.append((index, self._configuration, is_choice))
        done, bits, open_bits, _ = self._configuration
        if self._is_ok[index]:
            bits |= 1 << (self._bits[index] - done)
            ones = (~bits & (bits + 1)).bit_length() - 1
            self._configuration = (done + ones, bits >> ones, open_bits, state)
            self._waiting -= 1
        else:
            self._configuration = (done, bits, open_bits | 1 << self._bits[index], state)
        self._lift(self._begin_of[index])
        if self._end_of[index]:
            self._lift(self._end_of[index])

    def _take_back(self) -> int | None:
        """Take back the last choice and the reads after it; return the operation of the choice, or None."""
        while self._stack:
            index, self._configuration, is_choice = self._stack.pop()
            if self._end_of[index]:
                self._put_back(self._end_of[index])
            self._put_back(self._begin_of[index])
            self._waiting += self._is_ok[index]
            if is_choice:
                return index
        return None

    def _lift(self, entry: int) -> None:
        before, after = self._previous[entry], self._next[entry]
        self._next[before], self._previous[after] = after, before

    def _put_back(self, entry: int) -> None:
        self._next[self._previous[entry]] = self._previous[self._next[entry]] = entry

    def _note_block(self, entry: int, index: int) -> None:
        """Note that the search reached the end of an operation that has not taken effect."""
        if self.blocked_by >= 0:
            last = self._end_of[self.blocked_by]
            if self._position[entry] < self._position[last]:
                return
            if entry != last:
                self.blocked_states.clear()
        self.blocked_by = index
        self.blocked_states.add(self._configuration[3])


def _numbers(is_ok: Iterable[bool]) -> list[int]:
    """Number the ok operations and the others separately, each from 0."""
    counts: dict[bool, int] = {True: 0, False: 0}
    numbers = []
    for each in is_ok:
        numbers.append(counts[each])
        counts[each] += 1
    return numbers
