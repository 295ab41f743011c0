"""Proofs from the last operations: they are right, and they spare the search of everything."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from random import Random

import attrs
import pytest
from support.brute_force import by_brute_force
from support.busy_registers import busy_registers
from support.histories import begin, history, ok, random_history
from support.models import KINDS
from support.registers import cut, random_registers

from trio_messenger.sim import CasRegisters, History, Model, Operation, linearizable
from trio_messenger.sim._checkers import linearizability, refutation
from trio_messenger.sim._checkers.linearizability import operations_by_object
from trio_messenger.sim._checkers.refutation import Refuter


def refuted(whole: History, model: Model, key: Hashable) -> list[Operation]:
    """Return the ok operations on *key* whose ends have a proof that there is no order up to there."""
    operations = operations_by_object(whole, model)[key]
    refuter = Refuter(operations, model)
    return [each for each in operations if each.outcome == "ok" and refuter.refute(each, 100) is not None]


def small_histories(name: str, count: int) -> list[History]:
    if name == "registers":
        return [random_registers(seed) for seed in range(count)]
    kind = KINDS[name]
    return [
        random_history(
            Random(seed),
            functools.partial(kind.choose, Random(seed)),
            functools.partial(kind.answer, Random(seed + 1)),
            most=10,
        )
        for seed in range(count)
    ]


@pytest.mark.parametrize("name", ["registers", *KINDS])
def test_what_is_refuted_has_no_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the window, brute force finds none, either."""
    monkeypatch.setattr(refutation, "_WINDOW_SIZES", (1, 2, 3))
    model = CasRegisters() if name == "registers" else KINDS[name].model
    count = 0
    for small in small_histories(name, 120):
        for key in operations_by_object(small, model):
            for operation in refuted(small, model, key):
                assert operation.completion is not None
                assert not by_brute_force(cut(small, model, key, operation.completion.index + 1), model)
                count += 1
    assert count > 20


def test_a_search_that_is_impatient_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proof for each end that it cannot pass at once, the verdicts are the same."""
    histories = small_histories("registers", 150)
    expected = [linearizable(each, CasRegisters()).valid for each in histories]
    monkeypatch.setattr(linearizability, "_SEARCH_PATIENCE", 1)
    monkeypatch.setattr(refutation, "_WINDOW_SIZES", (1, 2, 3))
    assert [linearizable(each, CasRegisters()).valid for each in histories] == expected


def test_a_late_error_is_found_without_a_search_of_everything() -> None:
    """Ten clients always in flight, and a wrong read at the end: the search alone would visit more configurations."""
    right = busy_registers(10, 600, seed=1)
    wrong = [*right]
    place = max(op.index for op in right if op.type == "ok" and op.f == "read")
    wrong[place] = attrs.evolve(wrong[place], value=[0, 99])
    assert linearizable(right, CasRegisters(), budget=20_000).valid is True
    found = linearizable(History(wrong), CasRegisters(), budget=20_000)
    [violation] = found.violations
    assert violation.operation.completion == wrong[place]
    assert set(violation.possible) <= {0, 1, 2, 3, 4}


def test_a_counter_has_too_many_states_for_windows() -> None:
    """Then the only window is everything up to the operation. A search beyond its budget proves nothing."""
    adds = [(begin(0, "add", 1), ok(0, 1)) for _ in range(200)]
    model = KINDS["counter"].model
    operations = operations_by_object(history(*adds, begin(0, "read"), ok(0, 7)), model)[None]
    assert Refuter(operations, model).refute(operations[-1], 1000) == {200}
    assert Refuter(operations, model).refute(operations[-1], 1) is None
    assert Refuter(operations[:-1], model).refute(operations[-2], 1000) is None
