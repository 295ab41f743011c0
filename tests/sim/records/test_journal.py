"""The journal: what is in it, and that a file gives back what was saved."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from support.network_plays import MANY, STEADY, Line, play
from support.stage import staged

from trio_messenger import Message
from trio_messenger.sim._faults.faults import (
    Loss,
    Partition,
)
from trio_messenger.sim._records.journal import Journal


def test_the_journal_has_everything(tmp_path: Path) -> None:
    """The journal has what was sent, as it was sent, and what became of it; numbered, in the order of time."""
    stage = staged(
        play([Line(0.5, "n1", "n2"), Line(1.5, "n1", "n2")]), faults=[Loss(at=1, until=2, rate=1), Partition(at=3)]
    )
    lines = [msgspec.json.decode(line) for line in stage.journal.lines()]
    assert lines == [
        {"i": 0, "t": 500000000, "event": "send", "id": 0, "message": message(0)},
        {"i": 1, "t": 500000000, "event": "deliver", "id": 0},
        {"i": 2, "t": 1000000000, "event": "begin", "fault": 0, "text": "loss between all nodes rate=1"},
        {"i": 3, "t": 1500000000, "event": "send", "id": 1, "message": message(1)},
        {"i": 4, "t": 1500000000, "event": "drop", "id": 1, "reason": "loss", "fault": 0},
        {"i": 5, "t": 2000000000, "event": "end", "fault": 0},
        {"i": 6, "t": 3000000000, "event": "begin", "fault": 1, "text": "partition between all nodes"},
        {"i": 7, "t": 6000000000, "event": "end", "fault": 1},
    ]
    assert len(stage.journal) == 8
    assert stage.journal[4] is list(stage.journal)[4]


def test_an_entry_has_its_message_decoded_and_as_it_was_sent() -> None:
    """Only a ``send`` has one."""
    sent, delivered = list(staged(play([Line(0.5, "n1", "n2")])).journal)
    assert sent.message == msgspec.convert(message(0), Message)
    assert sent.raw is not None
    assert msgspec.json.decode(bytes(sent.raw)) == message(0)
    assert (delivered.message, delivered.raw) == (None, None)


def message(number: int) -> dict[str, Any]:
    return {"src": "n1", "dest": "n2", "body": {"type": "say", "value": number}}


def test_a_journal_that_was_saved_is_the_same(tmp_path: Path) -> None:
    """A journal read from its file has the same entries, the same lines and so the same digest."""
    journal = staged(play(STEADY), faults=MANY).journal
    journal.save(tmp_path / "journal.jsonl")
    again = Journal.load(tmp_path / "journal.jsonl")
    assert list(again) == list(journal)
    assert again.digest() == journal.digest()
    assert (tmp_path / "journal.jsonl").read_bytes().splitlines() == list(journal.lines())


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """The digest is the SHA-256 of the file, so that any tool can check it; an empty journal has one as well."""
    journal = staged(play(STEADY)).journal
    journal.save(tmp_path / "journal.jsonl")
    assert journal.digest() == hashlib.sha256((tmp_path / "journal.jsonl").read_bytes()).hexdigest()
    assert Journal().digest() == hashlib.sha256(b"").hexdigest()
