"""The checker of kafka by hand: for each error a history that has it, and one that narrowly does not."""

from __future__ import annotations

from typing import Any

import pytest
from support.histories import begin, checking, fail, info, ok
from support.kafka_logs import assign, finally_, on, poll, send, txn

from trio_messenger.sim._checkers.kafka.checker import kafka

check = checking(kafka)

A, B, C = [0, "A"], [1, "B"], [2, "C"]
"""Messages of one log, with their offsets."""

SENT = (send(0, "x", "A", 0), send(1, "x", "B", 1), send(2, "x", "C", 2))
"""They are sent, each by another process."""

READ = poll(9, x=[A, B, C])
"""Somebody polls all of them."""

READ_Y = poll(9, y=[B])
"""Somebody polls another key."""


def failed_send(process: int, message: str) -> tuple[Any, ...]:
    return begin(process, "send", [["send", "x", message]]), fail(process, "refused")


def lost_send(process: int, message: str) -> tuple[Any, ...]:
    return begin(process, "send", [["send", "x", message]]), info(process, "no reply")


@pytest.mark.parametrize(
    ("types", "events"),
    [
        ((), ()),
        ((), (*SENT, READ)),
        # Two messages at one offset; or at one offset of two keys.
        (("inconsistent-offsets",), (*SENT, send(3, "x", "D", 2), READ, poll(8, x=[[2, "D"]]))),
        ((), (*SENT, send(3, "y", "D", 2), READ, poll(8, y=[[2, "D"]]))),
        # Clients know the offset of a send only if it was ok.
        (("inconsistent-offsets",), (send(0, "x", "A", 0), lost_send(3, "B"), poll(1, x=[A]), poll(2, x=[[0, "B"]]))),
        ((), (send(0, "x", "A", 0), poll(1, x=[A]), lost_send(3, "B"))),
        # A message at two offsets; or equal messages of two keys; or a number and a text.
        (("duplicate",), (*SENT, READ, poll(8, x=[[3, "A"]]))),
        ((), (*SENT, send(3, "y", "A", 3), READ, poll(8, y=[[3, "A"]]))),
        ((), (send(0, "x", 1, 0), send(1, "x", "1", 1), send(2, "x", True, 2),
              poll(3, x=[[0, 1], [1, "1"], [2, True]]))),
        # If the offset of a send is unknown, the last one of its message counts.
        (("duplicate",), (send(0, "x", "B", 2), begin(0, "send", [["send", "x", "A"]]),
                          poll(9, x=[[1, "A"], [2, "B"], [3, "A"]]))),
        # Offsets of sends that perhaps did not happen do not count. A message may itself be a pair.
        ((), (txn(3, ("x", [0, "D"]), outcome="info"), txn(4, ("x", [0, "E"]), outcome="fail"), *SENT, READ)),
        ((), (begin(0, "send", [["send", "x", [7, "A"]]]), info(0), poll(9, x=[[0, [7, "A"]]]))),
        # A message that nobody sent; or that nobody sent to this key.
        (("unexpected",), (*SENT, READ, poll(8, x=[[3, "D"]]))),
        (("unexpected",), (*SENT, send(3, "y", "D", 3), poll(7, y=[[3, "D"]]), READ, poll(8, x=[[3, "D"]]))),
        ((), (*SENT, lost_send(3, "D"), READ, poll(8, x=[[3, "D"]]))),
        # A poll of a message whose send failed; or whose outcome is unknown; or that was sent again.
        (("G1a",), (*SENT, failed_send(3, "D"), READ, poll(8, x=[[3, "D"]]))),
        ((), (*SENT, failed_send(3, "D"), READ)),
        ((), (*SENT, begin(3, "send", [["send", "x", "D"]]), READ, poll(8, x=[[3, "D"]]))),
        ((), (*SENT, failed_send(3, "D"), send(3, "x", "D", 3), READ, poll(8, x=[[3, "D"]]))),
        ((), (*SENT, send(3, "x", "D", 3), failed_send(3, "D"), READ, poll(8, x=[[3, "D"]]))),
        # A poll of a message of the same operation; or of another key; or of another operation.
        (("precommitted-read",), (txn(0, ("x", A), {"x": [A]}),)),
        (("precommitted-read",), (txn(0, ("x", A), {"x": [A]}, outcome="info"), poll(1, x=[A]))),
        ((), (send(1, "y", "A", 0), txn(0, ("x", A), {"y": [A]}), txn(1, {"x": [A]}))),
        # A poll of a message that is sent only later; or that is being sent; or whose send failed.
        (("G1c-realtime",), (poll(8, x=[A]), send(0, "x", "A", 0))),
        (("G1c-realtime",), (poll(8, x=[A]), lost_send(0, "A"))),
        ((), (begin(0, "send", [["send", "x", "A"]]), poll(8, x=[A]), ok(0, [["send", "x", A]]))),
        ((), (begin(8, "poll", [["poll"]]), send(0, "x", "A", 0), ok(8, [["poll", {"x": [A]}]]))),
        (("G1a",), (poll(8, x=[A]), failed_send(0, "A"))),
        # A poll of a message that the same process sends later. A poll with an unknown outcome comes before nothing.
        (("G1c-process",), (poll(0, x=[A]), send(0, "x", "A", 0))),
        ((), (txn(0, {"x": [A]}, outcome="info"), send(1, "x", "A", 0), poll(9, x=[A]))),
        # Two operations that polled from each other; or through a third one; or only in one direction.
        (("G1c",), (txn(0, ("x", A), {"y": [B]}), txn(1, ("y", B), {"x": [A]}))),
        (("G1c",), (txn(0, ("x", A), {"z": [C]}), txn(1, ("y", B), {"x": [A]}), txn(2, ("z", C), {"y": [B]}))),
        (("G1c-realtime",), (txn(0, ("x", A), {"z": [C]}), txn(1, ("y", B), {"x": [A]}), txn(2, ("z", C)), READ_Y)),
        ((), (txn(0, ("x", A)), txn(1, ("y", B), {"x": [A]}), txn(2, ("z", C), {"y": [B]}), poll(9, z=[C]))),
        # A message that nobody polls, but a later one; or that somebody else polls; or that was never acknowledged.
        (("lost-write", "unseen"), (*SENT, poll(9, x=[B, C]))),
        (("lost-write", "unseen", "int-poll-skip"), (*SENT, poll(9, x=[A, C]))),
        ((), (*SENT, poll(9, x=[B, C]), poll(8, x=[A]))),
        ((), (lost_send(0, "A"), *SENT[1:], poll(9, x=[B, C]))),
        # The outcome of a send is unknown, but another message of the same operation was polled, so it took effect.
        (("lost-write",), (txn(0, ("x", A), ("y", A), outcome="info"), SENT[1], poll(9, x=[B], y=[A]))),
        ((), (txn(0, ("x", A), ("y", A), outcome="info"), SENT[1], poll(9, x=[B]))),
        # A message at two offsets counts as lost only if both are below the last one that was polled.
        (("duplicate", "lost-write", "unseen"), (*SENT, send(3, "x", "A", 3), send(4, "x", "D", 4), poll(9, x=[B, C]),
                                                 poll(8, x=[[4, "D"]]))),
        (("duplicate", "unseen"), (*SENT, send(3, "x", "A", 3), poll(9, x=[B, C]))),
        (("duplicate", "unseen"), (*SENT, send(3, "x", "A", 3), poll(9, x=[A]))),
        # A poll that failed shows that a message is in the log, but not that its send was ok.
        ((), (failed_send(0, "A"), txn(8, {"x": [A]}, outcome="fail"), SENT[1], poll(9, x=[B]))),
        # An acknowledged message that nobody polls; or that a failed poll returned; or that was not acknowledged.
        (("unseen",), (*SENT, poll(9, x=[A, B]))),
        (("unseen",), (send(0, "x", "A", 0),)),
        (("unseen",), (*SENT, poll(9, x=[A, B]), txn(8, {"x": [C]}, outcome="fail"))),
        (("unseen",), (*SENT, poll(9, x=[A, B]), txn(8, {"x": [C]}, outcome="info"))),
        ((), (*SENT, READ, lost_send(3, "D"), failed_send(4, "E"))),
        ((), (lost_send(0, "A"), poll(9, x=[A]))),
        # A poll that leaves out a message that exists; or a gap without a message.
        (("int-poll-skip",), (*SENT, READ, poll(8, x=[A, C]))),
        ((), (send(0, "x", "A", 0), send(1, "x", "C", 2), poll(8, x=[A, C]))),
        (("int-poll-skip",), (*SENT, READ, txn(8, {"x": [A]}, {"x": [C]}))),
        ((), (*SENT, READ, txn(8, {"x": [A]}, {"x": [B]}, {"y": []}))),
        # A poll that returns a message again, or an earlier one; or messages of two keys.
        (("int-nonmonotonic-poll",), (*SENT, poll(8, x=[A, B, C, C]))),
        (("int-nonmonotonic-poll",), (*SENT, READ, poll(8, x=[B, A]))),
        ((), (*SENT, send(3, "y", "A", 0), READ, poll(8, x=[B, C], y=[A]))),
        # The next poll of a process leaves out a message; or that of another process.
        (("poll-skip",), (*SENT, READ, poll(8, x=[A]), poll(8, x=[C]))),
        (("poll-skip",), (*SENT, READ, poll(8, x=[A]), poll(8, x=[]), poll(8, y=[]), poll(8, x=[C]))),
        ((), (*SENT, READ, poll(8, x=[A]), poll(7, x=[C]), poll(8, x=[B, C]))),
        # An assignment that does not have the key lets a process begin anywhere; but not one that has it, or fails.
        ((), (*SENT, READ, poll(8, x=[A]), assign(8, "y"), assign(8, "x"), poll(8, x=[C]))),
        (("poll-skip",), (*SENT, READ, poll(8, x=[A]), assign(8, "x", "y"), poll(8, x=[C]))),
        (("poll-skip",), (*SENT, READ, poll(8, x=[A]), begin(8, "assign", ["y"]), fail(8), poll(8, x=[C]))),
        # The next poll of a process returns a message again, or an earlier one; after a failed poll it may.
        (("nonmonotonic-poll",), (*SENT, READ, poll(8, x=[A, B]), poll(8, x=[B, C]))),
        (("nonmonotonic-poll",), (*SENT, READ, poll(8, x=[B, C]), poll(8, x=[A]))),
        ((), (*SENT, READ, poll(8, x=[A, B]), assign(8, "y"), poll(8, x=[A]))),
        ((), (*SENT, READ, poll(8, x=[A]), txn(8, {"x": [B]}, outcome="fail"), poll(8, x=[B]))),
        # A later send of a process gets a lower offset; or after an assignment without the key; or of another process.
        (("nonmonotonic-send",), (send(0, "x", "B", 1), send(0, "x", "A", 0), poll(9, x=[A, B]))),
        (("nonmonotonic-send",), (send(0, "x", "B", 1), send(1, "x", "C", 2), begin(0, "send", [["send", "x", "A"]]),
                                  poll(9, x=[A, B, C]))),
        ((), (send(0, "x", "B", 1), send(1, "x", "A", 0), poll(9, x=[A, B]))),
        ((), (send(0, "x", "B", 1), assign(0), send(0, "x", "A", 0), poll(9, x=[A, B]))),
        ((), (send(0, "x", "A", 0), send(1, "x", "B", 1), send(0, "x", "C", 2), READ)),
        ((), (send(0, "x", "B", 1), failed_send(0, "A"), send(0, "x", "C", 2), poll(9, x=[B, C]))),
        # The same within one operation.
        (("int-nonmonotonic-send",), (txn(0, ("x", B), ("x", A)), poll(9, x=[A, B]))),
        ((), (txn(0, ("x", A), ("x", B)), poll(9, x=[A, B]))),
        ((), (txn(0, ("x", [None, "B"]), ("x", [None, "A"]), outcome="info"),)),
        (("int-send-skip",), (txn(0, ("x", A), ("x", C)), send(1, "x", "B", 1), READ)),
        ((), (txn(0, ("x", A), ("x", C)), poll(9, x=[A, C]))),
    ],
)  # fmt: skip
def test_errors(types: tuple[str, ...], events: tuple[Any, ...]) -> None:
    """A history has exactly these errors, and all but one type invalidate."""
    found = check(*events)
    assert found["error-types"] == sorted(types)
    assert found["bad-error-types"] == sorted({*types} - {"int-send-skip"})
    assert found["valid?"] is (found["bad-error-types"] == [])
    assert {*types} == found.keys() - check().keys()


def test_what_is_said_of_an_empty_history() -> None:
    """Nothing was wrong."""
    assert check() == {
        "valid?": True,
        "worst-realtime-lag": {"time": 0, "lag": 0},
        "bad-error-types": [],
        "error-types": [],
        "info-txn-causes": [],
    }


def test_after_subscribe_polls_may_begin_anywhere() -> None:
    """A database may take a key from a subscriber and give it back, so these errors do not invalidate."""
    subscribed = begin(8, "subscribe", ["x"]), ok(8, ["x"])
    events = (*SENT, READ, subscribed, poll(8, x=[A]), poll(8, x=[C]), poll(8, x=[B]))
    found = check(*events)
    assert found["valid?"] is True
    assert found["error-types"] == ["nonmonotonic-poll", "poll-skip"]
    assert check(*events, poll(8, x=[A, C]))["bad-error-types"] == ["int-poll-skip"]


# Evidence: the operations that show an error


def op(index: int, process: int, f: str, **more: Any) -> dict[str, Any]:
    """Return how results mention the end of an operation."""
    return {"index": index, "time": index * 1_000_000, "process": process, "type": "ok", "f": f, **more}


def test_a_leap_is_described() -> None:
    """A skip names the messages before and after, the distance, what is skipped, and the operations."""
    found = check(*SENT, READ, poll(8, x=[A]), poll(8, x=[C]), poll(7, x=[C, A]))
    assert found["poll-skip"] == {
        "count": 1,
        "errs": [
            {
                "key": "x",
                "values": ["A", "C"],
                "offsets": [0, 2],
                "delta": 2,
                "skipped": ["B"],
                "skipped-offsets": [1],
                "ops": [op(9, 8, "poll", polled=[[0, "A"]]), op(11, 8, "poll", polled=[[2, "C"]])],
            }
        ],
    }
    assert found["int-nonmonotonic-poll"]["errs"] == [
        {
            "key": "x",
            "values": ["C", "A"],
            "offsets": [2, 0],
            "delta": -2,
            "op": op(13, 7, "poll", polled=[[2, "C"], [0, "A"]]),
        }
    ]


def test_the_worst_leaps_are_described() -> None:
    """Of many leaps, the 8 longest are described; of a very long one, the first 32 messages that are skipped."""
    log = [[number, number] for number in range(50)]
    leaps = [poll(100 + number, x=[log[0], log[number]]) for number in range(2, 50)]
    found = check(*(send(number, "x", number, number) for number in range(50)), poll(50, x=log), *leaps)
    skips = found["int-poll-skip"]
    assert skips["count"] == 48
    assert [each["delta"] for each in skips["errs"]] == [49, 48, 47, 46, 45, 44, 43, 42]
    assert skips["errs"][0]["skipped"] == skips["errs"][0]["skipped-offsets"] == list(range(1, 33))
    steps_back = [poll(200 + number, x=[log[number], log[0]]) for number in range(50)]
    found = check(*(send(number, "x", number, number) for number in range(50)), poll(50, x=log), *steps_back)
    assert [each["delta"] for each in found["int-nonmonotonic-poll"]["errs"]] == [
        -49,
        -48,
        -47,
        -46,
        -45,
        -44,
        -43,
        -42,
    ]


def test_wrong_messages_are_described() -> None:
    """Errors in offsets and messages name the key, the offsets, the messages, and the operations that show each."""
    events = (
        *SENT,
        poll(3, x=[A, B, [2, "D"]]),
        poll(4, x=[[5, "A"]]),
        failed_send(5, "E"),
        poll(6, x=[[6, "E"]]),
        READ,
    )
    found = check(*events)
    assert found["inconsistent-offsets"]["errs"] == [
        {
            "key": "x",
            "offset": 2,
            "index": 2,
            "values": ["C", "D"],
            "ops": [op(5, 2, "send", sent=[[2, "C"]]), op(7, 3, "poll", polled=[[2, "D"]])],
        }
    ]
    assert found["duplicate"]["errs"] == [
        {
            "key": "x",
            "value": "A",
            "count": 2,
            "offsets": [0, 5],
            "ops": [op(1, 0, "send", sent=[[0, "A"]]), op(9, 4, "poll", polled=[[5, "A"]])],
        }
    ]
    assert found["unexpected"]["errs"] == [
        {"key": "x", "value": "D", "reader": op(7, 3, "poll", polled=[[2, "D"]])},
    ]
    assert found["G1a"]["errs"] == [
        {
            "key": "x",
            "value": "E",
            "writer": {**op(11, 5, "send", sent=[[None, "E"]]), "type": "fail"},
            "reader": op(13, 6, "poll", polled=[[6, "E"]]),
        }
    ]


def test_missing_messages_are_described() -> None:
    """A lost write names its send, and the poll that returned a later message; unseen ones are counted by key."""
    found = check(*SENT, send(3, "y", "D", 7), poll(9, x=[B]))
    assert found["lost-write"]["errs"] == [
        {
            "key": "x",
            "value": "A",
            "offset": 0,
            "index": 0,
            "max-read-offset": 1,
            "max-read-index": 1,
            "writer": op(1, 0, "send", sent=[[0, "A"]]),
            "max-read": op(9, 9, "poll", polled=[[1, "B"]]),
        }
    ]
    assert found["unseen"] == {
        "time": 9_000_000,
        "unseen": {"x": 2, "y": 1},
        "messages": {"x": ["A", "C"], "y": ["D"]},
        "sends": {
            "x": [op(1, 0, "send", sent=[[0, "A"]]), op(5, 2, "send", sent=[[2, "C"]])],
            "y": [op(7, 3, "send", sent=[[7, "D"]])],
        },
    }


def final_polls(node: str, process: int, *polls: dict[str, Any]) -> tuple[Any, ...]:
    """*process* polls keys x and y from the beginning, at the end."""
    polled = [finally_(on(node, poll(process, **messages))) for messages in polls]
    return (finally_(on(node, assign(process, "x", "y"))), *polled)


@pytest.mark.parametrize(
    ("missing", "events"),
    [
        ({}, final_polls("n1", 10, {"x": [A]}, {"x": [B, C]})),
        # Before the first message, and after the last one, if the last poll returned nothing more.
        ({"n1": ["A"]}, final_polls("n1", 10, {"x": [B, C]})),
        ({"n1": ["C"]}, final_polls("n1", 10, {"x": [A, B]}, {"x": []})),
        ({"n1": ["A", "B", "C"]}, final_polls("n1", 10, {})),
        ({}, final_polls("n1", 10, {"x": [A, B]})),
        ({}, final_polls("n1", 10)),
        # Another client of the same node got it, but clients of other nodes do not count.
        ({}, (*final_polls("n1", 10, {"x": [A, B]}, {}), *final_polls("n1", 11, {"x": [A, B, C]}))),
        ({"n2": ["B", "C"]}, (*final_polls("n1", 10, {"x": [A, B, C]}), *final_polls("n2", 11, {"x": [A]}, {}))),
        # Polls of keys that nobody assigned, and those before the end, do not count.
        ({}, (finally_(on("n1", assign(10, "y"))), finally_(on("n1", poll(10, x=[B]))))),
        ({}, (on("n1", assign(10, "x")), on("n1", poll(10, x=[B])))),
        # A send after the last poll is no poll.
        (
            {"n1": ["C"]},
            (
                *final_polls("n1", 10, {"x": [A, B]}, {}),
                finally_(on("n1", send(10, "z", "E", 0))),
                poll(9, z=[[0, "E"]]),
            ),
        ),
        # What no poll returned is unseen, not missing.
        ({}, (send(3, "x", "D", 3), *final_polls("n1", 10, {"x": [A, B, C]}, {}))),
    ],
)
def test_what_nodes_lack_at_the_end(missing: dict[str, list[str]], events: tuple[Any, ...]) -> None:
    """Final polls of each node have to return what other polls returned."""
    found = check(*SENT, READ, *events).get("missing", {"errs": []})
    assert {error["node"]: error["values"] for error in found["errs"]} == missing


def test_a_missing_message_is_described() -> None:
    """The error names the node, the messages and the last poll."""
    found = check(*SENT, READ, *final_polls("n1", 10, {"x": [A, B]}, {}))
    last = {**op(13, 10, "poll"), "node": "n1"}
    assert found["bad-error-types"] == ["missing"]
    assert found["missing"] == {
        "count": 1,
        "errs": [{"node": "n1", "key": "x", "count": 1, "offsets": [2], "values": ["C"], "op": last}],
    }


def test_a_cycle_is_described() -> None:
    """The error lists the operations of the circle, the first one again at the end, and why each follows the other."""
    found = check(txn(0, ("x", A), {"y": [B]}), txn(1, ("y", B), {"x": [A]}), poll(2, z=[C]), send(3, "z", "C", 2))
    first, second = op(1, 0, "txn"), op(3, 1, "txn")
    assert found["G1c"] == {
        "count": 1,
        "errs": [
            {
                "cycle": [first, second, first],
                "steps": [{"type": "wr", "key": "x", "value": "A"}, {"type": "wr", "key": "y", "value": "B"}],
                "text": 'T1 sent "A" to key "x", and T2 read it; T2 sent "B" to key "y", and T1 read it',
            }
        ],
    }
    [realtime] = found["G1c-realtime"]["errs"]
    assert realtime["text"] == 'T1 ended before T2 began; T2 sent "C" to key "z", and T1 read it'
    [process] = check(poll(0, x=[A]), send(0, "x", "A", 0))["G1c-process"]["errs"]
    assert process["text"] == 'process 0 ended T1 before it began T2; T2 sent "A" to key "x", and T1 read it'


def test_of_many_unseen_messages_some_are_listed() -> None:
    """The counts are exact; 32 messages and 8 sends of each key are listed, and 32 errors of a type."""
    found = check(*(send(number, "x", 99 - number, number) for number in range(50)), poll(60, x=[[49, 50]]))
    assert found["unseen"]["unseen"] == {"x": 49}
    assert found["unseen"]["messages"] == {"x": list(range(51, 83))}
    assert [each["index"] for each in found["unseen"]["sends"]["x"]] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert found["lost-write"]["count"] == 49
    assert len(found["lost-write"]["errs"]) == 32


def test_keys_of_other_tests_may_be_numbers() -> None:
    """Jepsen's histories have integers as keys, which are texts in JSON objects."""
    assert check(send(0, 5, "A", 0), assign(1, 5), poll(1, **{"5": [A]}))["error-types"] == []


def test_why_outcomes_are_unknown() -> None:
    """The reasons why the outcome of a send or poll is unknown are listed, each once; those of crashes are not."""
    found = check(
        lost_send(0, "A"),
        lost_send(1, "B"),
        (begin(2, "crash"), info(2, "crashed")),
        (begin(3, "poll", [["poll"]]), info(3, "broken")),
        begin(4, "poll", [["poll"]]),
    )
    assert found["info-txn-causes"] == ["no reply", "broken", "no reply until the end of the run"]


# Realtime lag


def lag_of(*events: Any) -> Any:
    return check(*events)["worst-realtime-lag"]


def test_the_lag_of_a_poll() -> None:
    """A poll that misses a message lags by the time from its acknowledgement to the beginning of the poll."""
    sends = (send(0, "x", "A", 0), send(1, "x", "B", 10))
    late = begin(2, "poll", [["poll"]], at=500), ok(2, [["poll", {"x": [A]}]], at=900)
    none = {"time": 0.5, "process": 2, "key": "x", "lag": 0.0}
    assert lag_of(*sends, late) == {**none, "lag": 0.497}
    assert lag_of(send(0, "x", "A", 0), late) == none
    assert lag_of(*sends, assign(2, "x"), begin(2, "poll", [["poll"]], at=500), ok(2, [["poll", {}]])) == {
        **none,
        "lag": 0.499,
    }
    assert lag_of(*sends, assign(2, "y"), begin(2, "poll", [["poll"]], at=500), ok(2, [["poll", {}]])) == {
        **none,
        "key": "y",
    }


def test_the_lag_counts_from_what_a_process_knows() -> None:
    """A process knows what it polled before, as long as the key stays assigned; sends and failed polls do not count."""
    sends = (send(0, "x", "A", 0), send(1, "x", "B", 1))
    empty = begin(2, "poll", [["poll"]], at=500), ok(2, [["poll", {"x": []}]])
    none = {"time": 0.006, "process": 2, "key": "x", "lag": 0.0}
    assert lag_of(*sends, assign(2, "x"), poll(2, x=[A, B]), assign(2, "x"), empty) == none
    assert lag_of(*sends, assign(2, "x"), poll(2, x=[A]), assign(2, "y"), assign(2, "x"), empty)["lag"] == 0.497
    # Another process may continue at an offset that this one committed, but not in the final phase.
    assert lag_of(*sends, poll(1, x=[A, B]), assign(2, "x"), empty)["lag"] == 0
    seek = begin(2, "assign", ["x"], final=True), ok(2, ["x"])
    assert lag_of(*sends, poll(1, x=[A, B]), seek, empty)["lag"] == 0.499
    subscribe = begin(2, "subscribe", ["x"]), ok(2, ["x"])
    assert lag_of(*sends, subscribe, begin(2, "poll", [["poll"]], at=500), ok(2, [["poll", {}]])) == {
        "time": 0,
        "lag": 0,
    }
    assert lag_of(send(2, "x", "A", 0), assign(2, "x"), empty)["lag"] == 0.499
    assert lag_of(txn(0, ("x", A), outcome="fail"), assign(2, "x"), empty)["lag"] == 0
