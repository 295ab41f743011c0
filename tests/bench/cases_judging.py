"""Benchmarks of the checkers: how long a search takes, and how far it gets within its budget."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
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
        "The other figures are CPU time. *of a run*: the history of a simulated run with 13 nodes and 26 clients, as "
        "the workload makes it.",
        {
            **{name: partial(_judge, made) for name, made in histories.items()},
            "a run": partial(_judge_alone, "a run", size),
        },
        [
            Row(f"{title}, 10 clients", "10 clients", unit="s", goals=(1,)),
            Row(f"{title}, 10 clients, changing", "10 changing", unit="s", goals=(1,)),
            Row(f"{title}, 25 clients", "25 clients", unit="s", goals=(3,)),
            Row(f"{title}, 25 clients, changing", "25 changing", unit="s"),
            Row(f"{title}, 25 clients, an error", "25 clients, an error", unit="s"),
            Row(f"{title}, 26 clients, of a run", "a run", unit="s", goals=(3,)),
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


def _transactions(size: float) -> Case:
    lists, many_lists = (f"{count * size:,.0f} list-append transactions" for count in (10_000, 50_000))
    return Case(
        "transactions",
        "The checkers of txn-list-append and txn-rw-register judge a correct history of 10 clients, of which nearly "
        "all have a transaction in flight. CPU time of the check, and the peak RSS of the process with the history.",
        {name: partial(_judge_alone, name, size) for name in ("lists", "many lists", "registers")},
        [
            Row(lists, "lists", unit="s", goals=(1.5,)),
            Row(many_lists, "many lists", unit="s", goals=(8,)),
            Row(f"{many_lists}: RSS", "many lists", "memory", unit="MB", goals=(600,)),
            Row(f"{10_000 * size:,.0f} rw-register transactions", "registers", unit="s"),
        ],
        max_rounds=2,
    )


def _logs(size: float) -> Case:
    title = f"kafka, a run of {10_000 * size:,.0f} operations"
    return Case(
        "logs",
        "The checker of kafka judges the history of a simulated run of five nodes. CPU time of the check, and the peak "
        "RSS of the process, which has made that run.",
        {"logs": partial(_judge_alone, "logs", size)},
        [Row(title, "logs", unit="s"), Row(f"{title}: RSS", "logs", "memory", unit="MB")],
        max_rounds=2,
    )


def _judge_alone(name: str, size: float) -> Figures:
    """Judge in a process of its own, whose memory is that of the history and of the check."""
    command = [sys.executable, str(Path(__file__).with_name("judging_alone.py")), name, str(size)]
    figures: Figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


CASES: Final[dict[str, Callable[[float], Case]]] = {
    "linearizability": _linearizability,
    "transactions": _transactions,
    "logs": _logs,
}
"""Each makes a benchmark of that share of the operations of a full run."""
