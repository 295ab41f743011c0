"""The checker of txn-rw-register: by hand, and against all orders tried."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from support.histories import begin, checked, history
from support.transactions import (
    Order,
    Spelled,
    in_real_time,
    in_session,
    op_texts,
    random_transaction_history,
    sequence,
    some_order_explains,
    unordered,
    writes,
)

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.transactions import coherence
from trio_messenger.sim._checkers.transactions.consistency_models import CYCLE_KINDS, SUFFIXES
from trio_messenger.sim._checkers.transactions.rw_register import rw_register
from trio_messenger.sim._records.history import History


def check(whole: History, **options: Any) -> Results:
    return checked(rw_register(whole, **options))


_SPELLED = Spelled(writes)
at_once, one_by_one = _SPELLED.at_once, _SPELLED.one_by_one
good, failed, unknown, during = _SPELLED.good, _SPELLED.failed, _SPELLED.unknown, _SPELLED.during


# Each anomaly: a history that has it, and one that narrowly does not.
BY_HAND = [
    ("G0", at_once("rxwx1ry1wy2", "rx1wx2rywy1"), at_once("rxwx1rywy1", "rx1wx2ry1wy2")),
    ("G0", at_once("wx1ry3wy1", "rx1wx2wz2", "rz2wz3wy3"), at_once("wx1rywy1", "rx1wx2wz2", "rz2wz3ry1wy3")),
    (
        "G0-process",
        history(good(0, "rx2wx1"), good(0, "wx2")),
        history(good(0, "wx2"), good(0, "rx2wx1")),
    ),
    (
        "G0-process",
        history(good(0, "rx2wx1"), good(0, "wy1"), good(1, "ry1wy2wx2")),
        history(good(0, "wy1"), good(0, "rx2wx1"), good(1, "ry1wy2wx2")),
    ),
    ("G0-realtime", one_by_one("rx2wx1", "wx2"), history(during(good(1, "wx2"), {0: "rx2wx1"}))),
    ("G0-realtime", one_by_one("rx3wx1", "wz1", "rz1wx3"), at_once("rx3wx1", "wz1", "rz1wx3")),
    ("G1a", history(failed(0, "wx1"), good(1, "rx1")), history(unknown(0, "wx1"), good(1, "rx1"))),
    ("G1a", history(good(1, "rx2wy1"), failed(0, "wx2")), history(good(1, "rxwy1"), failed(0, "wx2"))),
    ("G1b", at_once("wx2wx1", "rx2"), at_once("wx2wx1", "rx1")),
    ("G1b", history(unknown(0, "wx2wx1"), good(1, "rx2")), history(good(0, "wx2rx2wx1"), good(1, "rx1"))),
    ("G1c", at_once("wx1ry1", "wy1rx1"), at_once("wx1ry1", "wy1rx")),
    ("G1c", at_once("wx1rz1", "rx1wy1", "ry1wz1"), at_once("wx1rz", "rx1wy1", "ry1wz1")),
    ("G1c-process", history(good(0, "rx1"), good(0, "wx1")), history(good(1, "rx1"), good(0, "wx1"))),
    (
        "G1c-process",
        history(good(1, "rx1wy1"), good(2, "ry1"), good(2, "wx1")),
        history(good(1, "rx1wy1"), good(2, "wx1"), good(2, "ry1")),
    ),
    ("G1c-realtime", one_by_one("rx1", "wx1"), history(during(good(1, "wx1"), {0: "rx1"}))),
    ("G1c-realtime", one_by_one("rx1wy1", "ry1", "wx1"), at_once("rx1wy1", "ry1", "wx1")),
    ("G-single-item", at_once("rxry1", "wy1wx2"), at_once("rx2ry1", "wy1wx2")),
    ("G-single-item", at_once("ry1wx1wy2", "wy1", "rx1ry1"), at_once("ry1wx1wy2", "wy1", "rx1ry2")),
    ("G-single-item-process", history(good(0, "wx1"), good(0, "rx")), history(good(0, "rx"), good(0, "wx1"))),
    (
        "G-single-item-process",
        history(good(0, "wx1"), good(0, "wx2"), good(0, "rx1")),
        history(good(0, "wx1"), good(0, "rx1"), good(0, "wx2")),
    ),
    # Stale reads, which Elle does not find.
    ("G-single-item-realtime", one_by_one("wx1", "wx2", "rx1"), one_by_one("wx1", "wx2", "rx2")),
    (
        "G-single-item-realtime",
        one_by_one("wx1", "rx1", "wx2", "rx1"),
        history(good(0, "wx1"), good(1, "rx1"), during(good(3, "rx1"), {2: "wx2"})),
    ),
    ("G-nonadjacent-item", at_once("wx1", "rx1ry", "wy1", "ry1rx"), at_once("wx1", "rx1ry", "wy1", "ry1rx1")),
    (
        "G-nonadjacent-item",
        at_once("wx1wt1", "rx1ry", "wy1wz2", "rz2rt"),
        at_once("wx5", "rx5wy1", "rywz2", "rzwt3", "rt3wu4", "ruwx6"),
    ),
    (
        "G-nonadjacent-item-process",
        history(good(0, "rxrz1"), good(1, "wx1"), good(1, "rz"), good(2, "wz1")),
        history(good(0, "rxrz1"), good(1, "rz"), good(1, "wx1"), good(2, "wz1")),
    ),
    (
        "G-nonadjacent-item-process",
        history(during(good(1, "wx1"), good(1, "rz"), good(2, "wz1"), {5: "rxrz1"})),
        history(during(good(1, "rz"), good(1, "wx1"), good(2, "wz1"), {5: "rxrz1"})),
    ),
    (
        "G-nonadjacent-item-realtime",
        history(during(good(1, "wx1"), good(3, "rz"), {5: "rxrz1", 2: "wz1"})),
        history(during(good(3, "rz"), good(1, "wx1"), {5: "rxrz1", 2: "wz1"})),
    ),
    (
        "G-nonadjacent-item-realtime",
        history(good(0, "wz9"), during(good(1, "wx1"), good(3, "rz9"), {5: "rxrz1", 2: "rz9wz1"})),
        history(good(0, "wz9"), during(good(1, "wx1"), good(3, "rz9"), {5: "rx1rz1", 2: "rz9wz1"})),
    ),
    ("G2-item", at_once("wx1ry", "wy1rx"), at_once("wx1ry", "wy1rx1")),
    ("G2-item", at_once("wx1wy1", "rx1wy2", "ry1wx2", "rx2ry2"), at_once("wx1wy1", "rx1ry1wy2", "ry2rx1wx2", "rx2ry2")),
    (
        "G2-item-process",
        history(during(good(2, "wx1"), good(2, "rz"), {0: "rxwz1"})),
        history(during(good(2, "wx1"), good(2, "rz1"), {0: "rxwz1"})),
    ),
    (
        "G2-item-process",
        history(during(good(2, "wx1"), good(2, "wy1"), good(2, "rz"), {0: "rxwz1"})),
        history(during(good(2, "rz"), good(2, "wy1"), good(2, "wx1"), {0: "rxwz1"})),
    ),
    (
        "G2-item-realtime",
        history(during(good(2, "wx1"), good(3, "rz"), {0: "rxwz1"})),
        history(during(good(2, "wx1"), good(3, "rz"), {0: "rx1wz1"})),
    ),
    (
        "G2-item-realtime",
        history(during(good(2, "wx1"), good(3, "wy1"), good(4, "ry1rz"), {0: "rxwz1"})),
        history(during(good(2, "wx1"), good(3, "wy1"), good(4, "ry1rz"), {0: "rxwu1"})),
    ),
    ("internal", at_once("wx1", "rx1wx2rx1"), at_once("wx1", "rx1wx2rx2")),
    ("internal", at_once("wx2", "rxrx2"), at_once("wx2", "rx2rx2")),
    ("internal", at_once("wx1rxrx"), at_once("wx1rx1rx1")),
    ("future-read", at_once("rx1wx1"), at_once("wx1rx1")),
    ("future-read", at_once("wx1rx2wx2"), at_once("wx1rx1wx2")),
    ("lost-update", at_once("wx9", "rx9wx1", "rx9wx2"), at_once("wx9", "rx9wx1", "rx1wx2")),
    ("lost-update", at_once("rxwx1", "rxwx2"), at_once("rxwx1wx3", "wx2rx2")),
    ("cyclic-versions", at_once("rx2wx1", "rx1wx2"), at_once("rx2wx1", "wx2")),
    ("cyclic-versions", at_once("rx3wx1", "rx1wx2", "rx2wx3"), at_once("rxwx1", "rx1wx2", "rx2wx3")),
    ("garbage-read", at_once("rx1"), at_once("rx1", "wx1")),
    ("garbage-read", one_by_one("wx1", "rx2"), one_by_one("wx1", "rx1")),
]


@pytest.mark.parametrize(("anomaly", "bad", "fine"), BY_HAND)
def test_each_anomaly_is_found_and_what_is_nearly_one_is_not(anomaly: str, bad: History, fine: History) -> None:
    """A history that has the anomaly is invalid and shows it; a history that nearly has it does not show it."""
    found = check(bad)
    assert anomaly in found["anomaly-types"], found
    assert found["valid?"] is False
    assert all(record["text"] for record in found["anomalies"][anomaly])
    assert anomaly not in check(fine)["anomaly-counts"], check(fine)


ORDERS: list[tuple[str, Order]] = [
    ("serializable", unordered),
    ("strong-session-serializable", in_session),
    ("strict-serializable", in_real_time),
]


@pytest.mark.parametrize("whole", [whole for _, *pair in BY_HAND for whole in pair])
def test_histories_by_hand_are_judged_as_by_all_orders(whole: History) -> None:
    """The verdict is that of a search through all orders."""
    for model, order in ORDERS:
        expected = some_order_explains(whole, order)
        assert (check(whole, consistency_models=[model])["valid?"] is not False) is expected, model


@pytest.mark.parametrize(
    ("whole", "text"),
    [
        (
            at_once("wx1ry1", "wy1rx1"),
            'T1 wrote 1 to key "x", and T2 read it; T2 wrote 1 to key "y", and T1 read it',
        ),
        (
            at_once("rxry1", "wy1wx2"),
            'T1 read nothing from key "x", to which T2 wrote 2; T2 wrote 1 to key "y", and T1 read it',
        ),
        (
            one_by_one("wx1", "wx2", "rx1"),
            'T1 ended before T2 began; T2 read 1 from key "x", which T1 overwrote with 2 (inferred: the write of 1'
            " comes before the write of 2)",
        ),
    ],
)
def test_cycles_in_words(whole: History, text: str) -> None:
    """A step that was inferred says from what."""
    [[cycle]] = check(whole)["anomalies"].values()
    assert cycle["text"] == text


def test_a_version_order_that_a_later_read_shows() -> None:
    """Both transactions were over when two readers saw the second one's x and the first one's y."""
    whole = one_by_one("wx1wy2", "rx1ry2", "wx3", "wy4", "rx3", "ry2")
    found = check(whole)
    [cycle] = found["anomalies"]["G-single-item-realtime"]
    assert "overwrote with 4" in cycle["text"]
    crossed = history(during({0: "wx1wy2", 1: "wx2wy1"}), good(2, "rx2"), good(3, "ry2"))
    [cycle] = check(crossed)["anomalies"]["G-single-item-realtime"]
    assert cycle["text"] == (
        'T1 wrote 1 to key "x", which T2 overwrote with 2 (inferred: a transaction that comes after T1 read 2);'
        ' T2 wrote 1 to key "y", which T1 overwrote with 2 (inferred: a transaction that comes after T2 read 2)'
    )
    assert [step["because"] for step in cycle["steps"]] == ["later-read", "later-read"]


def test_evidence_names_transactions_and_values() -> None:
    """Records have Elle's fields, and a sentence."""
    [g1a] = check(history(failed(0, "wx1"), good(1, "rx1")))["anomalies"]["G1a"]
    assert (g1a["op"]["index"], g1a["writer"]["index"], g1a["mop"]) == (3, 1, ["r", "x", 1])
    assert (
        g1a["text"]
        == 'the transaction at index 3 read 1 from key "x", but the transaction at index 1, which wrote it, failed'
    )
    [internal] = check(at_once("wx2", "rxrx2"))["anomalies"]["internal"]
    assert (internal["expected"], internal["mop"]) == (None, ["r", "x", 2])
    [update] = check(at_once("rxwx1", "rxwx2"))["anomalies"]["lost-update"]
    assert (update["key"], update["value"], [op["process"] for op in update["txns"]]) == ("x", None, [0, 1])
    [cyclic] = check(at_once("rx2wx1", "rx1wx2"))["anomalies"]["cyclic-versions"]
    assert (cyclic["key"], sorted(cyclic["scc"]), cyclic["sources"]) == ("x", [1, 2], ["wfr-keys"])
    assert cyclic["text"] == (
        'the versions of key "x" come before themselves: a transaction read 2 and then wrote 1;'
        " a transaction read 1 and then wrote 2"
    )


def test_what_cannot_be_judged_is_unknown() -> None:
    """The reason says what is wrong; a budget that does not suffice is one."""
    assert check(history(begin(0, "txn", [["append", "x", 1]])))["reason"].endswith('and ["w", key, value]')
    assert check(one_by_one("wx1"))["valid?"] == "unknown"
    whole = one_by_one("wx1", "wx2", "rx2")
    assert check(whole)["valid?"] is True
    cut = check(whole, budget=5)
    assert (cut["valid?"], cut["reason"]) == (
        "unknown",
        "the inference of the order of versions followed 5 edges, its budget, and did not finish; give a larger budget",
    )


def test_many_keys_are_examined_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stale reads of the first and of the last key are found, even if only a few keys are examined at once."""
    monkeypatch.setattr(coherence, "_BITS", 8)
    stale = (0, 19)
    txns = [
        mops for key in range(20) for mops in ([["w", key, 1]], [["w", key, 2]], [["r", key, 1 if key in stale else 2]])
    ]
    found = check(sequence(*txns))
    assert found["anomaly-counts"] == {"G-single-item-realtime": 2}
    assert {cycle["steps"][1]["key"] for cycle in found["anomalies"]["G-single-item-realtime"]} == {0, 19}


# Against all orders


def test_brute_force_agrees() -> None:
    """What is called invalid has no order that explains it, and in these histories, what is not called so has one.

    The second is demanded of all of them, although in general, deciding it may take exponential time: the order of
    versions is known only in part. In histories in which each transaction reads a key before it writes to it, it is
    known completely.
    """
    counts = {True: 0, False: 0}
    for seed in range(100):
        for reads_first in (True, False):
            whole = random_transaction_history(Random(seed), "w", trouble=0.9, reads_first=reads_first)
            found = check(whole)
            for model, order in ORDERS:
                expected = some_order_explains(whole, order)
                assert (model not in found["not"] + found["also-not"]) is expected, (found, op_texts(list(whole)))
                counts[expected] += 1
    assert min(counts.values()) > 50


def test_all_kinds_of_cycles_have_a_history_by_hand() -> None:
    """The list above leaves out none."""
    by_hand = {anomaly for anomaly, _, _ in BY_HAND}
    assert {f"{kind}{suffix}" for kind in CYCLE_KINDS for suffix in SUFFIXES} <= by_hand
