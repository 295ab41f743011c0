"""Measure the checkers of transactions: `python tests/bench/transaction_speed.py`.

The histories are those of a correct database, made as the workloads make them, with 10 clients of which nearly all have
a transaction in flight. What counts is the CPU time of the check, and the peak of the memory of a process of its own,
which includes the history.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import attrs

from trio_messenger.sim._checkers.transactions.list_append import list_append
from trio_messenger.sim._checkers.transactions.rw_register import rw_register
from trio_messenger.sim._records.history import History, Op
from trio_messenger.sim._workloads.transaction_generator import TransactionOps, random_transactions

CLIENTS = 10


@attrs.frozen(kw_only=True)
class Load:
    """A load, and the goals that were set for it; None if there is no goal."""

    write: str
    transactions: int
    seconds: float | None = None
    megabytes: float | None = None

    @property
    def what(self) -> str:
        name = "txn-list-append" if self.write == "append" else "txn-rw-register"
        return f"{name}, {self.transactions:,} transactions"


LOADS = {
    "lists": Load(write="append", transactions=10_000, seconds=1.5),
    "many-lists": Load(write="append", transactions=50_000, seconds=8.0, megabytes=600.0),
    "registers": Load(write="w", transactions=10_000),
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    if arguments.alone:
        print(json.dumps(measure(LOADS[arguments.alone])))
        return 0
    for name, load in LOADS.items():
        command = [sys.executable, __file__, "--alone", name]
        seconds, megabytes = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        goals = [f"{load.seconds:g} s"] if load.seconds else []
        goals += [f"{load.megabytes:g} MB"] if load.megabytes else []
        print(f"{load.what}: {seconds:.2f} s, {megabytes:.0f} MB (goal: {', '.join(goals) or 'none'})", flush=True)
    return 0


def measure(load: Load) -> tuple[float, float]:
    """Return the seconds of CPU time of a check, and the megabytes of this process at the most."""
    history = correct_history(load.transactions, load.write)
    check = list_append if load.write == "append" else rw_register
    begun = time.process_time()
    results = check(history)
    seconds = time.process_time() - begun
    assert results["valid?"] is True
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def correct_history(count: int, write: str) -> History:
    """Return a history of *count* transactions that happen one after another, while their clients wait."""
    random = Random(1)
    generated = random_transactions(random, write)
    history = History()
    state: dict[int, Any] = {}
    asked: dict[int, TransactionOps] = {}
    done: dict[int, TransactionOps] = {}
    left = count
    while left or asked:
        client = random.randrange(CLIENTS)
        if client in done:
            asked.pop(client)
            note(history, "ok", client, done.pop(client))
        elif client in asked:
            done[client] = [carry_out(state, *operation) for operation in asked[client]]
        elif left:
            left -= 1
            asked[client] = next(generated)
            note(history, "invoke", client, asked[client])
    return history


def carry_out(state: dict[int, Any], f: str, key: int, value: Any) -> list[Any]:
    if f == "r":
        return [f, key, state.get(key)]
    state[key] = value if f == "w" else [*state.get(key, []), value]
    return [f, key, value]


def note(history: History, kind: Any, client: int, value: TransactionOps) -> None:
    index = len(history)
    history.append(Op(index=index, time=index, type=kind, process=client, f="txn", value=value))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="transaction_speed.py", description=__doc__)
    parser.add_argument("--alone", choices=LOADS, help="one load in this process; prints seconds and megabytes")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
