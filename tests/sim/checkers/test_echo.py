"""The checker of echo: what came back otherwise than it was sent, or not at all."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from support.histories import (
    MS,
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
from trio_messenger.sim._checkers.echo import echo

check = checking(echo)


def test_nothing_happened() -> None:
    """Where nothing was sent, nothing is wrong."""
    assert check() == {"valid?": True, "errors": []}


def test_what_comes_back_as_it_was_sent_is_valid() -> None:
    """Each reply is compared with its own request, whatever the order of the replies."""
    assert check(begin(0, "echo", "a"), begin(1, "echo", "b"), ok(1, "b"), ok(0, "a")) == {"valid?": True, "errors": []}


def test_each_mismatch_is_told() -> None:
    """Another text and a refusal are mismatches, each told with what was sent."""
    results = check(
        *(begin(0, "echo", "a"), ok(0, "A"), begin(1, "echo", "c"), fail(1, "busy"), begin(1, "echo", "d"), ok(1, "d")),
    )

    def mismatch(n: int, process: int, sent: str, received: str | None, outcome: str, error: str | None) -> Results:
        return {
            **{"index": n, "time": n * MS, "process": process, "type": "invoke", "f": "echo"},
            **{"sent": sent, "received": received, "outcome": outcome, "error": error},
        }

    assert results == {
        "valid?": False,
        "errors": [mismatch(0, 0, "a", "A", "ok", None), mismatch(2, 1, "c", None, "fail", "busy")],
    }


def test_what_nobody_knows_is_no_mismatch() -> None:
    """A timeout, or an end without a word, says nothing about the node: the reply may have been right, and lost."""
    results = check(begin(0, "echo", "a"), info(0, "no reply within 5 s"), begin(1, "echo", "b"))
    assert results == {"valid?": True, "errors": []}


@pytest.mark.parametrize(("sent", "received"), [(1, True), (1, 1.0), (0, False), (1, "1"), ([1], [True]), (None, "")])
def test_values_are_compared_as_json(sent: Any, received: Any) -> None:
    """What only Python calls equal is a mismatch."""
    assert check(begin(0, "echo", sent), ok(0, received))["valid?"] is False
    assert check(begin(0, "echo", sent), ok(0, sent))["valid?"] is True


def test_the_order_of_keys_does_not_matter() -> None:
    """An object may come back with its keys in another order."""
    assert check(begin(0, "echo", {"a": 1, "b": [2]}), ok(0, {"b": [2], "a": 1}))["valid?"] is True


def test_a_failed_echo_is_a_mismatch_though_its_value_stands_there() -> None:
    """What stands in the history as the value of a failed operation is what was sent, and no echo."""
    results = check(begin(0, "echo", "a"), fail(0), begin(0, "echo", None), fail(0))
    assert [(each["sent"], each["received"]) for each in results["errors"]] == [("a", None), (None, None)]


def test_other_operations_do_not_count() -> None:
    """Only ``echo`` is looked at."""
    assert check(begin(0, "ping", 1), ok(0, 2))["valid?"] is True


VALUES: tuple[Any, ...] = ("a", "b", 1, True, 1.0, [], {}, None)


@pytest.mark.slow
def test_small_histories_are_judged_by_the_definition() -> None:
    """On thousands of small random histories an error is told for each refusal and each reply with something else."""
    verdicts: Counter[bool] = Counter()
    for seed in range(3000):
        random = Random(seed)

        def choose(random: Random = random) -> tuple[str, Any]:
            return "echo", random.choice(VALUES)

        def answer(f: str, value: Any, random: Random = random) -> Any:
            return value if random.random() < 0.9 else random.choice(VALUES)

        made = random_history(random, choose, answer)
        results = checked(echo(made))
        wrong = [
            begun.index
            for begun, end in pairs(made)
            if end is not None and (end.type == "fail" or (end.type == "ok" and not same(begun.value, end.value)))
        ]
        assert [each["index"] for each in results["errors"]] == wrong, f"seed {seed}"
        assert results["valid?"] is not bool(wrong)
        verdicts[results["valid?"]] += 1
    assert min(verdicts.values()) > 300


def same_again(_: str, value: Any) -> Any:
    """Echo as a node should."""
    return value


def test_a_correct_echo_is_valid_as_long_as_nothing_is_refused() -> None:
    """A node that echoes is valid in every run, whatever the network loses, and invalid where it refuses."""
    for seed in range(100):
        calls = [("echo", f"Please echo {n}") for n in range(30)]
        made = system_history(Random(seed), calls, ("echo", "the end"), same_again, reliable=True)
        assert checked(echo(made)) == {"valid?": True, "errors": []}
        lossy = system_history(Random(seed), calls, ("echo", "the end"), same_again)
        assert any(op.type == "info" for op in lossy)
        assert len(checked(echo(lossy))["errors"]) == sum(op.type == "fail" for op in lossy)
