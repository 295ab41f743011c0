"""The space-time diagram of a run: windows, filters, limits and the search."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from support.pictures import Events, having, messages, title
from support.space_time import drawn, footer, many, small, types

from trio_messenger.sim.pictures._svg import asset


def test_a_window_has_what_was_sent_or_arrived_in_it() -> None:
    """Messages of other times are left out; those that cross an edge are drawn whole."""
    events = Events()
    for name, at, until in [("before", 0, 5), ("into", 8, 12), ("in", 12, 14), ("out", 18, 25), ("after", 21, 22)]:
        events.pass_(at, until, "n1", "n2", name)
    assert types(drawn(events, since=0.010, until=0.020)) == ["into", "in", "out"]
    assert types(drawn(events, since=0.012, until=0.018)) == ["into", "in", "out"]
    assert types(drawn(events, since=0.010)) == ["into", "in", "out", "after"]
    assert types(drawn(events, until=0.008)) == ["before", "into"]
    assert types(drawn(events, since=0.0255)) == []


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (["clients"], ["add", "add_ok"]),
        (["nodes"], ["gossip"]),
        (["services"], ["cas", "error"]),
        (["errors"], ["error"]),
        (["nodes", "errors"], ["gossip", "error"]),
        (["n2"], ["gossip"]),
        (["cas"], ["cas"]),
        (["lost"], []),
        (["duplicates"], []),
        ([], []),
    ],
)
def test_only_what_is_asked_for_is_drawn(only: list[str], found: list[str]) -> None:
    """A message is drawn if one of the words holds for it: a kind, an id, a type."""
    assert types(drawn(small(), only=only)) == found


def test_only_lost_ones_or_duplicates() -> None:
    """Of a message that was duplicated, only what is asked for is drawn."""
    events = Events()
    both = events.send(0, "n1", "n2")
    events.note(1, "duplicate", id=both)
    events.note(1, "deliver", id=both)
    events.note(2, "drop", id=both, reason="partition")
    events.pass_(3, 4, "n1", "n2")
    assert len(messages(drawn(events))) == 3
    assert [message.get("class") for message in messages(drawn(events, only=["lost"]))] == ["m node lost copy"]
    assert [message.get("class") for message in messages(drawn(events, only=["duplicates"]))] == ["m node lost copy"]
    events.note(5, "drop", id=events.send(5, "n2", "n1"), reason="loss")
    lost = events.send(6, "n3", "n1")
    events.note(7, "duplicate", id=lost)
    events.note(7, "drop", id=lost, reason="loss")
    events.note(8, "deliver", id=lost)
    found = [(message.get("data-id"), message.get("class")) for message in messages(drawn(events, only=["lost"]))]
    assert found == [("0", "m node lost copy"), ("2", "m node lost"), ("3", "m node lost")]


def test_a_limit_is_kept_and_told() -> None:
    """The first messages are drawn; the picture says how many are left out, and the command for the next window."""
    root = drawn(many(30), limit=20, command="draw DIR")
    assert len(messages(root)) == 20
    assert footer(root)[-2:] == [
        "These are 20 of 30 messages. 10 more messages from 0.0200 s on are left out. For those:",
        "draw DIR --since 0.0200",
    ]
    rest = drawn(many(30), since=0.0200, limit=20)
    assert [message.get("data-id") for message in messages(rest)] == [str(number) for number in range(20, 30)]
    assert footer(rest) == []
    assert footer(drawn(many(30), limit=29))[0] == (
        "These are 29 of 30 messages. 1 more message from 0.0290 s on is left out. For those:"
    )
    assert footer(drawn(many(30), since=0.0200, limit=4))[0] == (
        "These are 4 of 10 messages, of 30 in the whole run. 6 more messages from 0.0240 s on are left out. For those:"
    )


def test_counts_are_those_of_the_run() -> None:
    """However few messages are drawn, the picture has how many there are, and how many were lost, failed or doubled."""
    events = many(3)
    number = events.send(5, "n1", "n2")
    events.note(6, "drop", id=number, reason="loss")
    events.pass_(7, 7, "n1", "c1", "error", code=11)
    number = events.send(8, "n1", "n2")
    events.note(9, "duplicate", id=number)
    events.note(9, "deliver", id=number)
    events.note(10, "drop", id=number, reason="partition")
    for given in ({}, {"limit": 1}, {"until": 0.001}, {"only": ["errors"]}):
        [group] = having(drawn(events, **given), "messages")
        counts = {name: group.get(f"data-{name}") for name in ("total", "lost", "error", "copy")}
        assert counts == {"total": "6", "lost": "2", "error": "1", "copy": "1"}
    assert drawn(events, limit=1).get("aria-label") == "Space-time diagram of 1 of 6 messages"
    assert drawn(events).get("aria-label") == "Space-time diagram of 6 messages"


SEARCHES = [
    ("", [0, 1, 2, 3, 4]),
    ("read", [1, 2]),
    ("READ_ok", [2]),
    ("n1", [0, 3]),
    ("n10", [1, 2, 3, 4]),
    ("node:n10", [1, 2, 4]),
    ("from:n10", [2]),
    ("from:n10 to:c1", [2]),
    ("to:n10 type:read", [1]),
    ("from:3", [4]),
    ("type:swap", [4]),
    ("type:n1", []),
    ("17", [0, 2]),
    ("7", []),
    ("message:17", [0]),
    ('"message": 17', [0]),
    ('"message":17', [0]),
    ("1", [0, 1, 2]),
    ("17 23", [2]),
    ("[17,23]", [2]),
    ("Please Echo", [3]),
    ('"', [0, 1, 2, 3, 4]),
]
"""What is searched for in `searched`, and which messages have it."""


def searched() -> Events:
    events = Events()
    events.pass_(0, 0, "c1", "n1", "broadcast", message=17, msg_id=1)
    events.pass_(1, 1, "c1", "n10", "read", msg_id=1)
    events.pass_(2, 2, "n10", "c1", "read_ok", messages=[17, 23], in_reply_to=1)
    events.pass_(3, 3, "n1", "n2", "tell", text="please echo n10")
    events.pass_(4, 4, "n3", "n10", "swap", **{"from": 3, "to": 4})
    return events


@pytest.mark.parametrize(("words", "found"), SEARCHES)
def test_messages_are_searched_by_type_node_and_body(words: str, found: list[int]) -> None:
    """All words of a search have to be found, numbers as a whole, wherever there is something written."""
    numbers = [message.get("data-id") for message in messages(drawn(searched(), search=words))]
    assert numbers == [str(number) for number in found]


@pytest.mark.skipif(shutil.which("node") is None, reason="the script of a picture is run by Node.js")
def test_the_script_searches_in_the_same_way() -> None:
    """What a browser finds is what the command finds."""
    given = [
        {"type": each.get("data-type"), "from": each.get("data-from"), "to": each.get("data-to"), "body": title(each)}
        for each in messages(drawn(searched()))
    ]
    for each in given:
        each["body"] = (each["body"] or "").split("\n", 2)[2]
    code = asset("search.js") + (
        "const [messages, searches] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "for (const message of messages) for (const key in message) message[key] = squeezed(message[key]);"
        "const find = (words) => [...messages.keys()].filter((index) => compileSearch(words)(messages[index]));"
        "console.log(JSON.stringify(searches.map(find)));"
    )
    done = subprocess.run(
        ["node", "-e", code],
        input=json.dumps([given, [words for words, _ in SEARCHES]]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [found for _, found in SEARCHES]


def test_times_of_the_set_up_are_negative_and_told() -> None:
    """Times count from the main phase; a picture that shows the set-up before it says what negative times are."""
    events = Events()
    events.pass_(-3250, -3000, "c0", "n1", "init")
    events.pass_(500, 750, "c1", "n1")
    root = drawn(events)
    assert [time.text for time in having(root, "time")][:2] == ["-3.25", "-3.00"]
    assert (
        footer(root)[0] == "Times count from when the main phase began: before that, in the set-up, they are negative."
    )
    [unit] = having(root, "unit")
    assert title(unit) == "since the main phase began; before that, in the set-up, times are negative"
    of_set_up = drawn(events, until=-1)
    assert [message.get("data-at") for message in messages(of_set_up)] == ["-3.25"]
    of_main_phase = drawn(events, since=0)
    assert [message.get("data-type") for message in messages(of_main_phase)] == ["echo"]
    assert footer(of_main_phase) == []


def test_faults_after_what_the_limit_keeps_are_left_out() -> None:
    """The picture ends with the last message that is in it."""
    events = many(10)
    events.note(20, "begin", fault=0, text="late")
    assert having(drawn(events, limit=5), "band") == []
    assert len(having(drawn(events), "band")) == 1


def test_the_next_window_misses_nothing() -> None:
    """The time in the command is never later than the first message that was left out, however it is rounded."""
    events = Events()
    for number in range(20):
        events.pass_(number * 1.2379, number * 1.2379, "n1", "n2")
    root = drawn(events, limit=10)
    since = float(footer(root)[-1].rpartition(" ")[2])
    rest = messages(drawn(events, since=since))
    assert {"10", "19"} <= {message.get("data-id") for message in rest}
