"""The checker of txn-list-append: by hand, and against all orders tried."""

from __future__ import annotations

import functools
from random import Random
from typing import Any

import pytest
from support.histories import MS, begin, checked, history, ok
from support.transactions import (
    Order,
    Spelled,
    appends,
    in_real_time,
    in_session,
    op_texts,
    orders_are_known,
    random_transaction_history,
    sequence,
    some_order_explains,
    some_snapshots_explain,
    starts,
    together,
    unordered,
)

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.transactions.list_append import list_append
from trio_messenger.sim._checkers.transactions.transaction_verdict import RECORDS_PER_ANOMALY
from trio_messenger.sim._records.history import History


def check(whole: History, **options: Any) -> Results:
    return checked(list_append(whole, **options))


_SPELLED = Spelled(appends)
at_once, one_by_one = _SPELLED.at_once, _SPELLED.one_by_one
good, failed, unknown, during = _SPELLED.good, _SPELLED.failed, _SPELLED.unknown, _SPELLED.during


# Each anomaly: a history that has it, and one that narrowly does not. The second is the first with one thing changed.
BY_HAND = [
    ("G0", at_once("ax1ay1", "ax2ay2", "rx12ry21"), at_once("ax1ay1", "ax2ay2", "rx12ry12")),
    ("G0", at_once("ax1ax3", "ax2", "rx123"), at_once("ax1ax3", "ax2", "rx132")),
    (
        "G0-process",
        history(good(0, "ax1"), good(0, "ax2"), good(1, "rx21")),
        history(good(0, "ax1"), good(0, "ax2"), good(1, "rx12")),
    ),
    (
        "G0-process",
        history(good(0, "ax1"), good(0, "ay1"), good(1, "ax2ay2"), good(2, "rx21ry12")),
        history(
            good(0, "ax1"),
            starts(0, appends("ay1")),
            starts(1, appends("ax2ay2")),
            ok(0, appends("ay1")),
            ok(1, appends("ax2ay2")),
            good(2, "rx12ry21"),
        ),
    ),
    ("G0-realtime", one_by_one("ax1", "ax2", "rx21"), history(during(good(1, "ax2"), {0: "ax1"}), good(2, "rx21"))),
    ("G0-realtime", one_by_one("ax1ay1", "ax2", "ay2", "rx12ry21"), one_by_one("ax1ay1", "ax2", "ay2", "rx12ry12")),
    ("G1a", history(failed(0, "ax1"), good(1, "rx1")), history(unknown(0, "ax1"), good(1, "rx1"))),
    (
        "G1a",
        history(failed(0, "ax1"), good(1, "ax2"), good(2, "rx12")),
        history(failed(0, "ax1"), good(1, "ax2"), good(2, "rx2")),
    ),
    ("G1b", at_once("ax1ax2", "rx1"), at_once("ax1ax2", "rx12")),
    ("G1b", history(unknown(0, "ax1ax2"), good(1, "rx1")), history(good(0, "ax1rx1ax2"), good(1, "rx12"))),
    ("G1c", at_once("ax1ry1", "ax2ay1", "rx12"), at_once("ax1ry1", "ax2ay1", "rx21")),
    ("G1c", at_once("ax1ry1", "ay1rx1"), at_once("ax1ry1", "ay1rx")),
    ("G1c-process", history(good(0, "rx1"), good(0, "ax1")), history(good(1, "rx1"), good(0, "ax1"))),
    (
        "G1c-process",
        history(good(1, "rx1ay1"), good(2, "ry1"), good(2, "ax1")),
        history(starts(1, appends("rx1ay1")), good(2, "ry1"), good(3, "ax1"), ok(1, appends("rx1ay1"))),
    ),
    ("G1c-realtime", one_by_one("rx1", "ax1"), history(during(good(1, "ax1"), {0: "rx1"}))),
    ("G1c-realtime", one_by_one("rx1ay1", "ry1", "ax1"), at_once("rx1ay1", "ry1", "ax1")),
    ("G-single-item", at_once("ax1ay1", "ax2ry", "rx12"), at_once("ax1ay1", "ax2ry1", "rx12")),
    ("G-single-item", at_once("ax1ay1", "rx1ry"), at_once("ax1ay1", "rxry")),
    (
        "G-single-item-process",
        history(good(0, "ax1"), good(1, "ax2"), good(1, "rx1"), good(2, "rx12")),
        history(good(0, "ax1"), starts(1, appends("ax2")), good(2, "rx1"), ok(1, appends("ax2")), good(3, "rx12")),
    ),
    ("G-single-item-process", history(good(0, "ax1"), good(0, "rx")), history(good(0, "rx"), good(0, "ax1"))),
    ("G-single-item-realtime", one_by_one("ax1", "ax2", "rx1", "rx12"), one_by_one("ax1", "rx1", "ax2", "rx12")),
    ("G-single-item-realtime", one_by_one("ax1", "rx"), history(during(good(1, "rx"), {0: "ax1"}))),
    ("G-nonadjacent-item", at_once("ax1", "rx1ry", "ay1", "ry1rx"), at_once("ax1", "rx1ry", "ay1", "ry1rx1")),
    (
        "G-nonadjacent-item",
        at_once("ax1at1", "rx1ry", "ay1az2", "rz2rt"),
        at_once("rx5ay1", "ryaz2", "rzat3", "rt3au4", "ruax5"),  # two of the three are adjacent
    ),
    (
        "G-nonadjacent-item-process",
        history(good(0, "rxrz1"), good(1, "ax1"), good(1, "rz"), good(2, "az1")),
        history(good(0, "rxrz1"), good(1, "ax1"), starts(3, appends("rz")), good(2, "az1"), ok(3, appends("rz"))),
    ),
    (
        "G-nonadjacent-item-process",
        history(starts(5, appends("rxrz1")), good(1, "ax1"), good(1, "rz"), good(2, "az1"), ok(5, appends("rxrz1"))),
        history(starts(5, appends("rxrz1")), good(1, "rz"), good(1, "ax1"), good(2, "az1"), ok(5, appends("rxrz1"))),
    ),
    (
        "G-nonadjacent-item-realtime",
        history(during(good(1, "ax1"), good(3, "rz"), {5: "rxrz1", 2: "az1"})),
        history(during(good(3, "rz"), good(1, "ax1"), {5: "rxrz1", 2: "az1"})),
    ),
    (
        "G-nonadjacent-item-realtime",
        history(good(0, "az9"), during(good(1, "ax1"), good(3, "rz9"), {5: "rxrz91", 2: "az1"})),
        history(good(0, "az9"), during(good(1, "ax1"), good(3, "rz9"), {5: "rx1rz91", 2: "az1"})),
    ),
    ("G2-item", at_once("ax1ry", "ay1rx"), at_once("ax1ry", "ay1rx1")),
    ("G2-item", at_once("rxay1", "ryaz1", "rzax1"), at_once("rxay1", "ryaz1", "rz1ax1")),
    (
        "G2-item-process",
        history(during(good(2, "ax1"), good(2, "rz"), {0: "rxaz1"})),
        history(during(good(2, "ax1"), good(2, "rz1"), {0: "rxaz1"})),
    ),
    (
        "G2-item-process",
        history(during(good(2, "ax1"), good(2, "ay1"), good(2, "rz"), {0: "rxaz1"})),
        history(during(good(2, "rz"), good(2, "ay1"), good(2, "ax1"), {0: "rxaz1"})),
    ),
    (
        "G2-item-realtime",
        history(during(good(2, "ax1"), good(3, "rz"), {0: "rxaz1"})),
        history(during(good(2, "ax1"), good(3, "rz"), {0: "rx1az1"})),
    ),
    (
        "G2-item-realtime",
        history(during(good(2, "ax1"), good(3, "ay1"), good(4, "ry1rz"), {0: "rxaz1"})),
        history(during(good(2, "ax1"), good(3, "ay1"), good(4, "ry1rz"), {0: "rxay2"})),
    ),
    ("internal", at_once("ax1rx"), at_once("ax1rx1")),
    ("internal", at_once("rx", "rxrx1", "ax1"), at_once("rx", "rx1rx1", "ax1")),
    ("internal", at_once("ax1ax2", "ax3rx1324"), at_once("ax1ax2", "ax3rx123")),
    ("future-read", at_once("ax5", "rx51ax1"), at_once("ax5", "rx5ax1")),
    ("future-read", at_once("ax1rx01ax0"), at_once("ax0ax1rx01")),
    (
        "dirty-update",
        history(failed(0, "ax1"), good(1, "ax2"), good(2, "rx12")),
        history(unknown(0, "ax1"), good(1, "ax2"), good(2, "rx12")),
    ),
    (
        "dirty-update",
        history(failed(0, "ax1"), unknown(1, "ax2"), good(2, "ax3"), good(3, "rx123")),
        history(failed(0, "ax1"), unknown(1, "ax2"), good(2, "ax3"), good(3, "rx312")),
    ),
    ("lost-update", at_once("ax0", "rx0ax1", "rx0ax2"), at_once("ax0", "rx0ax1", "rx01ax2")),
    (
        "lost-update",
        at_once("ax1", "ax2", "rx1ax3", "rx1ax4", "rx12"),
        at_once("ax1", "ax2", "rx2ax3", "rx2ax4", "rx12"),
    ),
    ("lost-update", at_once("rxax1", "rxax2"), at_once("rxax1ax3", "ax2rx132")),
    ("duplicate-elements", at_once("ax1", "ax2", "rx121"), at_once("ax1", "ax2", "rx12")),
    ("duplicate-elements", at_once("ax1", "rx11"), at_once("ax1", "rx1rx1")),
    ("incompatible-order", at_once("ax1", "ax2", "rx1", "rx2"), at_once("ax1", "ax2", "rx1", "rx12")),
    (
        "incompatible-order",
        at_once("ax1", "ax2", "ax3", "rx13", "rx123"),
        at_once("ax1", "ax2", "ax3", "rx12", "rx123"),
    ),
    ("garbage-read", at_once("rx1"), at_once("rx1", "ax1")),
    ("garbage-read", at_once("ax1", "ax2", "rx192"), at_once("ax1", "ax2", "ay9", "rx12")),
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


# What is said


def test_a_cycle_is_explained_step_by_step() -> None:
    """Each step names the key and the values; the first transaction comes again at the end."""
    found = check(at_once("ax1ay1", "ax2ry", "rx12"))
    [cycle] = found["anomalies"]["G-single-item"]
    assert cycle == {
        "type": "G-single-item",
        "cycle": [
            {"index": 3, "time": 3 * MS, "process": 0, "type": "ok", "f": "txn", "value": appends("ax1ay1")},
            {"index": 4, "time": 4 * MS, "process": 1, "type": "ok", "f": "txn", "value": appends("ax2ry")},
            {"index": 3, "time": 3 * MS, "process": 0, "type": "ok", "f": "txn", "value": appends("ax1ay1")},
        ],
        "steps": [
            {"type": "ww", "key": "x", "value": 1, "value'": 2},
            {"type": "rw", "key": "y", "value": None, "value'": 1},
        ],
        "text": (
            'T1 appended 1 to key "x", where T2\'s 2 follows; T2 read nothing from key "y", to which T1 appended 1'
        ),
    }
    assert found["not"] == ["consistent-view", "repeatable-read"]
    assert found["strongest"] == ["strong-read-committed"]


@pytest.mark.parametrize(
    ("whole", "text"),
    [
        (
            history(good(0, "ax1"), good(0, "rx")),
            'process 0 ended T1 before it began T2; T2 read nothing from key "x", to which T1 appended 1',
        ),
        (
            one_by_one("ax1", "ax2", "rx1", "rx12"),
            'T1 ended before T2 began; T2 read key "x" up to 1, where T1\'s 2 follows',
        ),
        (
            at_once("ax1ry1", "ay1rx1"),
            'T1 appended 1 to key "x", and T2 read it; T2 appended 1 to key "y", and T1 read it',
        ),
    ],
)
def test_cycles_in_words(whole: History, text: str) -> None:
    """The other kinds of steps are in words as well."""
    [[cycle]] = check(whole)["anomalies"].values()
    assert cycle["text"] == text


def test_evidence_of_other_anomalies_names_transactions_and_values() -> None:
    """Records have Elle's fields, and a sentence."""
    found = check(history(failed(0, "ax1"), good(1, "ax2"), good(2, "rx12")))
    [g1a] = found["anomalies"]["G1a"]
    assert g1a["mop"] == ["r", "x", [1, 2]]
    assert (g1a["op"]["index"], g1a["writer"]["index"], g1a["element"]) == (5, 1, 1)
    assert g1a["text"] == (
        'the transaction at index 5 read [1, 2] from key "x", but the transaction at index 1, which appended 1, failed'
    )
    [dirty] = found["anomalies"]["dirty-update"]
    assert (dirty["key"], dirty["values"], [op["index"] for op in dirty["txns"]]) == ("x", [1, 2], [1, 3])
    [internal] = check(at_once("ax1ax2", "ax3rx123", "rx3124"))["anomalies"].get("internal", [{}])
    assert internal == {}
    [internal] = check(at_once("ax3rx4", "ax4"))["anomalies"]["internal"]
    assert internal["expected"] == ["...", 3]
    [update] = check(at_once("ax0", "rx0ax1", "rx0ax2"))["anomalies"]["lost-update"]
    assert (update["key"], update["value"], [op["process"] for op in update["txns"]]) == ("x", [0], [1, 2])
    [double] = check(at_once("ax1", "ax2", "rx121"))["anomalies"]["duplicate-elements"]
    assert double["duplicates"] == [[1, 2]]
    [order] = check(at_once("ax1", "ax2", "ax3", "rx13", "rx123"))["anomalies"]["incompatible-order"]
    assert order["values"] == [[1, 3], [1, 2, 3]]


def test_models_decide_which_anomalies_are_wrong() -> None:
    """Anomalies that the models allow are shown apart; what they say about other models stays."""
    skew = at_once("ax1ry", "ay1rx")
    for model in ("snapshot-isolation", "PL-SI", "read-committed"):
        found = check(skew, consistency_models=[model])
        assert found["valid?"] is True
        assert found["anomaly-types"] == []
        assert list(found["other-anomalies"]) == ["G2-item"]
        assert found["not"] == ["repeatable-read"]
        assert found["strongest"] == ["strong-snapshot-isolation"]
    assert check(skew, consistency_models=["repeatable-read"])["anomaly-types"] == ["G2-item"]
    assert check(skew, consistency_models=["read-committed"], anomalies=["G2"])["valid?"] is False
    assert check(skew, consistency_models=[], anomalies=["G1"])["valid?"] is True


def test_a_valid_history_satisfies_the_strongest_model() -> None:
    """Without an anomaly nothing is ruled out."""
    found = check(one_by_one("ax1", "rx1ay1", "rx1ry1"))
    assert found == {
        "valid?": True,
        "consistency-models": ["strict-serializable"],
        "strongest": ["strict-serializable"],
        "transaction-count": 3,
        "anomaly-types": [],
        "anomalies": {},
        "anomaly-counts": {},
        "other-anomalies": {},
        "not": [],
        "also-not": [],
    }


def test_null_is_the_empty_list() -> None:
    """A database may say either for a key that was never written."""
    whole = history(
        begin(0, "txn", [["r", "x", None], ["r", "x", None]]),
        ok(0, [["r", "x", None], ["r", "x", []]]),
    )
    assert check(whole)["valid?"] is True


def test_values_of_different_json_types_differ() -> None:
    """The elements 1, 1.0, true and "1" are four, and so are such keys."""
    mops = [["append", 1, value] for value in (1, 1.0, True, "1")] + [["append", True, 1], ["r", True, [1]]]
    read = [["r", 1, [1, 1.0, True, "1"]]]
    assert check(sequence(mops, read))["valid?"] is True
    swapped = [["r", 1, [1.0, 1, True, "1"]]]
    assert "G0" not in check(sequence(mops, swapped))["anomaly-types"]
    assert "G1b" not in check(sequence(mops, swapped))["anomaly-types"]


# Too little, too strange, too much


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (history(), "no transaction ended as ok"),
        (history(failed(0, "ax1"), unknown(1, "rx")), "no transaction ended as ok"),
        (
            one_by_one("ax1", "ax2"),
            "no transaction that ended as ok has a read, so nobody saw the effect of any write",
        ),
        (
            one_by_one("ax1", "ax1"),
            'two writes of the value 1 to key "x", in the transactions that began at index 0 and 2: write each value'
            " only once per key, so that a read says which write it saw",
        ),
        (
            history(failed(0, "ax1"), good(1, "ax1")),
            'two writes of the value 1 to key "x", in the transactions that began at index 0 and 2: write each value'
            " only once per key, so that a read says which write it saw",
        ),
        (
            history(begin(0, "txn", 7)),
            'the transaction that began at index 0 has 7; give a list of ["r", key, null] and ["append", key, value]',
        ),
        *(
            (
                history(begin(0, "txn", [mop])),
                f"the transaction that began at index 0 has {text}; give a list of"
                ' ["r", key, null] and ["append", key, value]',
            )
            for mop, text in (
                (["w", "x", 1], '["w", "x", 1]'),
                (["r", "x"], '["r", "x"]'),
                (["append", "x", None], '["append", "x", null]'),
                ("r", '"r"'),
            )
        ),
        *(
            (
                history(begin(0, "txn", [["append", "x", 1], ["r", "x", None]]), ok(0, value)),
                f"the transaction that ended at index 1 returned {text}, which does not match its beginning: reads may"
                " differ from it only in the value read",
            )
            for value, text in (
                (None, "null"),
                ([], "[]"),
                ([["append", "x", 2], ["r", "x", []]], '["append", "x", 2]'),
                ([["append", "x", 1], ["r", "y", []]], '["r", "y", []]'),
                ([["append", "x", 1], ["r", "x", 1]], '["r", "x", 1]'),
                ([["append", "x", 1], 4], "4"),
            )
        ),
    ],
)
def test_what_cannot_be_judged_is_unknown(whole: History, reason: str) -> None:
    """The reason says what is wrong, and where."""
    found = check(whole)
    assert found["valid?"] == "unknown"
    assert found["reason"] == reason
    assert found["strongest"] == []


def test_unknown_names_are_refused() -> None:
    """The error lists the names that there are; also for a model about which the checkers find out nothing."""
    with pytest.raises(
        ValueError, match=r"^there is no consistency model 'linearizable'; there are: causal-cerone, .*"
    ):
        check(history(), consistency_models=["linearizable"])
    with pytest.raises(ValueError, match=r"^there is no anomaly 'G3'; there are: G-nonadjacent, .*"):
        check(history(), anomalies=["G3"])


def nonadjacent_cycles() -> History:
    return at_once("ax1", "rx1ry", "ay1", "ry1rx")


def test_beyond_its_budget_a_search_is_incomplete() -> None:
    """It says so; what was found still counts, but a model that hangs on the rest is unknown."""
    cut = check(nonadjacent_cycles(), budget=3, consistency_models=["consistent-view"])
    assert cut["valid?"] == "unknown"
    assert cut["reason"] == (
        "the search for cycles with a single rw edge followed 3 edges, its budget, and did not finish: some of the"
        " cycles that are called G-nonadjacent-item may hide others called G-single-item; give a larger budget"
    )
    assert list(cut["other-anomalies"]) == ["G-nonadjacent-item"]
    assert check(nonadjacent_cycles(), budget=3)["valid?"] is False
    assert check(nonadjacent_cycles(), consistency_models=["consistent-view"])["valid?"] is True


def test_a_longer_cycle_with_a_single_rw_edge_is_found_beside_a_shorter_one_with_two() -> None:
    """The search for it is what the budget is for."""
    whole = at_once("ax1", "rx1ryab1", "ay1", "ry1rxrd1", "rb1ac1", "rc1ad1")
    [cycle] = check(whole)["anomalies"]["G-single-item"]
    assert [step["type"] for step in cycle["steps"]].count("rw") == 1
    assert len(cycle["steps"]) == 5
    assert check(whole, consistency_models=["consistent-view"])["valid?"] is False
    cut = check(whole, consistency_models=["consistent-view"], budget=3)
    assert (cut["valid?"], list(cut["other-anomalies"])) == ("unknown", ["G-nonadjacent-item"])


def test_thousands_of_anomalies_are_counted_but_not_all_shown() -> None:
    """Of each kind the first few have records."""
    reads = [f"rx{digit}" for digit in "123456789"] * 10
    found = check(at_once(*reads))
    assert found["anomaly-counts"]["garbage-read"] == 90
    assert len(found["anomalies"]["garbage-read"]) == RECORDS_PER_ANOMALY


@pytest.mark.slow
def test_many_stale_readers_and_writers_of_one_key() -> None:
    """A thousand readers that saw nothing and a thousand writers that nobody saw take no million edges."""
    txns = [appends("rx")] * 500 + [[*appends("rx"), ["append", "x", number]] for number in range(500)]
    found = check(together(*txns))
    assert found["anomaly-types"] == ["G2-item", "lost-update"]


# Against all orders


@functools.cache
def verdicts(seed: int) -> list[tuple[History, str, bool]]:
    whole = random_transaction_history(Random(seed), "append", trouble=0.9)
    return [(whole, model, some_order_explains(whole, order)) for model, order in ORDERS]


def test_brute_force_agrees() -> None:
    """For any history, the three serializable models hold exactly if some order explains what was read.

    Appends that were read have one order, and those that nobody read can be put last in any order. So an acyclic graph
    can be sorted into an order that explains all reads, and no more is asked than that.
    """
    counts = {True: 0, False: 0}
    for seed in range(150):
        for whole, model, expected in verdicts(seed):
            found = check(whole, consistency_models=[model])
            assert (found["valid?"] is not False) is expected, (model, found, op_texts(list(whole)))
            assert (model in found["not"] + found["also-not"]) is not expected
            counts[expected] += 1
    assert min(counts.values()) > 60


def test_brute_force_agrees_about_snapshot_isolation() -> None:
    """If all orders are known, snapshot isolation holds exactly if some order of snapshots and commits explains it.

    The order of two appends that nobody read is not known, and a search for cycles tries only one of them at a time.
    """
    counts = {True: 0, False: 0}
    for seed in range(300):
        whole = random_transaction_history(Random(seed), "append", most=4, reliable=True, trouble=0.9)
        if not orders_are_known(whole):
            continue
        expected = some_snapshots_explain(whole)
        found = check(whole, consistency_models=["snapshot-isolation"])
        assert (found["valid?"] is not False) is expected, (found, op_texts(list(whole)))
        counts[expected] += 1
    assert min(counts.values()) > 20
