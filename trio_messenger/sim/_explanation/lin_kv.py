"""Explanations of lin-kv: the operation that no order explains, the values that were possible, and their origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, final

from .._checkers import Results
from .._checkers.lin_kv import violations_in
from .._checkers.linearizability import Violation
from .._checkers.models import CasRegisters, Impossible, State, register_state
from .._records.cut_texts import cut_json, cut_text
from .._records.history import Op, Operation
from . import Finding
from .scene import Scene
from .words import LISTED, in_words, quantity, seconds

_KEYS_TOLD: Final = 3
"""The number of keys that get sentences."""


def explain(results: Results, scene: Scene) -> list[Finding]:
    """Return the findings of `~trio_messenger.sim._checkers.lin_kv.lin_kv` in sentences."""
    violations = violations_in(results, scene.history)
    found = [finding for each in violations[:_KEYS_TOLD] for finding in _Register(each, scene).findings()]
    rest = len(violations) - _KEYS_TOLD
    if rest > 0:
        found.append(Finding(f"{quantity(rest, 'more key')} {'is' if rest == 1 else 'are'} not linearizable"))
    return [*found, *_undecided(results)]


def told(operation: Operation) -> str:
    """Return what *operation* does in a few words, without its key: ``write 3``, ``cas 1 to 2`` or ``read 3``."""
    if operation.f == "cas":
        old, new = operation.invocation.value[1]
        return f"cas {_value(old)} to {_value(new)}"
    if operation.f == "read":
        end = operation.completion
        return "read" if end is None or end.type != "ok" else f"read {_value(end.value[1])}"
    return f"{operation.f} {_value(operation.invocation.value[1])}"


def _value(value: Any) -> str:
    return "absent" if value is None else cut_json(value)


@final
class _Register:
    """The sentences about one key that is not linearizable."""

    def __init__(self, violation: Violation, scene: Scene) -> None:
        self._violation = violation
        self._scene = scene
        self._operation = violation.operation
        assert self._operation.completion is not None  # an operation without an end blocks nothing
        self._end = self._operation.completion
        self._states = _states_after(violation.linearization)

    def findings(self) -> Iterator[Finding]:
        begun = self._operation.invocation
        key = f"key {cut_json(begun.value[0])} is not linearizable"
        yield Finding(f"{key}: {self._what()}, but {self._possible()}", self._scene.messages_of(begun))
        yield self._origin()
        yield from self._stale()
        yield self._in_flight()

    def _what(self) -> str:
        """Say what cannot be explained."""
        _, argument = self._end.value
        when = f"{_at(self._operation.invocation)} from {seconds(self._operation.invocation.time)}"
        if self._operation.f == "read":
            found = "found the key absent" if argument is None else f"returned {cut_json(argument)}"
            return f"the read{when} {found} at {seconds(self._end.time)}"
        return f"the {_named(self._operation)}{when} was ok at {seconds(self._end.time)}"

    def _possible(self) -> str:
        states = list(self._violation.states)
        if states == ["absent"]:
            return "the key must have been absent then"
        if len(states) == 1:
            return f"the only possible value then was {states[0]}"
        shown = states if len(states) <= LISTED + 1 else [*states[:LISTED], f"{len(states) - LISTED} others"]
        return f"only {in_words(shown)} were possible then"

    def _origin(self) -> Finding:
        """Say which operation the value is from, in one order that explains everything before."""
        order = self._violation.linearization
        last = next((each for each in reversed(order) if each.f != "read"), None)
        if last is None:
            return Finding("nothing had changed the key before", is_detail=True)
        value = _value_of(self._states[-1])
        text = f"it was {value} since the {_named(last)}{_span(last)}, in an order that explains all earlier results"
        return Finding(text, self._scene.messages_of(last.invocation), is_detail=True)

    def _stale(self) -> Iterator[Finding]:
        """Say where a value that was read is from: an earlier one, or none that was ever written."""
        if self._operation.f != "read":
            return
        wanted = register_state(self._end.value[1])
        order = self._violation.linearization
        places = [place for place, state in enumerate([None, *self._states]) if state == wanted]
        if not places:
            yield Finding(f"no operation before that left {_value_of(wanted)}", is_detail=True)
            return
        change = order[places[-1]]
        text = f"{_value_of(wanted)} was the value until the {_named(change)}{_span(change)}"
        yield Finding(f"the result is stale: {text}", self._scene.messages_of(change.invocation), is_detail=True)

    def _in_flight(self) -> Finding:
        others = [each for each in self._violation.in_flight if each.f != "read"]
        if not others:
            return Finding("no other change was in flight then", is_detail=True)
        shown = [f"the {_named(each)}{_since(each)}" for each in others[:LISTED]]
        if len(others) > LISTED:
            shown.append(f"{len(others) - LISTED} more")
        numbers = [number for each in others[:LISTED] for number in self._scene.messages_of(each.invocation)]
        return Finding(f"in flight then, or of unknown outcome: {in_words(shown)}", tuple(numbers), is_detail=True)


def _named(operation: Operation) -> str:
    """Return what *operation* was asked to do, as a noun."""
    argument = operation.invocation.value[1]
    if operation.f == "cas":
        old, new = argument
        return f"cas from {_value(old)} to {_value(new)}"
    return "read" if operation.f == "read" else f"{operation.f} of {_value(argument)}"


def _states_after(order: Sequence[Operation]) -> list[State]:
    """Return the value after each operation of *order*."""
    model = CasRegisters()
    state, states = model.initial, []
    for operation in order:
        following = model.step(state, operation)
        assert not isinstance(following, Impossible)
        state = following
        states.append(state)
    return states


def _value_of(state: State) -> str:
    return CasRegisters().describe(state)


def _at(begun: Op) -> str:
    return "" if begun.node is None else f" at {begun.node}"


def _span(operation: Operation) -> str:
    begun, end = operation.invocation, operation.completion
    until = "of unknown outcome" if end is None or end.type == "info" else f"until {seconds(end.time)}"
    return f"{_at(begun)} (from {seconds(begun.time)}, {until})"


def _since(operation: Operation) -> str:
    return f"{_at(operation.invocation)} since {seconds(operation.invocation.time)}"


def _undecided(results: Results) -> Iterator[Finding]:
    gave_up = [(name, each) for name, each in results["results"].items() if each["valid?"] == "unknown"]
    for name, each in gave_up[:_KEYS_TOLD]:
        explained = f"an order explains the first {each['explained-count']:,} of {quantity(each['count'], 'operation')}"
        until = f"{explained}, up to {seconds(each['op']['time'])}"
        remedy = "a run with fewer clients, or with a lower rate, is easier to judge"
        yield Finding(f"key {cut_text(name)} is undecided: {each['reason']}; {until}; {remedy}")
    if len(gave_up) > _KEYS_TOLD:
        rest = len(gave_up) - _KEYS_TOLD
        yield Finding(f"{quantity(rest, 'more key')} {'is' if rest == 1 else 'are'} undecided")
