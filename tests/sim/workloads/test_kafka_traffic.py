"""The operations of kafka: which keys, how often, and what the polls at the end wait for."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from trio_messenger.sim._records.history import Op, OpType
from trio_messenger.sim._workloads.log_traffic import FinalPolls, LogTraffic


def drawn(count: int, *, key_count: int = 10, max_writes_per_key: int = 16) -> list[tuple[str, Any]]:
    """Return *count* operations."""
    random = Random(1)
    traffic = LogTraffic(key_count, max_writes_per_key)
    return [traffic.next(random, has_keys=True) for _ in range(count)]


def test_half_of_the_operations_send() -> None:
    """As many operations send as poll, and one in 64 assigns."""
    kinds = Counter(f for f, _ in drawn(6400))
    assert 70 < kinds["assign"] < 130
    assert abs(kinds["send"] - kinds["poll"]) < 250


def test_messages_of_a_key_are_numbered_and_limited() -> None:
    """Each key gets 1, 2, 3 up to the limit, and then a new key takes its place."""
    sent: dict[str, list[int]] = {}
    for f, value in drawn(1000, key_count=4, max_writes_per_key=5):
        if f == "send":
            [[_, key, message]] = value
            sent.setdefault(key, []).append(message)
    assert len(sent) > 50
    assert sorted(map(int, sent)) == list(range(len(sent)))
    finished = [messages for messages in sent.values() if len(messages) == 5]
    assert len(finished) >= len(sent) - 4
    assert all(messages == list(range(1, len(messages) + 1)) for messages in sent.values())


def test_assignments_catch_up() -> None:
    """A third of the assignments add the keys with messages that nobody has polled, and no others."""
    random, traffic = Random(1), LogTraffic(10, 16)
    traffic.note([["send", "unseen", [3, 1]]])
    traffic.note([["send", "behind", [5, 1]]])
    traffic.note([["poll", {"behind": [[4, 2]], "other": [[7, 1]], "empty": []}]])
    traffic.note([["send", "seen", [3, 1]]])
    traffic.note([["poll", {"seen": [[2, 2], [3, 1]]}]])
    assigned = [value for f, value in (traffic.next(random, has_keys=True) for _ in range(20_000)) if f == "assign"]
    assert {len(keys) for keys in assigned} == {1, 3}
    long = [keys for keys in assigned if len(keys) == 3]
    assert {tuple(keys[:2]) for keys in long} == {("unseen", "behind")}
    assert 0.2 < len(long) / len(assigned) < 0.5
    assert traffic.ends == {"unseen": 3, "behind": 5, "other": 7, "seen": 3}


def test_a_client_without_keys_gets_some_before_it_polls() -> None:
    """A client cannot poll without keys, so it gets some; its sends need none."""
    random, traffic = Random(1), LogTraffic(10, 16)
    kinds = Counter(traffic.next(random, has_keys=False)[0] for _ in range(1000))
    assert kinds.keys() == {"assign", "send"}


def ended(f: str, value: Any, kind: OpType = "ok") -> Op:
    """Return the end of an operation."""
    return Op(index=1, time=1, type=kind, process=0, f=f, value=value)


def test_final_polls_wait_for_the_ends_of_all_logs() -> None:
    """A new client polls all keys until it has seen the highest known offset of each."""
    polls = FinalPolls({"10": 5, "2": 2})
    operations = iter(polls)
    assert next(operations) == ("crash", None)
    polls.note(ended("crash", None, "info"))
    assert next(operations) == ("assign", ["2", "10"])
    polls.note(ended("assign", ["2", "10"]))
    answers: list[Any] = [{"10": [[0, 1], [4, 2]], "c": [[9, 9]]}, {"2": [[3, 1]]}, {"10": []}, {}]
    for value in answers:
        assert next(operations) == ("poll", [["poll"]])
        polls.note(ended("poll", [["poll", value]]))
    assert next(operations) == ("poll", [["poll"]])
    polls.note(ended("poll", [["poll"]], "fail"))
    assert next(operations) == ("poll", [["poll"]])
    polls.note(ended("poll", [["poll", {"10": [[5, 3]]}]]))
    assert next(operations, None) is None


def test_a_client_that_is_replaced_gets_its_keys_again() -> None:
    """If a final poll has no reply, the client is replaced, and the new one also polls from the beginning."""
    polls = FinalPolls({"a": 5})
    operations = iter(polls)
    assert [next(operations)[0] for _ in range(3)] == ["crash", "assign", "poll"]
    polls.note(ended("poll", [["poll"]], "info"))
    assert [next(operations)[0] for _ in range(2)] == ["assign", "poll"]


def test_there_is_nothing_to_poll_at_the_end_if_nothing_was_sent() -> None:
    """Without messages, clients do not even crash."""
    assert list(FinalPolls({})) == []
