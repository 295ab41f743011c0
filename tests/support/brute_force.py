"""Linearizability by brute force: all orders are tried."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from trio_messenger.sim import IMPOSSIBLE, History, Model, Operation


def by_brute_force(whole: History, model: Model) -> bool:
    """Tell whether any order explains *whole*, by trying all of them."""
    objects: dict[Hashable, list[Operation]] = {}
    for operation in whole.operations():
        if operation.outcome != "fail":
            objects.setdefault(model.key(operation), []).append(operation)
    return all(any_order_explains(operations, model) for operations in objects.values())


def any_order_explains(operations: list[Operation], model: Model) -> bool:
    certain = [each for each in operations if each.outcome == "ok"]
    perhaps = [each for each in operations if each.outcome == "info"]
    for count in range(len(perhaps) + 1):
        for some in itertools.combinations(perhaps, count):
            if any(explains(order, model) for order in itertools.permutations([*certain, *some])):
                return True
    return False


def explains(order: tuple[Operation, ...], model: Model) -> bool:
    state = model.initial
    begun = -1  # the last beginning of those before
    for operation in order:
        if operation.outcome == "ok" and operation.completion is not None and operation.completion.index < begun:
            return False  # it was over before one began that is said to have taken effect earlier
        begun = max(begun, operation.invocation.index)
        following = model.step(state, operation)
        if following is IMPOSSIBLE:
            return False
        state = following
    return True
