"""The checker of linearizability: whether an order explains what clients saw."""

from __future__ import annotations

import copy
import functools
import pickle
import re
from random import Random
from typing import Any

import pytest
from support.brute_force import by_brute_force
from support.histories import begin, checking, fail, history, info, ok, random_history
from support.models import KINDS, Queue
from support.registers import cas, cut, random_registers, read, registers_of_a_system, write

from trio_messenger.sim import (
    IMPOSSIBLE,
    CasRegisters,
    History,
    Impossible,
    Linearizability,
    Op,
    Operation,
    State,
    Violation,
    linearizable,
)

check = checking(functools.partial(linearizable, model=CasRegisters()))


def the_violation(found: Linearizability) -> Violation:
    assert found.valid is False
    [violation] = found.violations
    return violation


# By hand


@pytest.mark.parametrize(
    "events",
    [
        (),
        (read(0, None),),
        (write(0, 1), read(1, 1)),
        (write(0, 1), cas(1, 1, 2), read(0, 2)),
        (begin(0, "write", ["x", 1]), read(1, None), read(1, 1), ok(0, ["x", 1])),
        (begin(0, "write", ["x", 1]), write(1, 2), read(1, 1), ok(0, ["x", 1])),
        # A write that leaves the state as it is may be needed later: here 1 is written again, after the 2.
        (begin(0, "write", ["x", 1]), write(1, 1), write(1, 2), read(1, 1), ok(0, ["x", 1])),
        # What ended as info may take effect long after, or never; what failed did not happen.
        (begin(0, "write", ["x", 1]), info(0), read(1, None), read(1, 1)),
        (begin(0, "write", ["x", 1]), info(0), read(1, None), read(2, None)),
        (begin(0, "write", ["x", 1]), fail(0), read(1, None)),
        (begin(0, "write", ["x", 1]), read(1, None), read(1, 1)),  # it never ended
        # A compare-and-set without a known end may have found another value, and changed nothing.
        (write(0, 1), begin(0, "cas", ["x", [7, 2]]), info(0), read(1, 1)),
        # A read without a result says nothing.
        (write(0, 1), begin(1, "read", ["x", None]), info(1), read(0, 1)),
        (write(0, 1, key="x"), read(0, None, key="y"), write(1, [2], key="y"), read(0, [2], key="y")),
    ],
)
def test_what_an_order_explains_is_linearizable(events: tuple[Any, ...]) -> None:
    """Each of these can be explained by operations that took effect one after another."""
    assert check(*events) == Linearizability(valid=True, violations=[], undecided=[])


@pytest.mark.parametrize(
    "events",
    [
        (read(0, 1),),
        (write(0, 1), read(1, None)),  # an absent key is a value that was observed
        (write(0, 1), write(0, 2), read(1, 1)),
        (write(0, 1), cas(1, 2, 3)),
        (write(0, 1), cas(0, 1, 2), cas(1, 1, 3)),
        (begin(0, "write", ["x", 1]), read(1, 1), read(1, None), ok(0, ["x", 1])),
        (begin(0, "write", ["x", 1]), fail(0), read(1, 1)),
        (begin(0, "write", ["x", 1]), info(0), read(1, 1), read(1, None)),
        (begin(0, "write", ["x", 1]), info(0), write(1, 2), read(1, 1), read(1, 2)),
        (write(0, 1), read(1, True)),  # to Python, True and 1.0 are 1
        (write(0, 1), read(1, 1.0)),
        (write(0, 1, key="x"), read(0, 1, key=1)),
    ],
)
def test_what_no_order_explains_is_not_linearizable(events: tuple[Any, ...]) -> None:
    """Each of these contradicts every order."""
    assert check(*events).valid is False


def test_a_violation_names_the_first_operation_that_no_order_explains() -> None:
    """It comes with those in flight, the values that were possible then, and an order for what was before."""
    found = check(
        write(0, 1),
        begin(1, "write", ["x", 2]),
        begin(2, "cas", ["x", [1, 3]]),
        begin(3, "read", ["x", None]),
        ok(3, ["x", 9]),
        ok(1, ["x", 2]),
        read(0, 7),
    )
    violation = the_violation(found)
    assert violation.key == "x"
    assert violation.operation.invocation.process == 3
    assert [each.invocation.process for each in violation.in_flight] == [1, 2]
    assert list(violation.states) == ["1", "2", "3"]
    assert violation.linearization[0].invocation.index == 0


def test_states_that_only_wrong_turns_led_to_are_not_called_possible() -> None:
    """The search meets 1 while it looks for an order of the writes; once 2 was read last, only 2 is possible."""
    writes = [begin(0, "write", ["x", 2]), begin(1, "write", ["x", 1]), ok(0, ["x", 2]), ok(1, ["x", 1])]
    violation = the_violation(check(*writes, read(2, 2), read(2, 7)))
    assert list(violation.states) == ["2"]


def test_a_violation_cannot_be_cut_shorter() -> None:
    """All that was before the end of the operation is linearizable; with that end it is not."""
    for seed in range(300):
        whole = random_registers(seed)
        for violation in linearizable(whole, CasRegisters()).violations:
            end = violation.operation.completion
            assert end is not None
            assert linearizable(cut(whole, CasRegisters(), violation.key, end.index), CasRegisters()).valid is True
            assert linearizable(cut(whole, CasRegisters(), violation.key, end.index + 1), CasRegisters()).valid is False


def test_the_linearization_explains_all_that_ended_before() -> None:
    """Played from the first state, it is possible at each step, and has every operation that ended before."""
    model = CasRegisters()
    violations = [each for seed in range(300) for each in linearizable(random_registers(seed), model).violations]
    assert violations
    for violation in violations:
        state: State = model.initial
        for operation in violation.linearization:
            known = operation if operation not in violation.in_flight else Operation(operation.invocation, None)
            following = model.step(state, known)
            assert not isinstance(following, Impossible)
            state = following
        assert model.describe(state) in violation.states


def test_each_key_has_its_own_verdict() -> None:
    """A violation of one key says which, and the others are searched all the same."""
    found = check(read(0, 1, key="a"), write(0, 1, key="b"), read(0, 2, key="c"))
    assert [violation.key for violation in found.violations] == ["a", "c"]


def test_a_search_beyond_its_budget_is_undecided() -> None:
    """The verdict is unknown, and says of which object; a violation that was found elsewhere stands."""
    busy = [begin(process, "write", ["x", process]) for process in range(8)]
    ends = [ok(process, ["x", process]) for process in range(8)]
    found = linearizable(history(*busy, *ends, read(9, 99)), CasRegisters(), budget=10)
    assert (found.valid, list(found.undecided)) == ("unknown", ["x"])
    found = linearizable(history(*busy, *ends, read(9, 99), read(9, 1, key="y")), CasRegisters(), budget=10)
    assert (found.valid, list(found.undecided), [each.key for each in found.violations]) == (False, ["x"], ["y"])


# Other objects


def test_a_model_of_ones_own_is_judged_by_the_same_search() -> None:
    """A queue gives back what was put in first, whatever overlapped."""
    put, got = "enqueue", "dequeue"
    overlapping = [begin(0, put, "a"), begin(1, put, "b"), ok(0, "a"), ok(1, "b")]
    right = history(*overlapping, begin(0, got), ok(0, "b"), begin(0, got), ok(0, "a"))
    assert linearizable(right, Queue()).valid is True
    wrong = history(begin(0, put, "a"), ok(0, "a"), begin(1, put, "b"), ok(1, "b"), begin(0, got), ok(0, "b"))
    violation = the_violation(linearizable(wrong, Queue()))
    assert (violation.key, violation.operation.f, list(violation.states)) == (None, got, ["('a', 'b')"])


def test_a_model_whose_methods_return_no_results_is_refused() -> None:
    """Coroutines and generators would be states that no operation contradicts."""

    class Async(Queue):
        async def step(self, state: State, operation: Operation) -> State:  # type: ignore[override]
            return await self.step(state, operation)

    class Generator(Queue):
        def is_read(self, operation: Operation) -> Any:
            yield operation

    for model, error in (
        (Async(), "Async.step is async; make it a plain function that returns its result"),
        (Generator(), "Generator.is_read is a generator; make it a plain function that returns its result"),
        (Queue, f"the model is {Queue!r:.80}; give an object of a subclass of Model"),
    ):
        with pytest.raises(TypeError, match=re.escape(error)):
            linearizable(History(), model)  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [0, -1, 0.5, float("nan"), float("inf"), "5", None, True])
def test_a_budget_is_a_number_of_configurations(budget: Any) -> None:
    """Anything else would search without end, or not at all."""
    with pytest.raises(ValueError, match=f"^budget is {re.escape(repr(budget))}; give the number of configurations"):
        linearizable(History(), CasRegisters(), budget=budget)


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (Op(index=1, time=0, type="ok", process=0, f="read"), "entry 0 of the history has the index 1; number"),
        (Op(index=0, time=0, type="OK", process=0, f="read"), "entry 0 of the history has the type 'OK'; it must be"),  # type: ignore[arg-type]
        (Op(index=0, time=0, type="ok", process=7, f="read"), "process 7 ends none that has begun"),
    ],
)
def test_what_is_no_history_is_refused(op: Op, error: str) -> None:
    """Instead of a verdict without the operation."""
    with pytest.raises(ValueError, match=error):
        linearizable(History([op]), CasRegisters())
    twice = [Op(index=index, time=0, type="invoke", process=0, f="read", value=["x", None]) for index in (0, 1)]
    with pytest.raises(ValueError, match="process 0 begins another operation before its last one has ended"):
        linearizable(History(twice), CasRegisters())


def test_impossible_is_one_object() -> None:
    """A copy of it, a pickle of it and a new one are not a state, either."""
    assert copy.deepcopy(IMPOSSIBLE) is copy.copy(IMPOSSIBLE) is Impossible() is IMPOSSIBLE
    assert pickle.loads(pickle.dumps(IMPOSSIBLE)) is IMPOSSIBLE


def test_impossible_says_what_it_is() -> None:
    """In a debugger it cannot be taken for a state."""
    assert repr(IMPOSSIBLE) == "IMPOSSIBLE"


# Against brute force


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_brute_force_agrees(part: int) -> None:
    """In 2,000 small histories of any kind, and 500 of right registers, all orders tried say the same."""
    verdicts = {True: 0, False: 0}
    for seed in range(part * 500, part * 500 + 500):
        whole = random_registers(seed)
        expected = by_brute_force(whole, CasRegisters())
        assert linearizable(whole, CasRegisters()).valid is expected, seed
        verdicts[expected] += 1
    assert min(verdicts.values()) > 50  # the histories are of both kinds


@pytest.mark.parametrize("name", KINDS)
def test_brute_force_agrees_for_any_model(name: str) -> None:
    """In 250 small histories of each kind of object, all orders tried say the same."""
    kind = KINDS[name]
    verdicts = {True: 0, False: 0}
    for seed in range(250):
        random = Random(seed)
        whole = random_history(
            random,
            functools.partial(kind.choose, random),
            functools.partial(kind.answer, random),
            most=10,
        )
        expected = by_brute_force(whole, kind.model)
        assert linearizable(whole, kind.model).valid is expected, seed
        verdicts[expected] += 1
    assert min(verdicts.values()) > 25  # the histories are of both kinds


@pytest.mark.slow
def test_right_registers_are_never_accused() -> None:
    """Whatever is lost or late, a system that keeps its registers right passes."""
    for seed in range(2000):
        assert linearizable(registers_of_a_system(seed), CasRegisters()).valid is True, seed
