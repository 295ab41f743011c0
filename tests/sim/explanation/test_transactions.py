"""Explanations of transactions: models, anomalies, and the transactions that show them."""

from __future__ import annotations

import attrs
from support.histories import fail, history
from support.transactions import alone, appends, sequence, starts, together, writes

from trio_messenger.sim import Journal, Scene
from trio_messenger.sim._checkers.transactions.list_append import list_append
from trio_messenger.sim._checkers.transactions.rw_register import rw_register
from trio_messenger.sim._explanation.transactions import explain
from trio_messenger.sim._records.history import History


def at_once(*texts: str) -> History:
    return together(*map(appends, texts))


def lines(whole: History, *models: str) -> list[tuple[str, bool, bool]]:
    results = list_append(whole, consistency_models=models or ["strict-serializable"])
    return [(each.text, each.is_reason, each.is_detail) for each in explain(results, Scene(whole, Journal()))]


def test_a_cycle_is_told_and_who_takes_part() -> None:
    """First the models, then the cycle, then the transactions that T1 and T2 stand for."""
    assert lines(at_once("ax1ry", "ay1rx")) == [
        (
            "the transactions are not strict-serializable; the strongest models that they do not contradict:"
            " strong-snapshot-isolation",
            True,
            False,
        ),
        (
            'G2-item: T1 read nothing from key "y", to which T2 appended 1; T2 read nothing from key "x", to which'
            " T1 appended 1",
            True,
            False,
        ),
        (
            'T1 is [["append", "x", 1], ["r", "y", null]] of process 0 (index 2);'
            ' T2 is [["append", "y", 1], ["r", "x", null]] of process 1 (index 3)',
            True,
            True,
        ),
    ]


def test_what_the_models_allow_is_a_remark() -> None:
    """It is no reason, and nothing is said about models that are not contradicted."""
    found = lines(at_once("ax1ry", "ay1rx"), "snapshot-isolation", "read-committed")
    assert [is_reason for _, is_reason, _ in found] == [False, False]
    assert found[0][0].startswith("G2-item: T1")


def test_more_anomalies_of_a_kind_are_counted() -> None:
    """Two of each kind have a sentence."""
    found = [text for text, _, _ in lines(at_once("rx1", "ry1", "rz1"))]
    assert found[0].endswith("contradict: none that the checker knows")
    assert found[-1] == "garbage-read: 1 more; results.json describes some of them"


def test_why_nothing_can_be_said() -> None:
    """The reason of an unknown verdict is told; a valid one needs no words."""
    assert lines(sequence(appends("ax1"))) == [
        (
            "too little is known to judge: no transaction that ended as ok has a read, so nobody saw the effect of any"
            " write",
            True,
            False,
        )
    ]
    assert lines(sequence(appends("ax1"), appends("rx1"))) == []


def test_nodes_are_named_if_the_history_knows_them() -> None:
    """An operation may say which node was asked."""
    whole = at_once("ax1ry", "ay1rx")
    named = History(attrs.evolve(op, node=f"n{op.process}") for op in whole)
    assert "of process 0 at n0 (index 2)" in lines(named)[2][0]


def test_other_records_name_all_their_transactions() -> None:
    """Those who wrote, and those who updated, are among them."""
    whole = history((starts(0, writes("wx1")), fail(0)), alone(1, writes("rx1")), alone(2, writes("rywy1")))
    [_, aborted] = explain(rw_register(whole), Scene(whole, Journal()))
    assert aborted.text.startswith("G1a: the transaction at index 3 read 1")
    whole = at_once("rxax1", "rxax2")
    assert [text for text, _, _ in lines(whole)][-1].startswith("lost-update: the transactions at the indexes 2, 3")
