"""Histories for the checkers: written by hand in a line for each event, made at random, or by simulated clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeAlias, TypeVar

import attrs

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._records.history import History, Op, OpType

MS = 1_000_000
"""Nanoseconds in a millisecond."""


@attrs.frozen(kw_only=True)
class Event:
    """An operation begins or ends. What is left out follows from what was before."""

    type: OpType
    process: int
    f: str = ""
    value: Any = None
    error: str | None = None
    final: bool = False
    at: float | None = None
    node: str | None = None
    audit: bool = False


Events: TypeAlias = Event | tuple[Event, ...]
"""One or more events."""

Found = TypeVar("Found")
"""What a checker returns."""


def begin(
    process: int, f: str, value: Any = None, *, at: float | None = None, final: bool = False, node: str | None = None
) -> Event:
    """*process* begins an operation, *at* this millisecond; by default one after the event before it."""
    return Event(type="invoke", process=process, f=f, value=value, at=at, final=final, node=node)


def ok(process: int, value: Any = None, *, at: float | None = None) -> Event:
    """The operation of *process* ends well, with *value*."""
    return Event(type="ok", process=process, value=value, at=at)


def fail(process: int, error: str = "refused", *, at: float | None = None) -> Event:
    """The operation of *process* has surely not happened."""
    return Event(type="fail", process=process, error=error, at=at)


def info(process: int, error: str = "no reply", *, at: float | None = None) -> Event:
    """Nobody knows what became of the operation of *process*."""
    return Event(type="info", process=process, error=error, at=at)


def add(process: int, value: Any, f: str = "add") -> tuple[Event, Event]:
    """*process* adds *value*, and that is all that happens meanwhile."""
    return begin(process, f, value), ok(process, value)


def read(process: int, value: Any, *, final: bool = False) -> tuple[Event, Event]:
    """*process* reads *value*, and that is all that happens meanwhile."""
    return begin(process, "read", final=final), ok(process, value)


def audits(**values: Any) -> tuple[Event, ...]:
    """All nodes named are read at the same time, in a round of the audit; *values* is what each one answers."""
    started = [
        Event(type="invoke", process=100 + number, f="read", final=True, node=node, audit=True)
        for number, node in enumerate(values)
    ]
    return (*started, *(ok(100 + number, value) for number, value in enumerate(values.values())))


def history(*events: Events) -> History:
    """Return the history of *events*."""
    made = History()
    begun: dict[int, Event] = {}
    time = -MS
    for each in events:
        for event in each if isinstance(each, tuple) else (each,):
            time = time + MS if event.at is None else round(event.at * MS)
            if event.type == "invoke":
                begun[event.process] = event
                first = event
            else:
                first = begun.pop(event.process)
            made.append(
                Op(
                    index=len(made),
                    time=time,
                    type=event.type,
                    process=event.process,
                    f=first.f,
                    value=first.value if event.type in ("fail", "info") and event.value is None else event.value,
                    error=event.error,
                    final=first.final,
                    node=first.node,
                    audit=first.audit,
                )
            )
    return made


def checked(results: Results) -> Results:
    """Return *results*, after asserting that they survive being written as strict JSON, and read again."""
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    return results


def checking(checker: Callable[[History], Found]) -> Callable[..., Found]:
    """Return a function of events that returns what *checker* finds in the history made of them."""

    def check(*events: Events) -> Found:
        found = checker(history(*events))
        if isinstance(found, dict):
            checked(found)
        return found

    return check


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same, ``1``, ``1.0`` and ``true`` being three."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def pairs(of: History) -> Iterator[tuple[Op, Op | None]]:
    """Yield each beginning with its end, found by looking from it onwards for the next word of its process."""
    ops = list(of)
    for op in ops:
        if op.type == "invoke":
            yield op, next((end for end in ops[op.index + 1 :] if end.process == op.process), None)


# Histories at random, in which anything may happen


def random_history(
    random: Random,
    choose: Callable[[], tuple[str, Any]],
    answer: Callable[[str, Any], Any],
    most: int = 14,
    *,
    has_nodes: bool = False,
) -> History:
    """Return up to *most* events of up to three clients at a time.

    Args:
      random: All chance.
      choose: Returns the function and the value of an operation.
      answer: Returns the value of an operation that is ok, given these two.
      most: Events at the most.
      has_nodes: Whether the history says which node was asked; each client has one of its own.
    """
    made = History()
    workers = random.randint(1, 3)
    processes = list(range(workers))
    begun: dict[int, Op] = {}
    time = 0
    for index in range(random.randint(0, most)):
        time += random.choice((0, 1, MS // 2, MS, 3 * MS))
        worker = random.randrange(workers)
        first = begun.pop(worker, None)
        if first is None:
            f, value = choose()
            op = Op(index=index, time=time, type="invoke", process=processes[worker], f=f, value=value)
            begun[worker] = op = attrs.evolve(op, final=random.random() < 0.5, node=f"n{worker}" if has_nodes else None)
        else:
            outcome: OpType = random.choice(("ok", "ok", "ok", "ok", "fail", "info"))
            value = answer(first.f, first.value) if outcome == "ok" else first.value
            error = None if outcome == "ok" else "went wrong"
            op = attrs.evolve(first, index=index, time=time, type=outcome, value=value, error=error)
            if outcome == "info":
                processes[worker] += workers
        made.append(op)
    return made


# Histories of a system: one state, on which operations take effect at some moment while their clients wait


def system_history(
    random: Random,
    calls: Sequence[tuple[str, Any]],
    last: tuple[str, Any],
    apply: Callable[[str, Any], Any],
    *,
    reliable: bool = False,
) -> History:
    """Return the history of clients of a system.

    Unless it is *reliable*, requests are refused, and requests and replies lost, or late, some until after the end.

    Args:
      random: All chance.
      calls: Functions and values of the operations.
      last: What each client does at the end.
      apply: Carries out an operation at once; returns the value it is ok with.
      reliable: Whether all operations are ok.
    """
    made = History()
    late: list[tuple[str, Any]] = []

    def note(kind: OpType, process: int, f: str, value: Any, final: bool) -> None:
        made.append(Op(index=len(made), time=len(made) * MS, type=kind, process=process, f=f, value=value, final=final))

    def perform(process: int, f: str, value: Any, final: bool) -> Iterator[bool]:
        """Perform an operation, a step at a time; yield whether its process can go on."""
        note("invoke", process, f, value, final)
        yield True
        fate = "ok" if reliable else random.choice(("ok",) * 6 + ("refused", "lost", "late", "unanswered"))
        if fate in ("ok", "unanswered"):
            value = apply(f, value)
            yield True
        elif fate == "late":
            late.append((f, value))
        kind: OpType = "ok" if fate == "ok" else "fail" if fate == "refused" else "info"
        note(kind, process, f, value, final)
        yield kind != "info"

    workers = 3
    processes = list(range(workers))
    for phase in (calls, [last] * workers):
        waiting, running = list(phase), dict[int, Iterator[bool]]()
        while waiting or running:
            if late and random.random() < 0.2:
                apply(*late.pop(random.randrange(len(late))))
            worker = random.randrange(workers)
            if worker not in running and waiting:
                f, value = waiting.pop(0)
                running[worker] = perform(processes[worker], f, value, phase is not calls)
            if worker in running:
                can_go_on = next(running[worker], None)
                if can_go_on is None:
                    del running[worker]
                elif not can_go_on:
                    processes[worker] += workers
    return made
