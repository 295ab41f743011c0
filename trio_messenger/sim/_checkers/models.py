"""Models: the effect of operations on one object if they happen one after another.

`linearizable` takes one. `CasRegisters` is the model of the lin-kv workload.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar, Final, TypeAlias, final

from .._records.cut_texts import cut_json
from .._records.history import Operation
from .values import original, value_key

State: TypeAlias = Hashable
"""A state of a model; equal values are the same state."""


@final
class Impossible:
    """The type of `IMPOSSIBLE`, which is its only object: each call, and each copy, is the same object."""

    _only: ClassVar[Impossible | None] = None

    def __new__(cls) -> Impossible:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __reduce__(self) -> tuple[type[Impossible], tuple[()]]:
        return Impossible, ()  # for copies and pickles

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

    def effect(self, operation: Operation) -> Hashable:  # noqa: ARG002 - for subclasses
        """Return a value that is equal for operations with the same effect, or None if it is like no other (default).

        `step` must return the same for operations with equal values, in each state that each of them can change. Then
        the search tries only one of them at a time, which makes it much shorter if many operations overlap.
        """
        return None

    def describe(self, state: State) -> str:
        """Return *state* in words, for reports."""
        return f"{state!r:.80}"


def check_model(model: Model) -> None:
    """Check that *model* can be one: that its methods return values, and not coroutines or generators.

    Raises:
      TypeError: if it cannot; the text says why.
    """
    if not isinstance(model, Model):
        raise TypeError(f"the model is {model!r:.80}; give an object of a subclass of Model")
    for name in ("step", "is_read", "key", "effect", "describe"):
        method = getattr(model, name)
        if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
            what = "async" if inspect.iscoroutinefunction(method) else "a generator"
            raise TypeError(
                f"{type(model).__name__}.{name} is {what}; make it a plain function that returns its result"
            )


@final
class CasRegisters(Model):
    """Registers with ``read``, ``write`` and ``cas``, one for each key, as in the lin-kv workload.

    The value of each operation is a pair of the key and an argument: the value to write, ``[from, to]`` for ``cas``, or
    the value read, which is None if the key is absent. At first every key is absent. To write None, or compare with it,
    means the absent key, too: a read cannot tell one from the other.
    """

    @property
    def initial(self) -> State:
        """Return None: the key is absent."""
        return None

    def step(self, state: State, operation: Operation) -> State | Impossible:
        """Return the value of the register after *operation*; see `Model.step`."""
        _, argument = operation.invocation.value
        if operation.f == "write":
            return register_state(argument)
        if operation.f == "cas":
            expected, new = map(register_state, argument)
            if state == expected:
                return new
            return state if operation.outcome == "info" else IMPOSSIBLE
        return state if operation.outcome == "info" or _read_by(operation) == state else IMPOSSIBLE

    def is_read(self, operation: Operation) -> bool:
        """Tell whether *operation* is a ``read``."""
        return operation.f == "read"

    def effect(self, operation: Operation) -> Hashable:
        """Return the function with its arguments, and the result of a read; None for a read without a result."""
        _, argument = operation.invocation.value
        if operation.f == "cas":
            return "cas", *map(register_state, argument)
        if operation.f == "write":
            return "write", register_state(argument)
        return ("read", _read_by(operation)) if operation.outcome == "ok" else None

    def key(self, operation: Operation) -> Hashable:
        """Return the key of the register."""
        return value_key(operation.invocation.value[0])

    def describe(self, state: State) -> str:
        """Return the value in words, or ``absent``."""
        return "absent" if state is None else cut_json(original(state) if isinstance(state, bytes) else state)


def _read_by(operation: Operation) -> State:
    assert operation.completion is not None  # only an ok operation has a result
    return register_state(operation.completion.value[1])


def register_state(value: Any) -> State:
    """Return the state of a register that has *value*; None means that the key is absent."""
    return None if value is None else value_key(value)
