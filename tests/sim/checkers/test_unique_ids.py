"""The checker of unique-ids: which ids came twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from support.histories import (
    begin,
    checked,
    checking,
    fail,
    info,
    ok,
    pairs,
    random_history,
    same,
    system_history,
)

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.unique_ids import unique_ids
from trio_messenger.sim._records.history import History


def given(*ids: Any) -> Results:
    """Return the results of a history in which *ids* were given out, one after the other."""
    return check(*((begin(0, "generate"), ok(0, each)) for each in ids))


check = checking(unique_ids)


# By hand


def test_nothing_happened() -> None:
    """Where no ids were given out, none came twice, and there is no range."""
    assert check() == {
        "valid?": True,
        "attempted-count": 0,
        "acknowledged-count": 0,
        "duplicated-count": 0,
        "duplicated": [],
        "range": None,
    }


def test_different_ids_are_valid() -> None:
    """Ids that differ are valid; attempts are all requests, and acknowledged those that an id came for."""
    assert check(
        *((begin(0, "generate"), ok(0, 5)), (begin(1, "generate"), ok(1, -2)), (begin(2, "generate"), fail(2))),
        *(begin(3, "generate"), info(3), begin(4, "generate")),
    ) == {
        "valid?": True,
        "attempted-count": 5,
        "acknowledged-count": 2,
        "duplicated-count": 0,
        "duplicated": [],
        "range": [-2, 5],
    }


def test_the_two_zeros_are_one_id() -> None:
    """0.0 and -0.0 are the same value, as for Maelstrom, at any depth; 0 is another one."""
    assert given(0.0, 0, -0.0)["duplicated"] == [[0.0, 2]]
    assert given([{"a": -0.0}], [{"a": 0.0}])["valid?"] is False
    assert given(-0.5, "-0.0", "0.0")["valid?"] is True


def test_an_id_given_twice_is_invalid() -> None:
    """Duplicated ids are told with the number of times, the most frequent first, then in the order of asking."""
    assert given("b", "a", "c", "d", "a", "b", "c", "c") == {
        "valid?": False,
        "attempted-count": 8,
        "acknowledged-count": 8,
        "duplicated-count": 3,
        "duplicated": [["c", 3], ["b", 2], ["a", 2]],
        "range": ["a", "d"],
    }


def test_forty_eight_are_told() -> None:
    """All duplicated ids are counted, and the 48 that came most often are told."""
    results = given(*(n for n in range(60) for _ in range(2 + n)))
    assert results["duplicated-count"] == 60
    assert results["duplicated"] == [[n, 2 + n] for n in range(59, 11, -1)]


def test_ids_are_compared_as_json() -> None:
    """What other than JSON would call equal is told apart, and values that Python cannot hash are compared as well."""
    assert given(1, "1", True, 1.0, None, [1], [True], ["1"], {"a": 1}, {"a": True}, "null")["valid?"] is True
    results = given([1, {"b": 2, "a": 1}], [1, {"a": 1, "b": 2}], True, None, None, True)
    assert same(results["duplicated"], [[[1, {"a": 1, "b": 2}], 2], [True, 2], [None, 2]])


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([3, 1.5, 2], [1.5, 3]),
        (["b", "a", "10"], ["10", "b"]),
        ([1, "a"], None),
        ([True, False], None),
        ([1, True], None),
        ([[2], [1]], None),
        ([None], None),
        ([{"a": 1}], None),
    ],
)
def test_the_range_is_told_where_there_is_one(ids: list[Any], expected: list[Any] | None) -> None:
    """Numbers have a range, and so have texts; anything else has none."""
    assert given(*ids)["range"] == expected


def test_other_operations_do_not_count() -> None:
    """Only ``generate`` is looked at."""
    assert check(begin(0, "read"), ok(0, 1), begin(0, "read"), ok(0, 1))["attempted-count"] == 0


# Against the definition

ASK = ("generate", None)
IDS: tuple[Any, ...] = (0, False, "", None, [], {}, 1, True, "1", [1], [True], 1.0, {"a": 1}, {"a": 2})


def by_definition(of: History) -> Results:
    """Judge a history by comparing each id with each other."""
    asked = [(begun, end) for begun, end in pairs(of) if begun.f == "generate"]
    ids = [end.value for _, end in asked if end is not None and end.type == "ok"]
    first = [n for n, each in enumerate(ids) if not any(same(each, other) for other in ids[:n])]
    times = [(ids[n], sum(same(ids[n], other) for other in ids)) for n in first]
    twice = [[each, n] for n in range(len(ids), 1, -1) for each, found in times if found == n]
    return {"attempted-count": len(asked), "acknowledged-count": len(ids), "duplicated": twice}


@pytest.mark.slow
def test_small_histories_are_judged_by_the_definition() -> None:
    """On thousands of small random histories the results are those of the definition."""
    verdicts: Counter[bool] = Counter()
    for seed in range(3000):
        random = Random(seed)

        def answer(f: str, value: Any, random: Random = random) -> Any:
            return random.choice(IDS)

        made = random_history(random, lambda: ASK, answer, most=24)
        results = checked(unique_ids(made))
        expected = by_definition(made)
        assert same({name: results[name] for name in expected}, expected), f"seed {seed}"
        assert results["valid?"] is not bool(expected["duplicated"])
        assert results["duplicated-count"] == len(expected["duplicated"])
        verdicts[results["valid?"]] += 1
    assert min(verdicts.values()) > 500


# Systems


def source(numbers: Iterator[int]) -> Callable[[str, Any], int]:
    """Return a system that gives out *numbers* as ids."""
    return lambda *_: next(numbers)


def test_a_correct_source_of_ids_is_always_valid() -> None:
    """A source that counts is valid in every run, whatever the network loses."""
    for seed in range(200):
        made = system_history(Random(seed), [ASK] * 30, ASK, source(itertools.count()))
        assert checked(unique_ids(made))["valid?"] is True, f"seed {seed}"


def test_a_source_that_begins_again_is_invalid() -> None:
    """A source that begins again at 0 after a while gives out ids twice."""
    for seed in range(100):
        made = system_history(Random(seed), [ASK] * 30, ASK, source(itertools.cycle(range(20))), reliable=True)
        results = checked(unique_ids(made))
        assert (results["valid?"], results["duplicated-count"], results["range"]) == (False, 13, [0, 19])
