"""The checker of the counters: which sums the final reads may see."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any

import pytest
from support.histories import (
    add,
    audits,
    begin,
    checked,
    checking,
    fail,
    info,
    ok,
    pairs,
    random_history,
    read,
    same,
    system_history,
)

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.counters import counters, reachable
from trio_messenger.sim._records.history import History

check = checking(counters)


# By hand


def test_nothing_happened() -> None:
    """Without a final read there is nothing to be wrong; a counter begins at 0."""
    assert check() == {"valid?": True, "errors": [], "final-reads": [], "acceptable": [[0, 0]]}


def test_final_reads_see_the_sum() -> None:
    """All final reads are to see the sum of what was added."""
    assert check(add(0, 3), add(1, -1), read(0, 2, final=True), read(1, 2, final=True)) == {
        "valid?": True,
        "errors": [],
        "final-reads": [2, 2],
        "acceptable": [[2, 2]],
    }


def test_a_wrong_sum_is_an_error() -> None:
    """A final read of anything else is an error, told with the value and where it is in the history."""
    assert check(add(0, 3), read(0, 2, final=True), read(1, 3, final=True), read(2, 4, final=True)) == {
        "valid?": False,
        "errors": [
            {"index": 3, "time": 3_000_000, "process": 0, "type": "ok", "f": "read", "value": 2},
            {"index": 7, "time": 7_000_000, "process": 2, "type": "ok", "f": "read", "value": 4},
        ],
        "final-reads": [2, 3, 4],
        "acceptable": [[3, 3]],
    }


def test_every_final_read_counts_whoever_asked() -> None:
    """Audits are final reads: a node that nobody else asks is judged, and the first round as well as the second."""
    results = check(add(0, 3), audits(n1=3, n2=2), audits(n1=3, n2=3))
    assert (results["valid?"], results["final-reads"], results["last-reads"]) == (
        False,
        [3, 2, 3, 3],
        {"n1": 3, "n2": 3},
    )
    assert [(each["node"], each["value"]) for each in results["errors"]] == [("n2", 2)]


def test_nodes_must_agree_in_the_end() -> None:
    """Where an add nobody knows about makes two values possible, an acknowledged one may hide behind it."""
    unknown = (add(0, 3), begin(1, "add", 4), info(1))
    results = check(*unknown, audits(n1=7, n2=3), audits(n1=7, n2=3))
    assert (results["valid?"], results["errors"], results["last-reads"]) == (False, [], {"n1": 7, "n2": 3})
    assert check(*unknown, audits(n1=7, n2=3), audits(n1=7, n2=7))["valid?"] is True
    assert check(*unknown, read(0, 7, final=True), read(1, 3, final=True))["valid?"] is True


def test_reads_are_told_in_the_order_in_which_they_ended() -> None:
    """The read that ends first is told first, whichever began first."""
    results = check(begin(0, "read", final=True), begin(1, "read", final=True), ok(1, 8), ok(0, 9))
    assert results["final-reads"] == [8, 9]
    assert [each["process"] for each in results["errors"]] == [1, 0]


def test_other_reads_are_not_looked_at() -> None:
    """A read that is not final, or not ok, may say what it likes."""
    events = (read(0, 99), begin(1, "read", final=True), info(1), begin(2, "read", final=True), fail(2))
    assert check(*events, begin(3, "read", final=True))["valid?"] is True
    assert check(*events)["final-reads"] == []


def test_an_add_that_failed_does_not_count() -> None:
    """What was refused is not in the sum."""
    assert check(begin(0, "add", 3), fail(0), read(1, 0, final=True))["valid?"] is True
    assert check(begin(0, "add", 3), fail(0), read(1, 3, final=True))["valid?"] is False


@pytest.mark.parametrize(("value", "valid"), [(0, False), (1, True), (2, False), (3, False), (4, True), (5, False)])
def test_an_add_without_an_answer_may_count(value: int, valid: bool) -> None:
    """Where nobody knows whether something was added, both sums are right, and nothing between."""
    for unanswered in ((begin(0, "add", 3), info(0)), (begin(0, "add", 3),)):
        results = check(add(1, 1), *unanswered, read(2, value, final=True))
        assert (results["valid?"], results["acceptable"]) == (valid, [[1, 1], [4, 4]])


def test_each_unknown_add_may_count_by_itself() -> None:
    """Any selection of unknown adds may have happened, each once; neighbouring sums make one range."""
    unknown = [event for process, delta in enumerate((1, 1, 5, -10)) for event in (begin(process, "add", delta),)]
    assert check(*unknown)["acceptable"] == [[-10, -8], [-5, -3], [0, 2], [5, 7]]


@pytest.mark.parametrize("value", [True, 3.0, 2.5, "3", None, [3], {"value": 3}])
def test_what_is_no_integer_is_an_error(value: Any) -> None:
    """A value of another type is never the sum, and does the checker no harm."""
    results = check(add(0, 3), begin(1, "add", -2), read(2, value, final=True))
    assert results["valid?"] is False
    assert results["errors"][0]["value"] == value


def test_other_operations_do_not_count() -> None:
    """Only ``add`` and ``read`` are looked at."""
    assert check(add(0, 3, f="subtract"), begin(1, "peek", final=True), ok(1, 7))["final-reads"] == []
    assert check(add(0, 3, f="subtract"))["acceptable"] == [[0, 0]]


# Against the definition: every selection by itself


def sums(start: int, deltas: list[int]) -> set[int]:
    """Return the sum of *start* and each selection of *deltas*."""
    selections = itertools.product((False, True), repeat=len(deltas))
    return {start + sum(itertools.compress(deltas, selection)) for selection in selections}


def by_definition(of: History) -> Results:
    """Judge a history by the text of the definition."""
    operations = list(pairs(of))
    adds = [(begun.value, "info" if end is None else end.type) for begun, end in operations if begun.f == "add"]
    possible = sums(sum(d for d, how in adds if how == "ok"), [d for d, how in adds if how == "info"])
    reads = [op for op in of if op.type == "ok" and op.f == "read" and op.final]
    wrong = [op.index for op in reads if isinstance(op.value, bool) or op.value not in possible]
    last = {op.node: op.value for op in reads if op.node is not None}
    agree = all(same(*two) for two in itertools.combinations(last.values(), 2))
    span = range(min(possible) - 1, max(possible) + 2)
    return {
        "valid?": not wrong and agree,
        **({"last-reads": last} if last else {}),
        "errors": wrong,
        "final-reads": [op.value for op in reads],
        "acceptable": [
            [low, next(high for high in span if high >= low and high in possible and high + 1 not in possible)]
            for low in span
            if low in possible and low - 1 not in possible
        ],
    }


@pytest.mark.slow
def test_small_histories_are_judged_by_the_definition() -> None:
    """On thousands of small random histories the results are those of the definition."""
    seen: Counter[str] = Counter()
    for seed in range(4000):
        random = Random(seed)

        def choose(random: Random = random) -> tuple[str, Any]:
            return ("add", random.choice((-7, -1, 0, 1, 2, 6))) if random.random() < 0.6 else ("read", None)

        def answer(f: str, value: Any, random: Random = random) -> Any:
            return value if f == "add" else random.randint(-4, 8)

        made = random_history(random, choose, answer, most=20, has_nodes=seed % 2 == 0)
        results = checked(counters(made))
        assert {**results, "errors": [each["index"] for each in results["errors"]]} == by_definition(made), (
            f"seed {seed}"
        )
        seen.update(name for name, value in results.items() if value)
        seen["gaps"] += len(results["acceptable"]) > 2
    assert min(seen[name] for name in ("valid?", "errors", "final-reads", "gaps")) > 300


def test_reachable_sums_are_those_of_all_selections() -> None:
    """Ranges hold the sums of all selections, and nothing else; they ascend, and have gaps between them."""
    for seed in range(1000):
        random = Random(seed)
        start, deltas = random.randint(-9, 9), random.choices(range(-12, 13), k=random.randint(0, 8))
        ranges = reachable(start, deltas)
        assert {n for low, high in ranges for n in range(low, high + 1)} == sums(start, deltas)
        assert all(low <= high for low, high in ranges)
        assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(ranges))


def test_thousands_of_unknown_adds_make_few_ranges() -> None:
    """As long as the deltas are those of the workload, it does not matter how many there are."""
    random = Random(1)
    deltas = [random.randint(-5, 4) for _ in range(5000)]
    assert reachable(0, deltas) == [(sum(d for d in deltas if d < 0), sum(d for d in deltas if d > 0))]


def test_thousands_of_equal_unknown_adds_take_few_steps() -> None:
    """Where nothing closes the gaps, the work is that of listing the sums, and not its square: minutes, here."""
    assert reachable(1, [4] * 30_000) == [(4 * times + 1, 4 * times + 1) for times in range(30_001)]


# Systems


class Counted:
    """A counter, that may be wrong in one way."""

    def __init__(self, wrong: str = "") -> None:
        self.sum = 0
        self.wrong = wrong

    def apply(self, f: str, value: Any) -> Any:
        """Carry out an operation."""
        if f == "read":
            return self.sum
        times = {"forgets": 0, "repeats": 2}.get(self.wrong, 1) if value == 100 else 1
        self.sum += times * value
        return value


def calls(random: Random) -> list[tuple[str, Any]]:
    """Return operations as the workload has them."""
    return [("add", random.randint(-5, 4)) if random.random() < 0.5 else ("read", None) for _ in range(30)]


def test_a_correct_counter_is_always_valid() -> None:
    """A counter that is right, behind a network that is not, is valid in every run."""
    finals = 0
    for seed in range(300):
        random = Random(seed)
        results = checked(counters(system_history(random, calls(random), ("read", None), Counted().apply)))
        assert results["valid?"] is True, f"seed {seed}"
        finals += len(results["final-reads"])
    assert finals > 300


@pytest.mark.parametrize("wrong", ["forgets", "repeats"])
def test_a_wrong_counter_is_invalid(wrong: str) -> None:
    """A counter that forgets an add, or makes it twice, is invalid in every run: every final read is an error."""
    for seed in range(100):
        random = Random(seed)
        asked = [*calls(random), ("add", 100)]
        results = checked(counters(system_history(random, asked, ("read", None), Counted(wrong).apply, reliable=True)))
        assert (results["valid?"], len(results["errors"])) == (False, 3), f"seed {seed}"
