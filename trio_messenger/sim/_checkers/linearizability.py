"""Linearizability: whether each operation could have taken effect at one instant between its beginning and its end.

A `Model` defines what operations do, and `Search` looks for an order of the operations that explains their results. If
that takes long, a `Refuter` looks for a proof that no order exists.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, final

import attrs

from .._records.history import History, Operation
from . import Valid
from .models import Model, State, check_model
from .order_search import Search
from .refutation import Refuter, end_of

SEARCH_BUDGET: Final = 1_000_000
"""The number of configurations that a search may visit: about 10 to 30 seconds and less than a gigabyte."""

_FIRST_BUDGET: Final = 50_000
"""The number of configurations that the search for each object may visit at first: about a second."""

_SEARCH_PATIENCE: Final = 2_000
"""The number of configurations that the search of everything may visit without reaching a further end. Then a `Refuter`
looks at the last operations before the end that the search could not pass."""
_MORE_SEARCH_PATIENCE: Final = 4
"""The factor by which this number grows if the refuter found nothing."""


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
    possible: Sequence[State]
    """The same states as values, sorted by these words."""
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


@final
@attrs.frozen(kw_only=True)
class Undecided:
    """How far the search for an order of the operations of one object came before it had used up its budget."""

    operation: Operation
    """The first operation to end that no order, of those tried, explains."""
    explained: int
    """The number of operations that ended before it; an order explains them."""
    budget: int
    """The number of configurations that the search could visit."""


def linearizable(history: History, model: Model, *, budget: int = SEARCH_BUDGET) -> Linearizability:
    """Judge whether *history* is linearizable.

    The search ignores failed operations: they did not happen. An operation that ended as ``info``, or did not end, may
    take effect at any time after its beginning, or never.

    Args:
      history: The operations.
      model: The effect of the operations.
      budget: How many configurations the search may visit for one object before it gives up. As soon as one object is
        not linearizable, it spends less on the others.

    Raises:
      TypeError: if *model* is not a model, or one of its methods is async or a generator.
      ValueError: if *budget* is not an integer of 1 or more, or if *history* cannot be one; see `History.operations`.
    """
    check_model(model)
    if type(budget) is not int or budget < 1:
        raise ValueError(f"budget is {budget!r:.80}; give the number of configurations, an integer of 1 or more")
    judged = judge_objects(operations_by_object(history, model), model, budget)
    violations = [found for found in judged.values() if isinstance(found, Violation)]
    undecided = [key for key, found in judged.items() if isinstance(found, Undecided)]
    verdict: Valid = False if violations else "unknown" if undecided else True
    return Linearizability(valid=verdict, violations=violations, undecided=undecided)


def operations_by_object(history: History, model: Model) -> dict[Hashable, list[Operation]]:
    """Return the operations on each object that may have had an effect, or that saw one."""
    objects: dict[Hashable, list[Operation]] = {}
    for operation in history.operations():
        some = objects.setdefault(model.key(operation), [])
        if operation.outcome == "ok" or (operation.outcome == "info" and not model.is_read(operation)):
            some.append(operation)
    return objects


def judge_objects(
    objects: Mapping[Hashable, Sequence[Operation]], model: Model, budget: int
) -> dict[Hashable, Violation | Undecided | None]:
    """Return, for each object, why its operations are not linearizable, or may not be; None if they are.

    First, the search for each object has a small part of *budget*. The others have all of it only if no violation has
    been found: if there is one, the verdict is known.
    """
    judged: dict[Hashable, Violation | Undecided | None] = {}
    for limit in sorted({min(budget, _FIRST_BUDGET), budget}):
        for key, operations in objects.items():
            if key not in judged or isinstance(judged[key], Undecided):
                judged[key] = _judge(key, operations, model, limit)
        if any(isinstance(found, Violation) for found in judged.values()):
            break
    return judged


def _judge(key: Hashable, operations: Sequence[Operation], model: Model, budget: int) -> Violation | Undecided | None:
    search = Search(operations, model, model.initial)
    refuter = Refuter(operations, model)
    patience = _SEARCH_PATIENCE
    while True:
        valid = search.run(budget, patience)
        if valid is True:
            return None
        last = operations[search.blocked_by]
        states = search.blocked_states if valid is False else refuter.refute(last, min(patience, budget))
        if states is not None:
            return _violation(key, operations, last, model, states, budget)
        if search.visited > budget:
            explained = sum(end_of(each) < end_of(last) for each in operations)
            return Undecided(operation=last, explained=explained, budget=budget)
        patience *= _MORE_SEARCH_PATIENCE


def _violation(
    key: Hashable, operations: Sequence[Operation], last: Operation, model: Model, states: Iterable[State], budget: int
) -> Violation:
    end = end_of(last)
    before = [each for each in operations if each.invocation.index < end and each is not last]
    # Treat operations that had not ended by then as still open: then the search finds an order for the others. A read
    # without a result says nothing.
    relevant = [each for each in before if end_of(each) < end or not model.is_read(each)]
    cut = [each if end_of(each) < end else Operation(each.invocation, None) for each in relevant]
    search = Search(cut, model, model.initial)
    search.run(budget)
    possible = sorted(states, key=model.describe)
    return Violation(
        key=key,
        operation=last,
        in_flight=[each for each in before if end_of(each) > end],
        states=list(dict.fromkeys(map(model.describe, possible))),
        possible=possible,
        linearization=[relevant[index] for index in search.order()],
    )
