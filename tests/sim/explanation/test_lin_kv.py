"""Explanations of lin-kv: what no order explains, what was possible, and why."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from support.histories import Events, begin, history, info, ok
from support.registers import cas, read, write

from trio_messenger.sim import Finding, History, Journal, Scene
from trio_messenger.sim._checkers.lin_kv import lin_kv
from trio_messenger.sim._explanation.lin_kv import explain


def findings(*events: Events, budget: int = 1000) -> list[Finding]:
    made = history(*events)
    return explain(lin_kv(made, budget=budget), Scene(made, Journal()))


def texts(*events: Events, budget: int = 1000) -> list[str]:
    return [finding.text for finding in findings(*events, budget=budget)]


def test_nothing_is_said_of_a_valid_history() -> None:
    """There is no reason and no remark."""
    assert findings(write(0, 1), read(1, 1)) == []


def test_a_stale_read_is_explained() -> None:
    """The sentences say which operation it was, what the value was and since when, and when the result was current."""
    stale = [begin(2, "read", ["x", None], node="n3"), ok(2, ["x", 1])]
    found = findings(write(0, 1), begin(1, "write", ["x", 2], node="n2"), ok(1, ["x", 2]), stale[0], stale[1])
    assert [finding.text for finding in found] == [
        'key "x" is not linearizable: the read at n3 from 0.004 s returned 1 at 0.005 s, but the only possible value'
        " then was 2",
        "it was 2 since the write of 2 at n2 (from 0.002 s, until 0.003 s), in an order that explains all earlier"
        " results",
        "the result is stale: 1 was the value until the write of 2 at n2 (from 0.002 s, until 0.003 s)",
        "no other change was in flight then",
    ]
    assert [finding.is_detail for finding in found] == [False, True, True, True]
    assert all(finding.is_reason for finding in found)


def test_changes_in_flight_are_named() -> None:
    """Reads in flight are not: they change nothing."""
    busy = [begin(1, "write", ["x", 2], node="n1"), begin(2, "cas", ["x", [1, None]]), begin(4, "read", ["x", None])]
    found = texts(write(0, 1), *busy, read(3, 9))
    assert found[0].endswith("returned 9 at 0.006 s, but only 1, 2 and absent were possible then")
    assert found[2] == "no operation before that left 9"
    assert found[3] == (
        "in flight then, or of unknown outcome: the write of 2 at n1 since 0.002 s and the cas from 1 to absent since"
        " 0.003 s"
    )


def test_a_key_that_was_forgotten_is_absent() -> None:
    """A read that ends with error 20 says so."""
    found = texts(write(0, 1), read(1, None))
    assert "found the key absent at 0.003 s, but the only possible value then was 1" in found[0]
    assert found[2] == "the result is stale: absent was the value until the write of 1 (from 0 s, until 0.001 s)"
    assert texts(read(0, 1))[:2] == [
        'key "x" is not linearizable: the read from 0 s returned 1 at 0.001 s, but the key must have been absent then',
        "nothing had changed the key before",
    ]


def test_a_cas_that_cannot_have_succeeded_is_explained() -> None:
    """It is no read, so its result cannot be stale."""
    found = texts(begin(0, "write", ["x", 1]), info(0), read(1, 1), cas(2, 5, 6))
    assert found == [
        'key "x" is not linearizable: the cas from 5 to 6 from 0.004 s was ok at 0.005 s, but the only possible value'
        " then was 1",
        "it was 1 since the write of 1 (from 0 s, of unknown outcome), in an order that explains all earlier results",
        "in flight then, or of unknown outcome: the write of 1 since 0 s",
    ]


def test_long_lists_are_cut() -> None:
    """The first eight values and operations are named, and three keys are explained."""
    many = [begin(process, "write", ["x", process]) for process in range(12)]
    found = texts(*many, read(20, 99))
    assert found[0].endswith("but only 0, 1, 10, 11, 2, 3, 4, 5 and 5 others were possible then")
    assert found[-1].endswith("the write of 7 since 0.007 s and 4 more")
    reads = [read(0, 1, key=key) for key in range(5)]
    assert texts(*reads)[-1] == "2 more keys are not linearizable"
    assert texts(*reads[:4])[-1] == "1 more key is not linearizable"


def test_an_undecided_key_is_explained() -> None:
    """The sentence says how far the search came, and what would help."""
    found = findings(*(write(0, n) for n in range(5)), *(write(0, n, key="y") for n in range(5)), budget=2)
    assert found[0] == Finding(
        "key x is undecided: the search for an order of the operations used up its budget of 2 configurations; an order"
        " explains the first 2 of 5 operations, up to 0.005 s; a run with fewer clients, or with a lower rate, is"
        " easier to judge"
    )
    assert len(found) == 2
    many = [write(0, n, key=key) for key in range(5) for n in range(5)]
    assert texts(*many, budget=2)[-1] == "2 more keys are undecided"


def test_sentences_link_to_messages() -> None:
    """They are the request and the reply of each operation that a sentence is about."""
    journal = Journal()
    stale = (begin(1, "read", ["x", None], node="n1"), ok(1, ["x", None]))
    made = history(begin(0, "write", ["x", 1], node="n1"), ok(0, ["x", 1]), stale)
    send = partial(_send, journal)
    for number, op in enumerate(made):
        f = op.f if op.type == "invoke" else f"{op.f}_ok"
        reply = {} if op.type == "invoke" else {"in_reply_to": 1}
        ends = (f"c{op.process}", "n1") if op.type == "invoke" else ("n1", f"c{op.process}")
        send(op.time, number, *ends, {"type": f, "msg_id": 1, **reply})
    found = explain(lin_kv(made), Scene(made, journal))
    assert [finding.messages for finding in found] == [(2, 3), (0, 1), (0, 1), ()]


def _send(journal: Journal, time: int, number: int, src: str, dest: str, body: dict[str, object]) -> None:
    raw = msgspec.Raw(msgspec.json.encode({"src": src, "dest": dest, "body": body}))
    journal.note(time, "send", id=number, raw=raw)


@pytest.mark.parametrize("made", [history()])
def test_an_empty_history_has_no_findings(made: History) -> None:
    """There is nothing to say."""
    assert explain(lin_kv(made), Scene(made, Journal())) == []
