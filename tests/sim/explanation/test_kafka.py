"""Explanations of kafka: a sentence for each kind of error, and what stands beside it."""

from __future__ import annotations

from typing import Any

import pytest
from support.histories import begin, fail, history, info, ok
from support.kafka_logs import assign, finally_, on, poll, send, txn

from trio_messenger.sim._checkers.kafka.checker import kafka
from trio_messenger.sim._explanation import Finding
from trio_messenger.sim._explanation.kafka import explain
from trio_messenger.sim._explanation.scene import Scene
from trio_messenger.sim._records.journal import Journal


def findings(*events: Any) -> list[Finding]:
    """Return what there is to say."""
    made = history(*events)
    return explain(kafka(made), Scene(made, Journal()))


def reasons(*events: Any) -> list[str]:
    """Return why the history is not valid."""
    return [finding.text for finding in findings(*events) if finding.is_reason]


def remarks(*events: Any) -> list[str]:
    """Return what else there is to say."""
    return [finding.text for finding in findings(*events) if not finding.is_reason]


A, B, C = [0, "A"], [1, "B"], [2, "C"]
SENT = (on("n1", send(0, "x", "A", 0)), on("n2", send(1, "x", "B", 1)), on("n3", send(2, "x", "C", 2)))
READ = on("n1", poll(9, x=[A, B, C]))


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (
            (*SENT, READ, begin(3, "send", [["send", "x", "D"]]), on("n2", poll(8, x=[[2, "D"]]))),
            'offset 2 of log "x" has 2 messages: "C" (acknowledged by n3 at 0.005 s) and "D" (polled from n2'
            " at 0.01 s)",
        ),
        (
            (*SENT, READ, on("n2", poll(8, x=[[5, "A"]]))),
            'message "A" of log "x" is at 2 offsets: 0 (acknowledged by n1 at 0.001 s) and 5 (polled from n2'
            " at 0.009 s)",
        ),
        (
            (*SENT, READ, poll(8, x=[[5, "D"]])),
            'the poll of process 8 at 0.009 s returned message "D" of log "x", which no client sent',
        ),
        (
            (*SENT, READ, begin(3, "send", [["send", "x", "D"]]), fail(3, "error 11"), on("n2", poll(8, x=[[5, "D"]]))),
            'the poll of n2 at 0.011 s returned message "D" of log "x", but its send failed at 0.009 s: error 11',
        ),
        (
            (txn(0, ("x", A), {"x": [A]}),),
            'process 0 polled message "A" of log "x" in the operation that sent it, at 0.001 s',
        ),
        (
            (on("n2", poll(8, x=[A])), on("n1", send(0, "x", "A", 0))),
            'the poll of n2 at 0.001 s returned message "A" of log "x", whose send began only at 0.002 s',
        ),
        (
            (poll(8, x=[A]), on("n1", send(8, "x", "A", 0))),
            'the poll of process 8 at 0.001 s returned message "A" of log "x", whose send began only at 0.002 s',
        ),
        (
            (on("n1", txn(0, ("x", A), {"y": [B]})), txn(1, ("y", B), {"x": [A]})),
            '2 operations have no order: T1 sent "A" to key "x", and T2 read it; T2 sent "B" to key "y", and'
            " T1 read it (T1 is the txn of n1 at 0.001 s and T2 is the txn of process 1 at 0.003 s)",
        ),
        (
            (*SENT, READ, on("n2", poll(8, x=[A, C]))),
            'the poll of n2 at 0.009 s returned offset 0 of log "x" and then offset 2; it left out 1 message: "B"',
        ),
        (
            (*SENT, READ, on("n2", poll(8, x=[B, A]))),
            'the poll of n2 at 0.009 s returned offset 1 of log "x" and then offset 0, an earlier one',
        ),
        (
            (*SENT, READ, on("n2", poll(8, x=[B, B]))),
            'the poll of n2 at 0.009 s returned offset 1 of log "x" and then offset 1, the same one',
        ),
        (
            (*SENT, READ, on("n2", poll(8, x=[A])), on("n2", poll(8, x=[C]))),
            'process 8 polled log "x" from n2 up to offset 0 at 0.009 s, and its next poll of the log, at 0.011 s,'
            ' began with offset 2; it missed 1 message: "B"',
        ),
        (
            (*SENT, READ, poll(8, x=[B]), poll(8, x=[A])),
            'process 8 polled log "x" up to offset 1 at 0.009 s, and its next poll of the log, at 0.011 s, began with'
            " offset 0, an earlier one",
        ),
        (
            (send(0, "x", "B", 1), send(0, "x", "A", 0), poll(9, x=[A, B])),
            'process 0 sent "B" (offset 1) and then "A" (offset 0) to log "x": the second is at an earlier position',
        ),
        (
            (send(0, "x", "B", 1), begin(0, "send", [["send", "x", "A"]]), poll(9, x=[A, B])),
            'process 0 sent "B" (offset 1) and then "A" (an unknown offset) to log "x": the second is at an earlier'
            " position",
        ),
        (
            (txn(0, ("x", B), ("x", A)), poll(9, x=[A, B])),
            'process 0 sent "B" (offset 1) and then "A" (offset 0) to log "x": the second is at an earlier position',
        ),
    ],
)
def test_an_error_is_told_in_a_sentence(events: tuple[Any, ...], text: str) -> None:
    """The sentence names the log, the offsets and messages, who was asked, and when."""
    assert reasons(*events) == [text]


def test_a_repeated_send() -> None:
    """Two sends of one operation may get the same offset, if the log is broken."""
    assert reasons(txn(0, ("x", A), ("x", [0, "B"])), poll(9, x=[A]), poll(8, x=[[0, "B"]])) == [
        'offset 0 of log "x" has 2 messages: "A" (acknowledged at 0.001 s) and "B" (acknowledged at 0.001 s)',
        'process 0 sent "A" (offset 0) and then "B" (offset 0) to log "x": the second is at the same position',
    ]


def test_lost_and_unseen_messages() -> None:
    """A lost message is also one that was not seen; its send is told, or why it must have taken effect."""
    assert reasons(*SENT, on("n2", poll(8, x=[B, C]))) == [
        'message "A" of log "x" is lost: acknowledged by n1 at 0.001 s, with offset 0; no poll returned it, but'
        " the poll of n2 at 0.007 s returned offset 2",
        'no poll returned 1 acknowledged message of log "x": "A"',
        '"A": acknowledged by n1 at 0.001 s, with offset 0',
    ]
    half = on("n3", txn(0, ("x", A), ("y", A), outcome="info"))
    assert reasons(half, SENT[1], poll(8, x=[B], y=[A])) == [
        'message "A" of log "x" is lost: sent to n3 with an unknown outcome at 0.001 s, with offset 0; no poll returned'
        " it, but the poll of process 8 at 0.005 s returned offset 1"
    ]
    assert reasons(begin(0, "send", [["send", "x", "A"]]), ok(0, [["send", "x", "A"]])) == [
        'no poll returned 1 acknowledged message of log "x": "A"',
        '"A": acknowledged at 0.001 s',
    ]


def test_of_many_errors_some_are_told() -> None:
    """Two errors of a type get a sentence, the others are counted; so are messages."""
    log = [[number, number] for number in range(60)]
    events = (txn(0, *(("x", pair) for pair in log)), poll(1, x=log))
    assert reasons(*events, *(poll(2 + start, x=[log[start], log[start + 50]]) for start in range(4))) == [
        *(
            f'the poll of process {2 + start} at 0.00{5 + 2 * start} s returned offset {start} of log "x" and then'
            f" offset {start + 50}; it left out 49 messages:"
            f" {', '.join(str(start + number) for number in range(1, 9))} and 41 more"
            for start in range(2)
        ),
        "2 more errors of the type int-poll-skip; results.json describes some of them",
    ]
    texts = reasons(events[0])
    assert texts[0] == 'no poll returned 60 acknowledged messages of log "x": 0, 1, 2, 3, 4, 5, 6, 7 and 52 more'
    assert len(texts) == 3


def test_what_does_not_invalidate_is_a_remark() -> None:
    """Messages of others between those of one operation are no error; nor is a lag."""
    between = (txn(0, ("x", A), ("x", C)), SENT[1], READ)
    assert reasons(*between) == []
    assert remarks(*between) == [
        'between "A" (offset 0) and "C" (offset 2) of one operation, log "x" has 1 message: "B"'
    ]
    late = begin(8, "poll", [["poll"]], at=500), ok(8, [["poll", {"x": [A]}]])
    assert remarks(*SENT, READ, late) == [
        'the greatest lag was 0.497 s: that long before the poll that process 8 began at 0.5 s, log "x" already had a'
        " message that the process did not know after it"
    ]
    assert remarks(*SENT, READ, (begin(3, "send", [["send", "x", "D"]]), info(3))) == []


def test_nodes_that_lack_messages_at_the_end() -> None:
    """A node that does not return what others returned is named, with the messages."""
    ends = (*SENT, send(3, "y", "D", 7), poll(7, y=[[7, "D"]]), READ)
    last = (
        finally_(on("n1", assign(10, "x", "y"))),
        finally_(on("n1", poll(10, x=[B]))),
        finally_(on("n1", poll(10, x=[], y=[]))),
    )
    assert reasons(*ends, *last) == [
        'n1 lacks 2 messages of log "x" at the end, although polls returned them: "A" and "C"',
        'n1 lacks 1 message of log "y" at the end, although polls returned them: "D"',
    ]
