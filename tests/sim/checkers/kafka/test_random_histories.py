"""The checker of kafka on random histories: of correct logs, with one fault each, and of any kind."""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeAlias

import attrs
import pytest
from support.histories import checked, random_history
from support.kafka_logs import logs_history

from trio_messenger.sim._checkers.kafka.checker import kafka
from trio_messenger.sim._records.history import History, Op


@pytest.mark.parametrize("seed", range(40))
def test_correct_logs_are_valid(seed: int) -> None:
    """Lost replies, late requests, gaps, crashes and assignments are no errors."""
    found = checked(kafka(logs_history(seed)))
    assert found["error-types"] == []


# Faults: each changes a history of correct logs

Messages: TypeAlias = list[list[Any]]
"""Pairs of offset and message."""


class Edit:
    """A history of correct logs, to be changed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ops = [copy.deepcopy(op) for op in logs_history(seed, 40)]
        self.key = self.random.choice("ab")

    def polls(self, *, final: bool = False) -> list[tuple[Op, Messages]]:
        """Return the ok polls that returned something of the key, with what it was."""
        found = [
            (op, op.value[0][1].get(self.key))
            for op in self.ops
            if op.f == "poll" and op.type == "ok" and op.final >= final
        ]
        return [(op, messages) for op, messages in found if messages]

    def log(self) -> Messages:
        """Return the messages of the key, which the final polls all saw."""
        return [list(pair) for pair in sorted({tuple(pair) for _, messages in self.polls() for pair in messages})]

    def extend(self, *messages: list[Any]) -> None:
        """Let the final polls return *messages* after the end of the log."""
        for messages_of_poll in [found for _, found in self.polls(final=True) if found[-1] == self.log()[-1]]:
            messages_of_poll.extend(messages)

    def sends(self) -> list[Op]:
        """Return the ok sends to the key."""
        return [op for op in self.ops if op.f == "send" and op.type == "ok" and op.value[0][1] == self.key]

    def replace(self, old: Op, **fields: Any) -> None:
        """Change an operation."""
        self.ops = [attrs.evolve(op, **fields) if op is old else op for op in self.ops]

    def precede(self, process: int, f: str, asked: Any, done: Any) -> None:
        """Put an operation at the beginning."""
        op = Op(index=0, time=0, type="invoke", process=process, f=f, value=asked)
        self.ops = [op, attrs.evolve(op, type="ok", value=done), *self.ops]

    def precede_with_sends(self, process: int, *messages: list[Any]) -> None:
        """Put an operation at the beginning that sends these messages, given with the offsets they get."""
        asked = [["send", self.key, message] for _, message in messages]
        done = [["send", self.key, pair] for pair in messages]
        self.precede(process, "send" if len(messages) == 1 else "txn", asked, done)

    def following(self) -> Iterator[tuple[Messages, Messages]]:
        """Yield what two successive polls of a process returned, without an assignment in between."""
        last: dict[int, Messages] = {}
        found = {id(op): messages for op, messages in self.polls()}
        for op in self.ops:
            if op.f == "assign" and op.type == "ok" and self.key not in op.value:
                last.pop(op.process, None)
            if id(op) in found:
                if op.process in last:
                    yield last[op.process], found[id(op)]
                last[op.process] = found[id(op)]

    def history(self) -> History:
        """Return the history as it is now."""
        return History(attrs.evolve(op, index=index, time=index * 1_000_000) for index, op in enumerate(self.ops))


def same_offset(edit: Edit) -> None:
    """Give a new message the offset of an old one, and let a poll return it."""
    offset, _ = pair = edit.random.choice(edit.log())
    places = [messages for _, messages in edit.polls() if pair in messages]
    poll = edit.random.choice(places)
    poll[poll.index(pair)] = [offset, "new"]
    edit.precede_with_sends(1000, [offset, "new"])


def second_offset(edit: Edit) -> None:
    """Let a poll return a message again at the end of the log."""
    edit.extend([edit.log()[-1][0] + 1, edit.random.choice(edit.log())[1]])


def invention(edit: Edit) -> None:
    """Let a poll return a message that nobody sent."""
    edit.extend([edit.log()[-1][0] + 1, "new"])


def aborted(edit: Edit) -> None:
    """Refuse a send that takes effect."""
    op = edit.random.choice(edit.sends())
    edit.replace(op, type="fail", value=[["send", edit.key, op.value[0][2][1]]])


def own_message(edit: Edit) -> None:
    """Let an operation poll what it sends."""
    op, messages = edit.random.choice(edit.polls(final=True))
    edit.replace(op, f="txn", value=[["send", edit.key, messages[0]], *op.value])
    begun = next(each for each in reversed(edit.ops[: op.index]) if each.process == op.process)
    edit.replace(begun, f="txn", value=[["send", edit.key, messages[0][1]], ["poll"]])


def loss(edit: Edit) -> None:
    """Let no poll return the first message of the log, which was acknowledged."""
    first = edit.log()[0]
    assert len(edit.log()) > 1
    assert any(op.value[0][2] == first for op in edit.sends())
    for _, messages in edit.polls():
        if first in messages:
            messages.remove(first)


def end_missing(edit: Edit) -> None:
    """Let the final polls of one node end before the last message, which polls of the other nodes return."""
    end, node = edit.log()[-1], edit.random.choice(("n0", "n1", "n2"))
    polls = edit.polls(final=True)
    assert any(op.node != node and end in messages for op, messages in polls)
    op, messages = next((op, messages) for op, messages in polls if op.node == node and messages[-1] == end)
    assert len(messages) > 1
    del messages[-1]
    edit.ops.append(attrs.evolve(op, type="invoke", value=[["poll"]]))
    edit.ops.append(attrs.evolve(op, value=[["poll", {}]]))


def foresight(edit: Edit) -> None:
    """Send a message only after the history, although polls returned it."""
    _send_later(edit, process=1000)


def foresight_of_its_own(edit: Edit) -> None:
    """Let the process that polled a message last send it only after that."""
    reader = next(op for op, messages in reversed(edit.polls()) if edit.log()[-1] in messages)
    _send_later(edit, process=reader.process)


def _send_later(edit: Edit, process: int) -> None:
    end = next(op for op in edit.sends() if op.value[0][2] == edit.log()[-1])
    begun = next(op for op in reversed(edit.ops[: end.index]) if op.process == end.process)
    edit.ops = [op for op in edit.ops if op is not begun and op is not end]
    edit.ops += [attrs.evolve(op, process=process, final=False) for op in (begun, end)]


def late_send(edit: Edit) -> None:
    """Acknowledge a message that no poll returns."""
    edit.precede_with_sends(1000, [edit.log()[-1][0] + 1, "new"])


def gap(edit: Edit) -> None:
    """Leave out a message of a poll, neither the first nor the last one."""
    messages = edit.random.choice([messages for _, messages in edit.polls() if len(messages) > 2])
    del messages[edit.random.randrange(1, len(messages) - 1)]


def repetition(edit: Edit) -> None:
    """Let a poll return its last message twice."""
    _, messages = edit.random.choice(edit.polls())
    messages.append(messages[-1])


def gap_between(edit: Edit) -> None:
    """Leave out the first message of a poll that continues another one."""
    del edit.random.choice([second for _, second in edit.following() if len(second) > 1])[0]


def repetition_between(edit: Edit) -> None:
    """Let a poll begin with the last message of the one that it continues."""
    first, second = edit.random.choice(list(edit.following()))
    second.insert(0, first[-1])


def sends_swapped(edit: Edit) -> None:
    """Send two messages one after the other, and let the second one get the lower offset."""
    end = edit.log()[-1][0]
    edit.extend([end + 1, "new"], [end + 3, "newer"])
    edit.precede_with_sends(1000, [end + 1, "new"])
    edit.precede_with_sends(1000, [end + 3, "newer"])


def sends_swapped_within(edit: Edit) -> None:
    """Send two messages in one operation, and let the second one get the lower offset."""
    end = edit.log()[-1][0]
    edit.extend([end + 1, "new"], [end + 3, "newer"])
    edit.precede_with_sends(1000, [end + 3, "newer"], [end + 1, "new"])


def sends_with_a_gap(edit: Edit) -> None:
    """Let the offset of another message be between those of two messages of one operation."""
    end = edit.log()[-1][0]
    edit.extend([end + 1, "new"], [end + 2, "other"], [end + 3, "newer"])
    edit.precede_with_sends(1000, [end + 1, "new"], [end + 3, "newer"])
    edit.precede_with_sends(1001, [end + 2, "other"])


FAULTS: dict[Callable[[Edit], None], set[str]] = {
    same_offset: {"inconsistent-offsets"},
    second_offset: {"duplicate"},
    invention: {"unexpected"},
    aborted: {"G1a"},
    own_message: {"precommitted-read"},
    loss: {"lost-write", "unseen"},  # a lost message is also an unseen one
    foresight: {"G1c-realtime"},
    foresight_of_its_own: {"G1c-process"},
    late_send: {"unseen"},
    end_missing: {"missing"},
    gap: {"int-poll-skip"},
    repetition: {"int-nonmonotonic-poll"},
    gap_between: {"poll-skip"},
    repetition_between: {"nonmonotonic-poll"},
    sends_swapped: {"nonmonotonic-send"},
    sends_swapped_within: {"int-nonmonotonic-send"},
    sends_with_a_gap: {"int-send-skip"},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_and_nothing_else(fault: Callable[[Edit], None]) -> None:
    """Each kind of fault gives exactly its type of error, in histories of all shapes that allow it."""
    judged = 0
    for seed in itertools.count():
        edit = Edit(seed)
        try:
            fault(edit)
        except (AssertionError, IndexError, StopIteration):  # the history has no place for the fault
            continue
        found = checked(kafka(edit.history()))
        assert {*found["error-types"]} == FAULTS[fault], seed
        assert found["valid?"] is (fault is sends_with_a_gap)
        judged += 1
        if judged == 6:
            return


# Brute force: histories of any kind, and a definition of "valid" in other words

KEYS = "xy"


def any_history(random: Random) -> History:
    """Return a short history of clients of logs that are usually, but not always, correct."""
    fresh = itertools.count(1)
    logs: dict[str, Messages] = {key: [] for key in KEYS}

    def choose() -> tuple[str, Any]:
        f = random.choice(("send", "send", "poll", "poll", "assign"))
        if f == "send":
            return f, [["send", random.choice(KEYS), next(fresh)]]
        return (f, [["poll"]]) if f == "poll" else (f, random.sample(KEYS, random.randint(1, 2)))

    def answer(f: str, value: Any) -> Any:
        if f == "send":
            _, key, message = value[0]
            offset = len(logs[key]) if random.random() < 0.9 else random.randrange(4)
            known = [pair for pair in logs[key] if pair[1] == message]
            if not known:
                logs[key].append([offset, message])
            return [["send", key, [*known, [offset, message]][0]]]
        if f == "poll":
            if random.random() < 0.05:  # a message that may be sent later, by chance to this key
                key = random.choice(KEYS)
                logs[key].append([len(logs[key]), next(copy.copy(fresh))])
            return [["poll", {key: log[start:end] for key, log in logs.items() if log
                              for start in [random.randrange(len(log)) if random.random() < 0.3 else 0]
                              for end in [len(log) + 1 if random.random() < 0.7 else start + 1]}]]  # fmt: skip
        return value

    return random_history(random, choose, answer, random.choice((8, 16, 30)))


def is_explained(history: History) -> bool:
    """Tell whether logs explain *history*: each client reads slices of them, in order, and all messages are read."""
    ends = [op for op in history if op.type != "invoke"]
    polls = [op for op in ends if op.f == "poll" and op.type == "ok"]
    for key in KEYS:
        sent = [op for op in ends if op.f == "send" and op.value[0][1] == key]
        acknowledged = [op.value[0][2] for op in sent if op.type == "ok"]
        refused = [op.value[0][2] for op in sent if op.type == "fail"]
        begun = {
            op.value[0][2]: op.index
            for op in history
            if op.type == "invoke" and op.f == "send" and op.value[0][1] == key
        }
        read = [pair for op in polls for pair in op.value[0][1].get(key, [])]
        log = sorted({*map(tuple, acknowledged), *map(tuple, read)})
        offsets, messages = [offset for offset, _ in log], [message for _, message in log]
        if len({*offsets}) < len(log) or len({*messages}) < len(log):
            return False
        if any(message in refused or message not in begun for _, message in read) or any(
            begun[message] > op.index for op in polls for _, message in op.value[0][1].get(key, [])
        ):
            return False
        if any(pair not in read for pair in acknowledged):
            return False
        for stretch in stretches(history, key):
            start = log.index(stretch[0])
            if log[start : start + len(stretch)] != stretch:
                return False
        for offsets_of_process in offsets_of_sends(history, key, log):
            if offsets_of_process != sorted(offsets_of_process):
                return False
    return True


def stretches(history: History, key: str) -> list[list[tuple[int, Any]]]:
    """Return what each process polled from *key* in a row, between assignments of other keys."""
    found: defaultdict[tuple[int, int], list[tuple[int, Any]]] = defaultdict(list)
    epochs: defaultdict[int, int] = defaultdict(int)
    for op in history:
        if op.f == "assign" and op.type in ("ok", "info") and key not in op.value:
            epochs[op.process] += 1
        if op.f == "poll" and op.type == "ok":
            found[op.process, epochs[op.process]] += map(tuple, op.value[0][1].get(key, []))
    return [stretch for stretch in found.values() if stretch]


def offsets_of_sends(history: History, key: str, log: list[tuple[int, Any]]) -> list[list[int]]:
    """Return the offsets that each process got for *key* in a row, as far as they are known."""
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    epochs: defaultdict[int, int] = defaultdict(int)
    places = {message: offset for offset, message in log}
    for op in history:
        if op.f == "assign" and op.type in ("ok", "info") and key not in op.value:
            epochs[op.process] += 1
        if op.f == "send" and op.type in ("ok", "info") and op.value[0][1] == key:
            message = op.value[0][2][1] if op.type == "ok" else op.value[0][2]
            if message in places:
                found[op.process, epochs[op.process]].append(places[message])
    return list(found.values())


def test_brute_force() -> None:
    """The verdict is the same as that of a definition without version orders, on histories of any kind."""
    occurred = {True: 0, False: 0}
    for seed in range(500):
        history = any_history(Random(seed))
        expected = is_explained(history)
        assert kafka(history)["valid?"] is expected, seed
        occurred[expected] += 1
    assert min(occurred.values()) > 50
