"""Histories of registers: operations that overlap no other, and histories at random."""

from __future__ import annotations

from collections.abc import Hashable
from random import Random
from typing import Any

import attrs

from support.histories import begin, ok, random_history, system_history
from trio_messenger.sim import History, Model


def write(process: int, value: Any, key: Any = "x") -> tuple[Any, ...]:
    return begin(process, "write", [key, value]), ok(process, [key, value])


def read(process: int, value: Any, key: Any = "x") -> tuple[Any, ...]:
    return begin(process, "read", [key, None]), ok(process, [key, value])


def cas(process: int, old: Any, new: Any, key: Any = "x") -> tuple[Any, ...]:
    return begin(process, "cas", [key, [old, new]]), ok(process, [key, [old, new]])


def choose(random: Random) -> tuple[str, Any]:
    key, value = random.choice("xxy"), random.randrange(2)
    f = random.choice(("read", "write", "cas"))
    return f, [key, None if f == "read" else value if f == "write" else [value, random.randrange(2)]]


def random_registers(seed: int) -> History:
    """Return a history in which anything may have been read."""
    random = Random(seed)

    def answer(f: str, value: Any) -> Any:
        return [value[0], random.choice((None, 0, 1))] if f == "read" else value

    return random_history(random, lambda: choose(random), answer, most=12)


def registers_of_a_system(seed: int) -> History:
    """Return a history of registers that are right; some requests take effect late, or never."""
    random = Random(seed)
    registers: dict[str, Any] = {}

    def apply(f: str, value: Any) -> Any:
        key, argument = value
        if f == "read":
            return [key, registers.get(key)]
        if f == "write":
            registers[key] = argument
        elif registers.get(key) == argument[0]:
            registers[key] = argument[1]
        return value

    calls = [call for call in (choose(random) for _ in range(6)) if call[0] != "cas"]
    return system_history(random, calls, ("read", ["x", None]), apply)


def cut(whole: History, model: Model, key: Hashable, end: int) -> History:
    """Return what happened to *key* before *end*; operations that fail, then or later, are left out."""
    happened = [each for each in whole.operations() if each.outcome != "fail" and model.key(each) == key]
    ops = [op for each in happened for op in (each.invocation, each.completion) if op is not None and op.index < end]
    ops.sort(key=lambda op: op.index)
    return History(attrs.evolve(op, index=index) for index, op in enumerate(ops))
