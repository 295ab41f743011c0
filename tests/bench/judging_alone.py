"""Judge one history in a process whose memory is its own: `python judging_alone.py NAME SIZE` prints JSON.

The histories of transactions are those of a correct database, made as the workloads make them, with 10 clients of which
nearly all have a transaction in flight. The other two come from simulated runs of ready-made nodes. The figures are the
CPU time of the check, the peak of the memory of the process, which includes the history, and how many operations have
ended.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import attrs

from trio_messenger.nodes import kafka, lin_kv_proxy
from trio_messenger.sim import History, Op, simulate
from trio_messenger.sim._checkers.kafka.checker import kafka as check_logs
from trio_messenger.sim._checkers.lin_kv import lin_kv
from trio_messenger.sim._checkers.transactions.list_append import list_append
from trio_messenger.sim._checkers.transactions.rw_register import rw_register
from trio_messenger.sim._workloads.transaction_generator import TransactionOps, random_transactions

CLIENTS: Final = 10

Checker: TypeAlias = Callable[[History], dict[str, Any]]


@attrs.frozen
class Judging:
    """A history, whose length grows with a size, and the checker that judges it."""

    make: Callable[[float], History]
    check: Checker


def main() -> None:
    name, size = sys.argv[1:]
    judging = JUDGINGS[name]
    history = judging.make(float(size))
    begun = time.process_time()
    results = judging.check(history)
    seconds = time.process_time() - begun
    assert results["valid?"] is True, results
    # Not ru_maxrss, which counts the parent's memory too: exec keeps it.
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    memory = int(peak.split()[1]) / 1024
    ended = sum(op.type != "invoke" for op in history)
    print(json.dumps({"cpu": seconds, "memory": memory, "ended": ended}))


def logs_of_a_run(size: float) -> History:
    """Return the history of five `kafka` nodes that are asked 600 times a second; about 230 requests a second end."""
    return simulate("kafka", kafka.build, nodes=5, rate=600, time_limit=44 * size, latency=5).history


def registers_of_a_run(size: float) -> History:
    """Return the history of 13 `lin-kv-proxy` nodes, with 26 clients that nearly always have a request in flight."""
    report = simulate(
        "lin-kv",
        lin_kv_proxy.build,
        nodes=13,
        concurrency=26,
        rate=1_000,
        latency=10,
        latency_dist="exponential",
        time_limit=10 * size,
    )
    return report.history


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


JUDGINGS: Final[dict[str, Judging]] = {
    "lists": Judging(lambda size: correct_history(int(10_000 * size), "append"), list_append),
    "many lists": Judging(lambda size: correct_history(int(50_000 * size), "append"), list_append),
    "registers": Judging(lambda size: correct_history(int(10_000 * size), "w"), rw_register),
    "logs": Judging(logs_of_a_run, check_logs),
    "a run": Judging(registers_of_a_run, lin_kv),
}
"""What can be judged, by name."""


if __name__ == "__main__":
    main()
