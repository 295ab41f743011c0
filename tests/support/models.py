"""Models of objects other than registers, and what a client may do with each."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from trio_messenger.sim import IMPOSSIBLE, Impossible, Model, Operation, State


class Queue(Model):
    """A queue: ``enqueue`` with a value, ``dequeue`` with what came out."""

    initial = ()

    def step(self, state: Any, operation: Operation) -> State | Impossible:
        if operation.f == "enqueue":
            return (*state, operation.invocation.value)
        if not state:
            return state if operation.outcome == "info" else IMPOSSIBLE
        if operation.outcome == "ok" and operation.completion is not None and operation.completion.value != state[0]:
            return IMPOSSIBLE
        return tuple(state[1:])


class QueueOfFewValues(Queue):
    """A queue that says which operations have the same effect."""

    def effect(self, operation: Operation) -> Any:
        is_ok = operation.f == "dequeue" and operation.outcome == "ok" and operation.completion is not None
        return operation.f, operation.invocation.value, operation.completion.value if is_ok else None  # type: ignore[union-attr]


class Lock(Model):
    """A lock: ``acquire`` and ``release``, each by its process; one that is refused fails."""

    initial = None

    def step(self, state: Any, operation: Operation) -> State | Impossible:
        owner = operation.invocation.process
        expected, following = (None, owner) if operation.f == "acquire" else (owner, None)
        if state == expected:
            return following
        return state if operation.outcome == "info" else IMPOSSIBLE


class Counter(Model):
    """A counter: ``add`` with an amount, ``read`` with the sum."""

    initial = 0

    def step(self, state: Any, operation: Operation) -> State | Impossible:
        if operation.f == "add":
            return state + operation.invocation.value  # type: ignore[no-any-return]
        is_right = operation.completion is None or operation.completion.value == state
        return state if operation.outcome == "info" or is_right else IMPOSSIBLE

    def is_read(self, operation: Operation) -> bool:
        return operation.f == "read"

    def effect(self, operation: Operation) -> Any:
        return ("add", operation.invocation.value) if operation.f == "add" else None


@attrs.frozen
class Kind:
    """A kind of object: its model, and how to make histories at random."""

    model: Model
    choose: Callable[[Random], tuple[str, Any]]
    """Returns an operation."""
    answer: Callable[[Random, str, Any], Any]
    """Returns a value that it may be ok with, right or wrong."""


def _of_queue(random: Random) -> tuple[str, Any]:
    return ("enqueue", random.choice("ab")) if random.random() < 0.55 else ("dequeue", None)


def _from_queue(random: Random, f: str, value: Any) -> Any:
    return value if f == "enqueue" else random.choice("ab")


KINDS = {
    "queue": Kind(Queue(), _of_queue, _from_queue),
    "queue, with effects": Kind(QueueOfFewValues(), _of_queue, _from_queue),
    "lock": Kind(Lock(), lambda random: (random.choice(("acquire", "release")), None), lambda _, __, value: value),
    "counter": Kind(
        Counter(),
        lambda random: ("add", random.choice((1, 1, 2))) if random.random() < 0.6 else ("read", None),
        lambda random, f, value: value if f == "add" else random.randrange(4),
    ),
}
