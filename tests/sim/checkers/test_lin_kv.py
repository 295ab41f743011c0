"""The checker of lin-kv: the verdict for each key, and the evidence."""

from __future__ import annotations

from typing import Any

import pytest
from support.histories import begin, checking, fail, info, ok
from support.registers import cas, random_registers, read, write

from trio_messenger.sim import CasRegisters, linearizable
from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.lin_kv import lin_kv, violations_in

check = checking(lin_kv)


def the_result(results: Results) -> Results:
    """Return the result of the only key."""
    [result] = results["results"].values()
    return result  # type: ignore[no-any-return]


def test_nothing_is_valid() -> None:
    """As in Maelstrom, a history without operations is valid."""
    assert check() == {"valid?": True, "key-count": 0, "failures": [], "results": {}}


def test_each_key_has_a_verdict() -> None:
    """Failures are the keys that are not linearizable, as the values that they are in requests."""
    results = check(write(0, 1, key=3), read(0, 1, key=3), read(1, 7, key=4), read(1, None, key="x"))
    assert {key: result["valid?"] for key, result in results["results"].items()} == {"3": True, "4": False, "x": True}
    assert (results["valid?"], results["key-count"], results["failures"]) == (False, 3, [4])
    assert results["results"]["3"] == {"valid?": True, "count": 2}


def test_keys_of_different_types_have_different_names() -> None:
    """Strings are in quotation marks if a number, say, would have the same name."""
    assert list(check(read(0, None, key="1"), read(0, None, key=[2]))["results"]) == ["1", "[2]"]
    assert list(check(read(0, None, key="1"), read(0, None, key=1))["results"]) == ['"1"', "1"]


def test_operations_without_effect_do_not_count() -> None:
    """They are those that failed, and reads without a result. A key that has no others is valid."""
    events = [begin(0, "write", [0, 1]), fail(0), begin(0, "read", [0, None]), fail(0)]
    events += [begin(1, "read", [0, None]), info(1)]
    assert the_result(check(*events)) == {"valid?": True, "count": 0}
    assert the_result(check(*events, begin(2, "write", [0, 1]), info(2)))["count"] == 1


def test_a_read_that_finds_the_key_absent_counts() -> None:
    """Maelstrom drops a read that ends with error 20, and Knossos accepts every read of nil; here it is a value."""
    assert check(read(0, None), write(0, 1))["valid?"] is True
    result = the_result(check(write(0, 1), read(1, None)))
    assert (result["valid?"], result["possible"], result["op"]["value"]) == (False, [1], ["x", None])
    # To write null, or to compare with it, means the absent key.
    assert check(write(0, 1), write(0, None), read(1, None), cas(0, None, 2), read(1, 2))["valid?"] is True


def test_a_key_that_must_be_absent_has_null_as_its_only_value() -> None:
    """The possible values are values of a read."""
    assert the_result(check(read(0, 1)))["possible"] == [None]


def test_a_violation_has_its_evidence() -> None:
    """The operation, the one before it, what was possible, what was in flight, and an order for what was before."""
    made = [
        write(0, 1),
        begin(1, "write", ["x", 2]),
        begin(2, "cas", ["x", [1, 3]], node="n2"),
        begin(3, "read", ["x", None]),
        ok(3, ["x", 9]),
        ok(1, ["x", 2]),
        read(0, 7),
    ]
    assert the_result(check(*made)) == {
        "valid?": False,
        "count": 5,
        "op": mentioned(5, 3, "ok", "read", 9),
        "prefix-count": 4,
        "previous-ok": mentioned(1, 0, "ok", "write", 1),
        "possible": [1, 2, 3],
        "in-flight": [
            mentioned(2, 1, "invoke", "write", 2),
            mentioned(3, 2, "invoke", "cas", [1, 3]) | {"node": "n2"},
        ],
        "order": [0],
    }
    assert the_result(check(read(0, 1)))["previous-ok"] is None


def mentioned(index: int, process: int, type_: str, f: str, value: Any) -> Results:
    """Return what results say of an event in a history with an event each millisecond."""
    place = {"index": index, "time": index * 1_000_000, "process": process}
    return {**place, "type": type_, "f": f, "value": ["x", value]}


def test_a_search_that_gives_up_says_how_far_it_came() -> None:
    """The verdict is unknown, with the reason, and the first operation that is not explained yet."""
    busy = [begin(process, "write", ["x", process]) for process in range(8)]
    ends = [ok(process, ["x", process]) for process in range(8)]
    result = the_result(checking(lambda history: lin_kv(history, budget=10))(read(9, None), *busy, *ends, read(9, 99)))
    assert (result["valid?"], result["count"], result["explained-count"]) == ("unknown", 10, 9)
    assert result["reason"] == "the search for an order of the operations used up its budget of 10 configurations"
    assert result["op"]["value"] == ["x", 99]


def test_a_search_may_give_up_before_anything_blocks_it() -> None:
    """Then the next operation to end is the first that is not explained."""
    result = the_result(checking(lambda history: lin_kv(history, budget=2))(*(write(0, n) for n in range(5))))
    assert (result["valid?"], result["op"]["value"], result["explained-count"]) == ("unknown", ["x", 2], 2)


def test_a_process_may_go_on_after_an_unknown_outcome() -> None:
    """Knossos gives up on such a history, although nothing in it is ambiguous."""
    events = [begin(0, "write", ["x", 1]), info(0), read(0, None), read(0, 1)]
    assert check(*events)["valid?"] is True
    assert check(*events, read(0, None))["valid?"] is False


@pytest.mark.slow
def test_violations_can_be_made_from_results() -> None:
    """Explanations and pictures use these; they are the same that the search found."""
    count = 0
    for seed in range(500):
        history = random_registers(seed)
        expected = linearizable(history, CasRegisters()).violations
        assert violations_in(lin_kv(history), history) == list(expected), seed
        count += len(expected)
    assert count > 100
