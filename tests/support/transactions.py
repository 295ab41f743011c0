"""Histories of transactions: written in letters, made at random, and judged by trying all orders."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeAlias

import attrs

from support.histories import Event, begin, fail, history, info, ok
from trio_messenger.sim._records.history import History, Op, Operation

Mops: TypeAlias = list[list[Any]]
"""The operations of a transaction."""

Order: TypeAlias = Callable[[Operation, Operation], bool]
"""Whether one operation has to come before another."""


def appends(text: str) -> Mops:
    """Return a transaction of lists: ``ax1 rx12 ry`` appends 1 to x, reads 1 and 2 from x, and nothing from y."""
    return [
        ["append", key, int(digits)] if f == "a" else ["r", key, [int(digit) for digit in digits] or None]
        for f, key, digits in re.findall(r"([ar])([a-z])(\d*)", text)
    ]


def writes(text: str) -> Mops:
    """Return a transaction of registers: ``wx1 rx1 ry`` writes 1 to x, reads 1 from x, and nothing from y."""
    return [[f, key, int(digits) if digits else None] for f, key, digits in re.findall(r"([wr])([a-z])(\d*)", text)]


def asked(mops: Mops) -> Mops:
    """Return *mops* as a client asks for them: without the values read."""
    return [[f, key, None if f == "r" else value] for f, key, value in mops]


def starts(process: int, mops: Mops) -> Event:
    """*process* begins a transaction."""
    return begin(process, "txn", asked(mops))


def alone(process: int, mops: Mops) -> tuple[Event, Event]:
    """*process* runs a transaction, and that is all that happens meanwhile."""
    return starts(process, mops), ok(process, mops)


def together(*transactions: Mops) -> History:
    """Return a history in which all *transactions* are ok, and run at the same time."""
    return history(
        *(starts(process, mops) for process, mops in enumerate(transactions)),
        *(ok(process, mops) for process, mops in enumerate(transactions)),
    )


def sequence(*transactions: Mops) -> History:
    """Return a history in which different processes run *transactions*, one after the other."""
    return history(*(alone(process, mops) for process, mops in enumerate(transactions)))


@attrs.frozen
class Spelled:
    """Histories of transactions that *spell* turns from letters into operations: `appends` or `writes`."""

    spell: Callable[[str], Mops]

    def at_once(self, *texts: str) -> History:
        """Return a history in which transactions run at the same time, so that only data can order them."""
        return together(*map(self.spell, texts))

    def one_by_one(self, *texts: str) -> History:
        """Return a history in which transactions run one after another, in different processes."""
        return sequence(*map(self.spell, texts))

    def good(self, process: int, text: str) -> tuple[Event, Event]:
        """*process* runs a transaction, which is ok."""
        return alone(process, self.spell(text))

    def failed(self, process: int, text: str) -> tuple[Event, Event]:
        """*process* runs a transaction, which fails."""
        return starts(process, self.spell(text)), fail(process)

    def unknown(self, process: int, text: str) -> tuple[Event, Event]:
        """*process* runs a transaction with an unknown outcome."""
        return starts(process, self.spell(text)), info(process)

    def during(self, *events: Any) -> tuple[Event, ...]:
        """Return *events* that happen while other transactions run, which the last one gives by their processes."""
        *inner, outer = events
        mops = {process: self.spell(text) for process, text in outer.items()}
        begins = [starts(process, each) for process, each in mops.items()]
        return (*begins, *itertools.chain(*inner), *(ok(process, each) for process, each in mops.items()))


# All orders


def in_real_time(first: Operation, second: Operation) -> bool:
    """Tell whether *first* ended as ok before *second* began."""
    end = first.completion
    return end is not None and end.type == "ok" and end.index < second.invocation.index


def in_session(first: Operation, second: Operation) -> bool:
    """Tell whether the same process ran *first* before *second*."""
    return first.invocation.process == second.invocation.process and in_real_time(first, second)


def unordered(first: Operation, second: Operation) -> bool:
    """No order is demanded."""
    return False


def run(state: dict[Any, Any], mops: Mops) -> Mops:
    """Carry out a transaction on *state*, and return it with the values read."""
    done: Mops = []
    for f, key, value in mops:
        if f == "append":
            state[key] = [*state.get(key, []), value]
        elif f == "w":
            state[key] = value
        done.append([f, key, state.get(key) if f == "r" else value])
    return done


def same_reads(one: Mops, other: Mops) -> bool:
    """Tell whether two transactions read the same; an empty list is the same as nothing."""
    return [value or None for _, _, value in one] == [value or None for _, _, value in other]


def some_order_explains(whole: History, order: Order) -> bool:
    """Tell whether the transactions could have happened one after another, in an order that *order* allows.

    Tries all of them. Those that failed did not happen; those with an unknown outcome may have.
    """
    operations = [each for each in whole.operations("txn") if each.outcome != "fail"]

    def extend(waiting: list[Operation], state: dict[Any, Any]) -> bool:
        if all(each.outcome == "info" for each in waiting):
            return True
        for index, each in enumerate(waiting):
            others = waiting[:index] + waiting[index + 1 :]
            if any(order(other, each) for other in others):
                continue
            after = dict(state)
            done = run(after, each.invocation.value)
            is_right = each.completion is None or each.outcome == "info" or same_reads(done, each.completion.value)
            if is_right and extend(others, after):
                return True
        return False

    return extend(operations, {})


def some_snapshots_explain(whole: History) -> bool:
    """Tell whether the transactions could have run under snapshot isolation, by trying all orders of their events.

    A transaction reads from the state at its snapshot, and from its own writes. Its writes take effect when it commits.
    Of two transactions that write the same key, one commits before the snapshot of the other.
    """
    operations = [each for each in whole.operations("txn") if each.outcome == "ok"]
    mops = [each.completion.value for each in operations if each.completion is not None]
    keys = [{key for f, key, _ in each if f != "r"} for each in mops]

    def extend(snapshots: dict[int, dict[Any, Any]], done: frozenset[int], state: dict[Any, Any]) -> bool:
        if len(done) == len(mops):
            return True
        for number, each in enumerate(mops):
            if number in done:
                continue
            if number in snapshots:
                others = {k: v for k, v in snapshots.items() if k != number}
                after = dict(state)
                for f, key, value in each:
                    if f != "r":
                        run(after, [[f, key, value]])
                if any(keys[number] & keys[other] for other in others):
                    continue
                if extend(others, done | {number}, after):
                    return True
            elif same_reads(run(dict(state), asked(each)), each):
                if any(keys[number] & keys[other] for other in snapshots):
                    continue
                if extend({**snapshots, number: state}, done, state):
                    return True
        return False

    return extend({}, frozenset(), {})


def orders_are_known(whole: History) -> bool:
    """Tell whether reads show the order of all appends but for one of each key, which is the last one then."""
    appended, seen = dict[Any, int](), dict[Any, int]()
    for each in whole.operations("txn"):
        for f, key, _ in each.invocation.value:
            appended[key] = appended.get(key, 0) + (f != "r")
        for f, key, value in each.completion.value if each.completion is not None else ():
            if f == "r":
                seen[key] = max(seen.get(key, 0), len(value or ()))
    return all(count - seen.get(key, 0) <= 1 for key, count in appended.items())


# At random


class WrongDatabase:
    """A database of two keys that carries out some transactions wrongly."""

    def __init__(self, random: Random, write: str, trouble: float, *, reads_first: bool) -> None:
        self.random = random
        self.write = write
        self.trouble = trouble
        self.reads_first = reads_first
        self.state: dict[Any, Any] = {}
        self.versions: list[dict[Any, Any]] = [{}]
        self.counts = {"x": 0, "y": 0}

    def transaction(self) -> Mops:
        """Return a transaction to carry out."""
        mops: Mops = []
        for _ in range(self.random.randint(1, 3)):
            key = self.random.choice("xy")
            is_new = not any(each[1] == key for each in mops)
            if self.random.random() < 0.5:
                mops.append(["r", key, None])
                continue
            if self.reads_first and is_new:
                mops.append(["r", key, None])
            self.counts[key] += 1
            mops.append([self.write, key, self.counts[key]])
        return mops

    def carry_out(self, mops: Mops, done: Mops, *, is_refused: bool) -> Iterator[None]:
        """Carry out *mops*, yielding where others may come in between; put what was read into *done*."""
        is_wrong = self.random.random() < self.trouble
        if is_refused and not is_wrong:
            return
        if is_wrong and self.random.random() < 0.5:  # reads from an earlier state
            done += run(dict(self.random.choice(self.versions)), mops)
            run(self.state, [each for each in mops if each[0] != "r"])
        else:
            for each in mops:
                done += run(self.state, [each])
                if is_wrong:
                    yield
        self.versions.append(dict(self.state))


def random_transaction_history(
    random: Random,
    write: str,
    *,
    most: int = 6,
    trouble: float = 0.5,
    reliable: bool = False,
    reads_first: bool = False,
) -> History:
    """Return a small history of a database that is often wrong.

    Args:
      random: All chance.
      write: ``append`` or ``w``.
      most: Transactions at the most.
      trouble: How likely a transaction is to be carried out wrongly.
      reliable: Whether all transactions are ok.
      reads_first: Whether each transaction reads every key before it writes to it.
    """
    database = WrongDatabase(random, write, trouble, reads_first=reads_first)
    events: list[Event] = []
    processes = [0, 1, 2]
    running: dict[int, Iterator[None]] = {}
    left = random.randint(1, most)

    def perform(worker: int) -> Iterator[None]:
        mops, done, process = database.transaction(), list[list[Any]](), processes[worker]
        events.append(begin(process, "txn", mops))
        yield
        fate = "ok" if reliable else random.choice(("ok",) * 7 + ("fail", "info", "lost"))
        yield from database.carry_out(mops, done, is_refused=fate in ("fail", "lost"))
        events.append(ok(process, done) if fate == "ok" else fail(process) if fate == "fail" else info(process))
        processes[worker] += 0 if fate in ("ok", "fail") else 3

    while left or running:
        worker = random.randrange(3)
        if worker not in running and left:
            running[worker] = perform(worker)
            left -= 1
        if worker in running and next(running[worker], running) is running:
            del running[worker]
    return history(*events)


def op_texts(ops: Sequence[Op]) -> str:
    """Return a history in lines, for the messages of failing tests."""
    return "\n".join(f"{op.index} {op.type} {op.process} {op.value}" for op in ops)
