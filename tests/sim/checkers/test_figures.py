"""Statistics, availability, latencies and quantiles: figures of a run, and what of them is judged."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from support.histories import (
    MS,
    Events,
    add,
    audits,
    begin,
    checked,
    fail,
    history,
    info,
    ok,
    pairs,
    random_history,
    read,
)

from trio_messenger.sim._checkers import Results, Valid, worst
from trio_messenger.sim._checkers.audit import audit
from trio_messenger.sim._checkers.availability import Availability, availability
from trio_messenger.sim._checkers.operation_latencies import latencies
from trio_messenger.sim._checkers.operation_stats import stats
from trio_messenger.sim._checkers.quantiles import quantiles
from trio_messenger.sim._records.history import History

NONE = {"count": 0, "ok-count": 0, "fail-count": 0, "info-count": 0}
"""The counts of no operations."""

MIXED: tuple[Events, ...] = (
    *(begin(0, "write", 1, at=0), ok(0, at=10), begin(0, "write", 2, at=20), info(0, at=90)),
    *(begin(1, "read", at=30), ok(1, at=32.5), begin(1, "read", at=40), ok(1, at=41), begin(2, "read", at=42)),
    *(begin(1, "read", at=43), fail(1, at=99), begin(1, "cas", at=100), fail(1, at=101)),
)
"""Reads and writes of which some are ok, and one that none was."""


def anything(seed: int) -> History:
    """Return a history in which anything may happen."""
    random = Random(seed)
    return random_history(
        random, lambda: (random.choice("abc"), None), lambda *_: None, most=30, has_nodes=seed % 2 == 0
    )


# Verdicts


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], True),
        ([True, True], True),
        ([True, "unknown"], "unknown"),
        (["unknown", False], False),
        ([True, False, "unknown"], False),
    ],
)
def test_the_worst_verdict_counts(verdicts: list[Valid], expected: Valid) -> None:
    """False is worse than unknown, which is worse than True."""
    assert worst(verdicts) is expected


# Statistics


def test_stats_of_nothing() -> None:
    """An empty history has no counts, and nothing in it is wrong."""
    assert checked(stats(history())) == {"valid?": True, **NONE, "by-f": {}}


REFUSED = {"frequent-error": "refused"}


def test_stats_count_how_operations_ended() -> None:
    """Ends are counted overall and by function; an operation without an end is one of which nothing is known."""
    results = checked(stats(history(*MIXED)))
    assert results == {
        "valid?": False,
        **{"count": 7, "ok-count": 3, "fail-count": 2, "info-count": 2},
        "by-f": {
            "cas": {"valid?": False, "count": 1, "ok-count": 0, "fail-count": 1, "info-count": 0} | REFUSED,
            "read": {"valid?": True, "count": 4, "ok-count": 2, "fail-count": 1, "info-count": 1},
            "write": {"valid?": True, "count": 2, "ok-count": 1, "fail-count": 0, "info-count": 1},
        },
    }
    assert list(results["by-f"]) == ["cas", "read", "write"]


def test_stats_have_the_most_frequent_error_of_what_never_was_ok() -> None:
    """It says why, without a look into the log."""
    ends = [(fail(0, "busy"),), (fail(0, "what?"),), (fail(0, "what?"),), ()]
    events = [event for end in ends for event in (begin(0, "cas"), *end)]
    assert checked(stats(history(*events)))["by-f"]["cas"]["frequent-error"] == "what?"


def test_stats_are_valid_if_each_function_was_ok_once() -> None:
    """One operation that is ok is enough for its function, however many are not."""
    events = (begin(0, "read"), ok(0), begin(0, "read"), info(0), begin(0, "read"), fail(0))
    assert stats(history(*events))["valid?"] is True
    assert stats(history(*events, begin(0, "write"), info(0)))["valid?"] is False


# Availability


@pytest.mark.parametrize(
    ("wanted", "valid"),
    [(None, True), ("total", False), (0, True), (0.75, True), (0.76, False), (1, False), (1.0, False)],
)
def test_availability_is_the_fraction_that_is_ok(wanted: Availability, valid: bool) -> None:
    """Three of four operations, final ones included, are a fraction of 0.75; to reach what is wanted is enough."""
    each = (begin(0, "read"), ok(0))
    made = history(*each, *each, begin(1, "write"), info(1), begin(0, "read", final=True), ok(0))
    assert checked(availability(made, wanted)) == {"valid?": valid, "ok-fraction": 0.75}


@pytest.mark.parametrize("wanted", [None, "total", 0.5, 1])
def test_all_operations_ok_is_total_availability(wanted: Availability) -> None:
    """Where all operations are ok, or there were none, everything that may be wanted is reached."""
    for made in (history(), history(begin(0, "read"), ok(0), begin(1, "write"), ok(1))):
        assert checked(availability(made, wanted)) == {"valid?": True, "ok-fraction": 1.0}


def test_one_failure_among_many_is_not_total() -> None:
    """Total means every operation, however many there are."""
    made = history(*((begin(0, "read"), ok(0)) for _ in range(2000)), begin(0, "read"), fail(0))
    assert availability(made, "total")["valid?"] is False
    assert availability(made, 0.9995)["valid?"] is True


def test_availability_counts_what_never_ended() -> None:
    """An operation without an end, or that failed, is not ok."""
    assert availability(history(begin(0, "read")))["ok-fraction"] == 0.0
    assert availability(history(begin(0, "read"), fail(0)), "total")["valid?"] is False


@pytest.mark.parametrize("ok_count", range(21))
def test_a_decimal_fraction_that_is_just_reached_is_reached(ok_count: int) -> None:
    """What is wanted, and reached exactly, is reached, also where binary fractions cannot tell it exactly."""
    events = [event for n in range(20) for event in (begin(0, "read"), ok(0) if n < ok_count else fail(0))]
    assert availability(history(*events), float(f"{ok_count * 5 / 100:.2f}"))["valid?"] is True


@pytest.mark.parametrize("wanted", [-0.1, 1.1, math.nan, math.inf, "all", "0.5", [1]])
def test_what_cannot_be_wanted_is_refused(wanted: Any) -> None:
    """An availability that is no fraction is a mistake of whoever asks for it."""
    with pytest.raises(
        ValueError, match=r"^the availability wanted is .*; give 'total', a fraction from 0 to 1, or None$"
    ):
        availability(history(), wanted)


# Latencies


def test_latencies_of_nothing() -> None:
    """Where there were no operations, there are no quantiles."""
    assert checked(latencies(history())) == {"valid?": True, "quantiles": {}, **NONE, "by-f": {}}


def test_latencies_are_those_of_operations_that_are_ok() -> None:
    """Quantiles in milliseconds, overall and by function; those that did not end well are counted, not timed."""
    results = checked(latencies(history(*MIXED)))
    counts = stats(history(*MIXED))
    assert results == {
        "valid?": True,
        "quantiles": {"0.5": 2.5, "0.95": 10.0, "0.99": 10.0, "1": 10.0},
        **{name: counts[name] for name in NONE},
        "by-f": {
            "cas": {"quantiles": {}, **NONE, "count": 1, "fail-count": 1},
            "read": {
                "quantiles": {"0.5": 2.5, "0.95": 2.5, "0.99": 2.5, "1": 2.5},
                **{"count": 4, "ok-count": 2, "fail-count": 1, "info-count": 1},
            },
            "write": {
                "quantiles": {"0.5": 10.0, "0.95": 10.0, "0.99": 10.0, "1": 10.0},
                **{"count": 2, "ok-count": 1, "fail-count": 0, "info-count": 1},
            },
        },
    }
    assert list(results["by-f"]) == ["cas", "read", "write"]


# Quantiles


def test_quantiles_are_values() -> None:
    """A quantile is the value that so large a part of all comes before; none is made up between two."""
    assert quantiles(range(100, 0, -1), (0, 0.5, 0.95, 0.99, 1)) == {
        "0": 1,
        "0.5": 51,
        "0.95": 96,
        "0.99": 100,
        "1": 100,
    }
    assert quantiles([3, 1, 2], (0, 0.25, 0.34, 0.5, 0.67, 1)) == {
        **{"0": 1, "0.25": 1, "0.34": 2, "0.5": 2, "0.67": 3, "1": 3}
    }
    assert quantiles([2.5], (0, 0.5, 1)) == {"0": 2.5, "0.5": 2.5, "1": 2.5}
    assert quantiles(iter([]), (0, 0.5, 1)) == {}


# Against the definitions


def counted(of: list[tuple[Any, Any]]) -> Results:
    """Return how many operations there are, and how many ended in each way."""
    ended = ["info" if end is None else end.type for _, end in of]
    return {"count": len(ended), **{f"{how}-count": ended.count(how) for how in ("ok", "fail", "info")}}


def timed(of: list[tuple[Any, Any]]) -> dict[str, float]:
    """Return the quantiles of latencies."""
    took = sorted((end.time - begun.time) / MS for begun, end in of if end is not None and end.type == "ok")
    return {
        f"{q:g}": next(each for n, each in enumerate(took, 1) if n > q * len(took) or n == len(took))
        for q in (0.5, 0.95, 0.99, 1)
        if took
    }


def test_audits_do_not_count() -> None:
    """What the simulator reads at the end is in no count, no latency and no fraction."""
    plain = (add(0, 1), begin(1, "read"), info(1))
    some, all_ = history(*plain), history(*plain, audits(n1=[1], n2=[1]))
    for figures in (stats, availability, latencies):
        assert figures(all_) == figures(some)


def test_stats_count_by_node_as_well() -> None:
    """Where the history says who was asked, each node has its counts."""
    made = history(begin(0, "add", 1, node="n2"), ok(0), begin(1, "read", node="n1"), fail(1), add(2, 2))
    assert checked(stats(made))["by-node"] == {
        "n1": {**NONE, "count": 1, "fail-count": 1},
        "n2": {**NONE, "count": 1, "ok-count": 1},
    }


def test_final_reads_of_each_node_are_counted() -> None:
    """A node is audited if the simulator asked it, and answered if any of its final reads was ok."""
    worker = (begin(0, "read", final=True, node="n1"), ok(0, [1]))
    refusals = (begin(5, "read", final=True, node="n2"), fail(5))
    made = history(read(1, [], final=True), worker, refusals, audits(n1=[1], n2=[1]))
    assert checked(audit(made)) == {"valid?": True, "ok-reads": {"n1": 2, "n2": 1}}
    assert audit(history(worker)) == {"valid?": True, "ok-reads": {}}


@pytest.mark.slow
def test_random_histories_have_the_figures_of_the_definition() -> None:
    """On thousands of small random histories all figures are those that counting one by one comes to."""
    verdicts: Counter[tuple[str, bool]] = Counter()
    for seed in range(2000):
        made = anything(seed)
        operations = list(pairs(made))
        groups = {f: [each for each in operations if each[0].f == f] for f in "abc"}
        groups = {f: group for f, group in groups.items() if group}
        found = checked(stats(made))
        for each in found["by-f"].values():
            each.pop("frequent-error", None)
        by_f = {f: {"valid?": counted(group)["ok-count"] > 0, **counted(group)} for f, group in groups.items()}
        valid = all(each["valid?"] for each in by_f.values())
        by_node = found.pop("by-node", None)
        assert found == {"valid?": valid, **counted(operations), "by-f": by_f}, f"seed {seed}"
        nodes = sorted({begun.node for begun, _ in operations if begun.node is not None})
        assert by_node == ({node: counted([e for e in operations if e[0].node == node]) for node in nodes} or None)
        assert checked(latencies(made)) == {
            "valid?": True,
            **{"quantiles": timed(operations), **counted(operations)},
            "by-f": {f: {"quantiles": timed(group), **counted(group)} for f, group in groups.items()},
        }
        total = availability(made, "total")
        assert total["valid?"] is (found["ok-count"] == found["count"])
        assert total["ok-fraction"] == (found["ok-count"] / len(operations) if operations else 1.0)
        verdicts["stats", valid] += 1
        verdicts["total", total["valid?"]] += 1
    assert len(verdicts) == 4
    assert min(verdicts.values()) > 100
