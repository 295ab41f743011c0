"""Benchmarks of the checkers: how long a search takes, and how far it gets within its budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
from bench.table import Case, Figures, Row
from support.busy_registers import busy_registers

from trio_messenger.sim import History
from trio_messenger.sim._checkers.lin_kv import lin_kv
from trio_messenger.sim._checkers.linearizability import SEARCH_BUDGET

HARD_BUDGET = 100_000
"""The budget for the history that uses it up: a tenth of the usual one, to save time."""

CHANGING = ("read", "write", "cas")
"""What each client does if none of them only reads."""


def _linearizability(size: float) -> Case:
    count = int(10_000 * size)
    histories: dict[str, Callable[[], History]] = {
        "10 clients": lambda: busy_registers(10, count, seed=1),
        "10 changing": lambda: busy_registers(10, count, seed=1, readers=0, writes=CHANGING),
        "25 clients": lambda: busy_registers(25, count, seed=1),
        "25 changing": lambda: busy_registers(25, count, seed=1, readers=0, writes=CHANGING),
        "25 clients, an error": lambda: _with_an_error(busy_registers(25, count, seed=1)),
        "25 values": lambda: busy_registers(25, count, seed=1, readers=0, writes=CHANGING, values=1_000),
    }
    title = f"linearizability of {count:,} operations"
    return Case(
        "linearizability",
        f"The checker of lin-kv judges {count:,} operations on one key, of clients that always have one in flight. "
        "Half of the clients only read, the others write or compare-and-set one of five values, as in the workload. "
        "*changing*: all clients read, write and compare-and-set. *an error*: a read near the end returns a value that "
        "nobody wrote. *1,000 values* instead of five: few operations have the same effect, so the search uses up its "
        f"budget, here {HARD_BUDGET:,} configurations; the figure is how many operations an order explains by then. "
        "The other figures are CPU time.",
        {name: partial(_judge, made) for name, made in histories.items()},
        [
            Row(f"{title}, 10 clients", "10 clients", unit="s", goals=(1,)),
            Row(f"{title}, 10 clients, changing", "10 changing", unit="s", goals=(1,)),
            Row(f"{title}, 25 clients", "25 clients", unit="s", goals=(3,)),
            Row(f"{title}, 25 clients, changing", "25 changing", unit="s"),
            Row(f"{title}, 25 clients, an error", "25 clients, an error", unit="s"),
            Row(f"{title}, 25 clients, 1,000 values: explained", "25 values", "explained", unit="operations"),
        ],
        max_rounds=2,
    )


def _with_an_error(history: History) -> History:
    """Return *history* with a wrong value in one of the last reads."""
    ops = list(history)
    wrong = max(op.index for op in ops[:-100] if op.type == "ok" and op.f == "read")
    ops[wrong] = attrs.evolve(ops[wrong], value=[0, 99])
    return History(ops)


def _judge(make: Callable[[], History]) -> Figures:
    history = make()
    budget = HARD_BUDGET if len({op.value[1] for op in history if op.f == "write"}) > 100 else SEARCH_BUDGET
    begun = time.process_time()
    [result] = lin_kv(history, budget=budget)["results"].values()
    return {"cpu": time.process_time() - begun, "explained": result.get("explained-count", result["count"])}


CASES: Final[dict[str, Callable[[float], Case]]] = {"linearizability": _linearizability}
"""Each makes a benchmark of that share of the operations of a full run."""
