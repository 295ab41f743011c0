"""Linearizability: whether each operation could have taken effect at one instant between its beginning and its end.

The search is that of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993) in the form that Lowe gave it
(*Testing for Linearizability*, 2017): beginnings and ends stand in a linked list, an operation that takes effect is
lifted out of it, and a configuration - what has taken effect, and the state - that was met once is not searched again.
What an operation does is the business of a `Model`, so the search serves registers, queues and locks alike.

Theory of operation. The list is read from its head. A beginning may take effect now, if the model says that what came
of it is possible in this state. An end that is reached before its operation has taken effect contradicts the choices
made so far, so the last one is taken back. Three rules make the search short, and a proof goes with each:

- *A read takes effect as soon as it can.* It changes nothing, so whatever order explains the rest still does. This
  holds for operations that never change any state. It does not hold for one that only leaves *this* state as it is,
  such as a write of the value that is there already: that one may be needed later, to overwrite another value.
- *An operation without a known end, and without effect in this state, is passed over.* It may take effect later or
  never, so nothing is lost.
- *The search ends when all operations that are ok have taken effect.* Those without a known end need not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeAlias, final

import attrs

from .._records.history import History, Op, Operation
from . import Valid
from .values import identity

BUDGET: Final = 3_000_000
"""Configurations that a search may meet: some 10 to 20 seconds and less than a gigabyte."""

State: TypeAlias = Hashable
"""A state of a model; two that are equal are the same state."""


@final
class Impossible:
    """The type of `IMPOSSIBLE`."""

    def __repr__(self) -> str:
        return "IMPOSSIBLE"


IMPOSSIBLE: Final = Impossible()
"""What `Model.step` returns if the outcome of an operation is impossible in a state. (None may be a state.)"""


class Model(ABC):
    """What operations do to one object, if they happen one after another.

    A model has no state of its own: it is a function from a state and an operation to the next state.
    """

    @property
    @abstractmethod
    def initial(self) -> State:
        """The state before the first operation."""

    @abstractmethod
    def step(self, state: State, operation: Operation) -> State | Impossible:
        """Return the state after *operation* took effect in *state*, or `IMPOSSIBLE`.

        Args:
          state: `initial`, or what an earlier call returned.
          operation: One that ended as ``ok``, whose result has to be possible in *state*; or as ``info``, whose
            result nobody knows, so that any will do. One that ended as ``fail`` is never asked about.
        """

    def is_read(self, operation: Operation) -> bool:  # noqa: ARG002 - for those that need it
        """Tell whether *operation* changes no state at all. Reads make the search much shorter."""
        return False

    def key(self, operation: Operation) -> Hashable:  # noqa: ARG002 - for those that need it
        """Return which object *operation* is about. Those of different objects are searched one by one."""
        return None

    def describe(self, state: State) -> str:
        """Return *state* in words, for reports."""
        return f"{state!r:.80}"


@final
class CasRegisters(Model):
    """Registers with ``read``, ``write`` and ``cas``, one for each key, as the lin-kv workload has them.

    The value of each operation is a pair: the key, and what is written, ``[from, to]``, or what was read; None for a
    key that is absent. A register is absent to begin with.
    """

    @property
    def initial(self) -> State:
        """Return None: the key is absent."""
        return None

    def step(self, state: State, operation: Operation) -> State | Impossible:
        """Return the value of the register after *operation*; see `Model.step`."""
        _, argument = operation.invocation.value
        if operation.f == "write":
            return identity(argument)
        if operation.f == "cas":
            expected, new = map(identity, argument)
            if state == expected:
                return new
            return state if operation.outcome == "info" else IMPOSSIBLE
        return state if operation.outcome == "info" or _read_by(operation) == state else IMPOSSIBLE

    def is_read(self, operation: Operation) -> bool:
        """Tell whether *operation* is a ``read``."""
        return operation.f == "read"

    def key(self, operation: Operation) -> Hashable:
        """Return the key of the register."""
        return identity(operation.invocation.value[0])

    def describe(self, state: State) -> str:
        """Return the value, or that there is none."""
        return "absent" if state is None else f"{state!r:.80}"


def _read_by(operation: Operation) -> State:
    assert operation.completion is not None  # only what is ok has a result
    value = operation.completion.value[1]
    return None if value is None else identity(value)


@final
@attrs.frozen(kw_only=True)
class Violation:
    """Why the operations of one object are not linearizable."""

    key: Hashable
    """The object; None if the model knows only one."""
    operation: Operation
    """The first to end that no order explains, knowing what became of all operations, those in flight included. All
    that ended before it can be ordered; with it nothing can."""
    in_flight: Sequence[Operation]
    """The others that had begun and not ended when it ended, in the order of their beginnings."""
    states: Sequence[str]
    """In words, the states that were possible just before it ended. In none of them is its outcome possible."""
    linearization: Sequence[Operation]
    """An order that explains all that ended before it, in which operations may have taken effect."""


@final
@attrs.frozen(kw_only=True)
class Linearizability:
    """What the search found."""

    valid: Valid
    """True, False, or ``unknown`` if the budget was used up first."""
    violations: Sequence[Violation]
    """One for each object whose operations are not linearizable, in the order of their first operations."""
    undecided: Sequence[Hashable]
    """The objects whose search was given up."""


def linearizable(history: History, model: Model, *, budget: int = BUDGET) -> Linearizability:
    """Judge whether *history* is linearizable.

    Operations that failed are left out: they did not happen. Those that ended as ``info``, or not at all, may take
    effect at any time after their beginning, or never.

    Args:
      history: What happened.
      model: What the operations do.
      budget: Configurations that the search for one object may meet before it is given up.
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
    # What had not ended by then is as if it were still open: then all of the rest can be explained, and is.
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
    assert operation.completion is not None  # what may take effect at any time blocks nothing
    return operation.completion


def _has_ended(operation: Operation, end: Op) -> bool:
    """Tell whether *operation* had an end before *end*; one that is ``info`` has none."""
    return operation.outcome == "ok" and _end(operation).index < end.index


_HEAD: Final = 0

_Configuration: TypeAlias = tuple[int, int, int, State]
"""What has taken effect, and the state: of the operations that are ok, all up to a number, and a set of bits for those
after it; a set of bits for those without a known end. Apart, since one of these that never takes effect would otherwise
keep the first number from growing, and make each configuration as large as the history."""


@final
class _Search:
    """The search for an order of the *operations* on one object, which stand in the order of their beginnings."""

    def __init__(self, operations: Sequence[Operation], model: Model, budget: int) -> None:
        self.budget = budget
        self.blocked_by = -1
        """The operation whose end no choice got past, of all ends the last that was reached; -1 for none."""
        self.blocked_states: set[State] = set()
        """The states in which that end was reached."""
        self._operations = operations
        self._model = model
        self._is_read = [model.is_read(each) for each in operations]
        self._is_ok = [each.outcome == "ok" for each in operations]
        self._bits = _numbers(self._is_ok)
        self._build_list()
        self._configuration: _Configuration = (0, 0, 0, model.initial)
        self._seen: set[_Configuration] = set()
        # What took effect, in this order: the operation, the configuration before it, whether there was a choice.
        self._stack: list[tuple[int, _Configuration, bool]] = []
        self._waiting = sum(self._is_ok)  # for taking effect

    def run(self) -> Valid:
        """Search, and return what was found; fills `blocked_by` and `blocked_states` if that is False."""
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
        """Return the operations that have taken effect, in their order."""
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
        self._next: list[int] = [*range(1, count), _HEAD]
        self._previous: list[int] = [count - 1, *range(count - 1)]
        self._operation_of: list[int] = [-1, *(index for _, _, index in places)]
        self._is_end = [False, *(is_end for _, is_end, _ in places)]
        self._position = [-1, *(position for position, _, _ in places)]
        self._begin_of = [0] * len(self._operations)
        self._end_of = [0] * len(self._operations)  # 0 for none
        for entry in range(1, count):
            (self._end_of if self._is_end[entry] else self._begin_of)[self._operation_of[entry]] = entry

    def _take_effect(self, index: int) -> bool:
        """Let an operation take effect, by choice; return False if it cannot, or need not be tried."""
        before = self._configuration
        state = self._model.step(before[3], self._operations[index])
        if state is IMPOSSIBLE or (state == before[3] and not self._is_ok[index]):
            return False
        self._apply(index, state, is_choice=True)
        return True

    def _settle(self) -> int:
        """Let all reads take effect that can, and return where to go on: the head, or after a choice to take back."""
        entry = self._next[_HEAD]
        state = self._configuration[3]
        while entry != _HEAD and not self._is_end[entry]:
            index = self._operation_of[entry]
            if self._is_read[index] and self._model.step(state, self._operations[index]) is not IMPOSSIBLE:
                self._apply(index, state, is_choice=False)
            entry = self._next[entry]
        if self._configuration in self._seen:
            taken_back = self._take_back()
            assert taken_back is not None  # what was seen before was left by taking back a choice
            return self._next[self._begin_of[taken_back]]
        self._seen.add(self._configuration)
        return self._next[_HEAD]

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
        """Take back the last choice, and what took effect by itself after it; return its operation, or None."""
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
        """Note that the end of an operation was reached before it took effect."""
        if self.blocked_by >= 0:
            last = self._end_of[self.blocked_by]
            if self._position[entry] < self._position[last]:
                return
            if entry != last:
                self.blocked_states.clear()
        self.blocked_by = index
        self.blocked_states.add(self._configuration[3])


def _numbers(is_ok: Iterable[bool]) -> list[int]:
    """Number the operations that are ok and the others, each kind from 0."""
    counts: dict[bool, int] = {True: 0, False: 0}
    numbers = []
    for each in is_ok:
        numbers.append(counts[each])
        counts[each] += 1
    return numbers
