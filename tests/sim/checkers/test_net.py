"""Statistics of the network: messages by who they are between, and for each operation."""

from __future__ import annotations

from random import Random
from typing import Any, Literal, TypeAlias

import msgspec
import pytest
from support.histories import add, audits, begin, checked, history, read

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.net import net
from trio_messenger.sim._records.history import History
from trio_messenger.sim._records.journal import Journal

OPERATIONS = history(add(0, 1), add(0, 2), read(1, [1, 2]), begin(2, "read"))
"""Four operations, one of them without an end."""

Fate: TypeAlias = Literal["deliver", "drop", "duplicate"]
"""What befalls a message."""

FATES: tuple[Fate, ...] = ("deliver", "drop", "duplicate")
"""All of it."""

NAMES = ("send-count", "recv-count", "drop-count", "duplicate-count", "msg-count")


class Wire:
    """A journal, written message by message."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.sent = 0

    def send(self, src: str, dest: str, *events: Fate, body: Any = None) -> None:
        """Note a message, and what befell it."""
        line = msgspec.json.encode({"body": body, "src": src, "id": 7, "dest": dest})
        self.journal.note(len(self.journal), "send", id=self.sent, raw=msgspec.Raw(line))
        for event in events:
            self.journal.note(len(self.journal), event, id=self.sent)
        self.sent += 1


def counts(*figures: int) -> dict[str, int]:
    """Return the counts of a group: sends, deliveries, drops, duplicates, messages."""
    return dict(zip(NAMES, figures, strict=True))


def test_nothing_happened() -> None:
    """An empty journal has only zeros, and without operations there is nothing to reckon them against."""
    assert checked(net(Journal(), History())) == {
        "valid?": True,
        "all": counts(0, 0, 0, 0, 0),
        "clients": counts(0, 0, 0, 0, 0),
        "servers": counts(0, 0, 0, 0, 0),
    }


def test_messages_are_counted_by_who_they_are_between() -> None:
    """A client at either end makes it a client's message; all others, those of services too, are servers'."""
    wire = Wire()
    wire.send("c1", "n1", "deliver", body={"src": "n1", "dest": "n2"})
    wire.send("n1", "n2", "deliver")
    wire.send("n2", "lin-kv", "deliver")
    wire.send("lin-kv", "n2")
    wire.send("n1", "c1", "deliver")
    assert checked(net(wire.journal, OPERATIONS)) == {
        "valid?": True,
        "all": {**counts(5, 4, 0, 0, 5), "msgs-per-op": 1.25},
        "clients": counts(2, 2, 0, 0, 2),
        "servers": {**counts(3, 2, 0, 0, 3), "msgs-per-op": 0.75},
    }


@pytest.mark.parametrize(
    ("src", "dest", "is_client"),
    [
        ("c0", "n1", True),
        ("n1", "c0", True),
        ("client", "n1", True),
        ("nc", "C1", False),
        ("C1", "nc", False),
        ("", "n1", False),
    ],
)
def test_a_client_is_who_has_an_id_with_a_c(src: str, dest: str, is_client: bool) -> None:
    """It is the first character of the id that tells a client."""
    wire = Wire()
    wire.send(src, dest)
    results = net(wire.journal, OPERATIONS)
    assert (results["clients"]["send-count"], results["servers"]["send-count"]) == ((1, 0) if is_client else (0, 1))


def test_a_copy_is_no_message_of_its_own() -> None:
    """A duplicated message is sent once, and counts where each of the two arrives or is dropped."""
    wire = Wire()
    wire.send("n1", "n2", "duplicate", "deliver", "deliver")
    wire.send("n1", "n2", "duplicate", "deliver", "drop")
    wire.send("n1", "n2", "drop")
    results = net(wire.journal, OPERATIONS)
    assert results["servers"] == {**counts(3, 3, 2, 2, 3), "msgs-per-op": 0.75}


def test_what_the_audit_sends_is_not_counted() -> None:
    """Neither its operations nor its messages count; what was under way when it began still arrives."""
    wire = Wire()
    wire.send("n1", "n2")
    wire.journal.note(0, "audit")
    wire.journal.note(0, "deliver", id=0)
    wire.send("c9", "n1", "deliver")
    wire.send("n1", "n2", "deliver")
    results = net(wire.journal, history(add(0, 1), audits(n1=[1], n2=[1])))
    assert results["all"] == {**counts(1, 1, 0, 0, 1), "msgs-per-op": 1.0}


def test_what_befalls_nodes_is_not_counted() -> None:
    """Starts, kills and faults are no messages."""
    wire = Wire()
    wire.journal.note(0, "start", node="n1")
    wire.send("n1", "n2", "deliver")
    wire.journal.note(1, "begin", fault=0)
    wire.journal.note(2, "kill", node="c1", fault=0)
    assert checked(net(wire.journal, OPERATIONS))["all"] == {**counts(1, 1, 0, 0, 1), "msgs-per-op": 0.25}


def by_definition(journal: Journal, operations: int) -> Results:
    """Count, for each group, through the whole journal."""
    messages = {entry.id: msgspec.json.decode(entry.raw) for entry in journal if entry.raw is not None}
    clients = {n for n, message in messages.items() if message["src"][0] == "c" or message["dest"][0] == "c"}
    results: Results = {"valid?": True}
    for name, group in (("all", set(messages)), ("clients", clients), ("servers", set(messages) - clients)):
        events = [entry.event for entry in journal if entry.id in group]
        found = [events.count(event) for event in ("send", "deliver", "drop", "duplicate")]
        results[name] = counts(*found, len(group))
        if operations and name != "clients":
            results[name]["msgs-per-op"] = len(group) / operations
    return results


@pytest.mark.slow
def test_random_journals_have_the_figures_of_the_definition() -> None:
    """On a thousand small random journals all figures are those that counting one by one comes to."""
    for seed in range(1000):
        random, wire = Random(seed), Wire()
        ids = ("c1", "c2", "n1", "n2", "seq-kv")
        for _ in range(random.randint(0, 12)):
            events = random.choices(FATES, k=random.randint(0, 3))
            wire.send(random.choice(ids), random.choice(ids), *events)
            if random.random() < 0.2:
                wire.journal.note(0, "pause", node="n1")
        operations = random.randint(0, 5)
        made = history(*(read(0, []) for _ in range(operations)))
        assert checked(net(wire.journal, made)) == by_definition(wire.journal, operations), f"seed {seed}"
