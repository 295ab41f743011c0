"""Benchmarks of messages over NATS, next to nats-py by itself and to the same node between two pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from bench import contestants as c, drive
from bench.contestants import Peer
from bench.nats_child import SERVER, NatsChild, server
from bench.table import Case, Figures, Row, progress

OURS = "on NATS"
PLAIN = "nats-py, trio-asyncio"
PLAINEST = "nats-py, asyncio"
STDIO = "on stdio"

WINDOWS = (1, 100, 1000)
"""Requests that are unanswered at any time."""


def _on_nats(name: str, command: Callable[[int], Sequence[str]], count: int, in_flight: int) -> Callable[[], Figures]:
    def run() -> Figures:
        with server() as (port, process), NatsChild(name, command(port), c.HERE.parent, port) as child:
            child.init()
            before = cpu_of(process.pid)
            figures = attrs.asdict(drive.closed_loop(child, "echo", count, in_flight))
            return {**figures, "server": (cpu_of(process.pid) - before) / count * 1e6}

    return run


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU time that a process has used."""
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rpartition(")")[2].split()  # noqa: SIM115
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ours(port: int) -> list[str]:
    return [*c.NODE, "--nats", f"nats://127.0.0.1:{port}", "--cluster", "bench", "--id", "n1", "--peers", "n1,n2"]


def _plain(*more: str) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, "-m", "bench.nats_bare", str(port), *more]


def _nats(size: float, _: Sequence[Peer]) -> Case:
    if SERVER is None:
        progress("nats: nats-server is not installed, so nothing is measured there")
        return Case("nats", "Not measured: nats-server was not installed.", {}, [])
    runs: dict[str, Callable[[], Figures]] = {}
    rows = []
    for window in WINDOWS:
        count = int((5_000 if window == 1 else 50_000) * size)
        title = f"echo over NATS, {window:,} in flight"
        ours, plain, plainest, stdio = (f"{name} ({window})" for name in (OURS, PLAIN, PLAINEST, STDIO))
        runs[ours] = _on_nats(OURS, _ours, count, window)
        runs[plain] = _on_nats(PLAIN, _plain(), count, window)
        runs[plainest] = _on_nats(PLAINEST, _plain("asyncio"), count, window)
        runs[stdio] = c.closed_loop(STDIO, c.NODE, "echo", count, window)
        rows += [
            Row(title, ours, reference=plain, goals=(1.6,), against=PLAIN),
            Row(title, ours, reference=plainest, against=PLAINEST),
            Row(title, ours, reference=stdio, against=STDIO),
            Row(f"{title}, wall", ours, figure="wall", reference=plain, against=PLAIN),
            Row(f"{title}, the server's share", ours, figure="server"),
        ]
    return Case(
        "nats",
        "Echo requests over a NATS server on the same machine, with 1, 100 or 1,000 of them unanswered at any time. "
        "*nats-py, trio-asyncio* and *nats-py, asyncio* answer with msgspec in the callback of a subscription, and do "
        "nothing else; *on stdio* is the same node between two pipes. The figure is the CPU time of the node's process "
        "for one request and its reply.",
        runs,
        rows,
    )


CASES: Final[dict[str, Callable[[float, Sequence[Peer]], Case]]] = {"nats": _nats}
"""Each makes a benchmark, as those in `cases_load`."""
