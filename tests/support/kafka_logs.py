"""Histories of kafka: written by hand in a line for each operation, or those of clients of correct logs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import attrs

from support.histories import MS, Event, begin, ok
from trio_messenger.sim._records.history import History, Op, OpType


def send(process: int, key: Any, message: Any, offset: int | None) -> tuple[Event, Event]:
    """*process* sends *message*, which gets *offset*, and that is all that happens meanwhile."""
    return begin(process, "send", [["send", key, message]]), ok(process, [["send", key, [offset, message]]])


def poll(process: int, **messages: list[Any]) -> tuple[Event, Event]:
    """*process* polls, and gets *messages*: by key, pairs of offset and message."""
    return begin(process, "poll", [["poll"]]), ok(process, [["poll", messages]])


def assign(process: int, *keys: Any) -> tuple[Event, Event]:
    """*process* polls *keys* from now on."""
    return begin(process, "assign", [*keys]), ok(process, [*keys])


def txn(process: int, *steps: Any, outcome: OpType = "ok") -> tuple[Event, Event]:
    """*process* does several sends and polls, given as they end; a poll is a dict."""
    done: list[Any] = [["poll", step] if isinstance(step, dict) else ["send", *step] for step in steps]
    begun = [["poll"] if step[0] == "poll" else ["send", step[1], step[2][1]] for step in done]
    return begin(process, "txn", begun), Event(type=outcome, process=process, value=done)


def on(node: str, events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The operation asks *node*."""
    return tuple(attrs.evolve(event, node=node) for event in events)


def finally_(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The operation belongs to the final phase."""
    return tuple(attrs.evolve(event, final=True) for event in events)


class Logs:
    """Logs that are as they should be, with a client for each of three workers, and chance in between.

    Offsets have gaps. Requests are refused, requests and replies are lost, or requests are late; clients crash, and
    choose other keys; at the end each worker polls everything.
    """

    WORKERS = 3

    def __init__(self, random: Random, calls: int) -> None:
        self.random = random
        self.history: list[Op] = []
        self.logs: dict[str, list[tuple[int, int]]] = {"a": [], "b": []}
        self._sent = 0
        self._committed: dict[str, int] = {}
        self._processes = list(range(self.WORKERS))
        self._positions: list[dict[str, int]] = [{} for _ in self._processes]
        self._late: list[tuple[str, int]] = []
        self._run(self._any_call, [calls // self.WORKERS] * self.WORKERS)
        while self._late:
            self._append(*self._late.pop())
        self._run(self._final_calls, [1] * self.WORKERS)

    def _run(self, call: Any, counts: list[int]) -> None:
        running: dict[int, Iterator[None]] = {}
        while any(counts) or running:
            if self._late and self.random.random() < 0.2:
                self._append(*self._late.pop(self.random.randrange(len(self._late))))
            worker = self.random.randrange(self.WORKERS)
            if worker in running:
                if next(running[worker], self) is self:
                    del running[worker]
            elif counts[worker]:
                counts[worker] -= 1
                running[worker] = call(worker)

    def _note(self, worker: int, kind: OpType, f: str, value: Any, *, final: bool = False) -> None:
        index, process = len(self.history), self._processes[worker]
        error = None if kind in ("invoke", "ok") else f"{kind} {f}"
        op = Op(
            index=index, time=index * MS, type=kind, process=process, f=f, value=value, error=error, final=final,
            node=f"n{worker}",
        )  # fmt: skip
        self.history.append(op)
        if kind == "info":
            self._processes[worker] += self.WORKERS
            self._positions[worker] = {}

    def _append(self, key: str, message: int) -> int:
        log = self.logs[key]
        offset = (log[-1][0] if log else -1) + self.random.choice((1, 1, 1, 2, 40))
        log.append((offset, message))
        return offset

    def _any_call(self, worker: int) -> Iterator[None]:
        draw = self.random.random()
        if draw < 0.45:
            self._sent += 1
            return self._send(worker, self.random.choice("ab"), self._sent)
        if draw < 0.85:
            return self._poll(worker)
        return self._crash(worker) if draw > 0.95 else self._assign(worker)

    def _send(self, worker: int, key: str, message: int) -> Iterator[None]:
        asked = [["send", key, message]]
        self._note(worker, "invoke", "send", asked)
        yield
        fate = self.random.choice(("ok",) * 6 + ("refused", "lost", "late", "unanswered"))
        if fate in ("refused", "lost", "late"):
            if fate == "late":
                self._late.append((key, message))
            self._note(worker, "fail" if fate == "refused" else "info", "send", asked)
            return
        offset = self._append(key, message)
        yield
        if fate == "ok":
            self._note(worker, "ok", "send", [["send", key, [offset, message]]])
        else:
            self._note(worker, "info", "send", asked)

    def _poll(self, worker: int, most: int = 3, *, final: bool = False) -> Iterator[None]:
        self._note(worker, "invoke", "poll", [["poll"]], final=final)
        yield
        positions = self._positions[worker]
        found = {}
        for key, position in positions.items():
            messages = [[offset, message] for offset, message in self.logs[key] if offset >= position]
            if messages or self.random.random() < 0.5:
                found[key] = messages[: self.random.randint(1, most)]
        yield
        if final or self.random.random() < 0.8:
            for key, messages in found.items():
                if messages:
                    positions[key] = self._committed[key] = messages[-1][0] + 1
            self._note(worker, "ok", "poll", [["poll", found]], final=final)
        else:
            self._note(worker, self.random.choice(("fail", "info")), "poll", [["poll"]], final=final)

    def _assign(self, worker: int) -> Iterator[None]:
        keys = self.random.sample("ab", self.random.randint(1, 2))
        self._note(worker, "invoke", "assign", keys)
        yield
        if self.random.random() < 0.1:
            self._note(worker, "fail", "assign", keys)
            return
        positions = self._positions[worker]
        self._positions[worker] = {key: positions.get(key, self._committed.get(key, 0)) for key in keys}
        self._note(worker, "ok", "assign", keys)

    def _crash(self, worker: int, *, final: bool = False) -> Iterator[None]:
        self._note(worker, "invoke", "crash", None, final=final)
        yield
        self._note(worker, "info", "crash", None, final=final)

    def _final_calls(self, worker: int) -> Iterator[None]:
        yield from self._crash(worker, final=True)
        self._note(worker, "invoke", "assign", ["a", "b"], final=True)
        yield
        self._positions[worker] = {"a": 0, "b": 0}
        self._note(worker, "ok", "assign", ["a", "b"], final=True)
        while any(log and log[-1][0] >= self._positions[worker][key] for key, log in self.logs.items()):
            yield from self._poll(worker, 5, final=True)


def logs_history(seed: int, calls: int = 24) -> History:
    """Return a history of clients of correct logs."""
    return History(Logs(Random(seed), calls).history)
