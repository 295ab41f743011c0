"""Benchmarks of what a node holds and how it begins and ends: pending RPCs, memory, start-up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

from bench import contestants as c, drive
from bench.table import Case, Figures, Row, progress

LEAK_ROUNDS = 10
UNREAD = 2.0
"""Seconds in which nobody reads stdout."""


def _pending(size: float) -> Case:
    million, traced = int(1_000_000 * size), int(200_000 * size)

    def hold() -> Figures:
        with c.started("pending", c.PROBE) as process:
            warm_up = process.request("fill", count=10_000, seconds=2.0)
            process.request("expire")
            seconds = warm_up["open_us"] * 1e-6 * million * 2 + 2
            opened = process.request("fill", count=million, seconds=seconds)
            figures = {"open_us": opened["open_us"], "rss": process.memory("VmRSS")}
            for kind in ("sweep", "expire"):
                figures |= process.request(kind)
            if figures["expired"] != million:
                process.fail(f"had {figures['expired']} RPCs pending at their deadline, not {million}")
        with c.started("table", c.PROBE) as process:
            figures |= process.request("table", count=million)
        return {key: figures[key] for key in ("open_us", "rss", "sweep_ms", "stall_ms", "expire_us", "table_us")}

    def traced_bytes() -> Figures:
        figures = {}
        for kind, count in (
            ("trace_callbacks", traced),
            ("trace_channels", traced),
            ("trace_awaited", traced // 10),
        ):
            with c.started(kind, c.PROBE) as process:
                figures[kind] = process.request(kind, count=count)["bytes"]
        return figures

    return Case(
        "pending",
        f"Callback RPCs of one node that nobody answers. Bytes are those that tracemalloc counts: for {traced:,} "
        "callback RPCs; for as many records with the channels of awaited RPCs; and for everything that awaiting an RPC "
        f"adds to each of {traced // 10:,} sleeping tasks, with its coroutines. Then {million:,} callback RPCs expire "
        "in the same bucket. A stall is the CPU time of the thread between two passes of Trio's loop.",
        {"ours": hold, "traced": traced_bytes},
        [
            Row("bytes per pending callback RPC", "traced", "trace_callbacks", "B", goals=(250,)),
            Row("bytes per record with a channel of its own", "traced", "trace_channels", "B", goals=(2200,)),
            Row("bytes that awaiting an RPC adds to a task", "traced", "trace_awaited", "B"),
            Row(f"RSS with {million:,} pending callbacks", "ours", "rss", "MB", goals=(220,)),
            Row(f"a sweep that finds none of {million:,} due", "ours", "sweep_ms", "ms", goals=(0.1,)),
            Row(f"expiring {million:,} at once: longest stall", "ours", "stall_ms", "ms", goals=(10, 6)),
            Row(f"expiring {million:,} at once: the table alone, each", "ours", "table_us", goals=(1.3,)),
            Row(f"expiring {million:,} at once: with callbacks, each", "ours", "expire_us"),
        ],
        max_rounds=2,
    )


def _leak(size: float) -> Case:
    count = int(100_000 * size)
    rounds = LEAK_ROUNDS if size == 1 else 3

    def run() -> Figures:
        levels = []
        with c.started("leak", c.NODE) as process:
            for number in range(1, rounds + 1):
                drive.leak(process, count)
                while process.request("ended")["value"] < number * count:  # callbacks run after the reaper
                    time.sleep(0.02)
                levels.append(process.memory("VmRSS"))
        # The allocator keeps and gives back by the megabyte, so single levels wander; medians of three wander less.
        first, last = statistics.median(levels[:3]), statistics.median(levels[-3:])
        kept = (last - first) / (max(rounds - 3, 1) * count) * 1e6
        progress(f"    levels: {'  '.join(f'{level:.1f}' for level in levels)} MB")
        return {"first": first, "last": last, "kept": kept}

    return Case(
        "leak",
        f"{rounds} times {count:,} requests, each of which makes the node send a callback RPC that nobody answers. The "
        "figure is RSS when the reaper has closed all RPCs and every callback has run: the median of the last three "
        "times against that of the first three.",
        {"ours": run},
        [
            Row(
                f"RSS after {rounds} x {count:,} leaks",
                "ours",
                "last",
                "MB",
                "ours",
                (1.05,),
                reference_figure="first",
                against="at first",
            ),
            Row("RSS kept per leaked RPC", "ours", "kept", "B"),
        ],
        max_rounds=1,
    )


def _memory(size: float) -> Case:
    count = int(200_000 * size)

    def run(name: str, command: c.Command, pause: float) -> Figures:
        with c.started(name, command) as process:
            drive.flood(process, "echo", count, pause=pause, last=False)
            return {"peak": process.memory("VmHWM")}

    return Case(
        "memory",
        f"The highest RSS in a flood of {count:,} echo requests. *stdout unread*: nobody reads stdout for the first "
        f"{UNREAD:g} s.",
        {
            "read": lambda: run("messenger", c.MESSENGER, 0.0),
            "unread": lambda: run("messenger", c.MESSENGER, UNREAD),
            "asyncio": lambda: run("asyncio", c.ASYNCIO, 0.0),
        },
        [
            Row("peak RSS in the echo flood", "read", "peak", "MB", goals=(45,)),
            Row("peak RSS in the echo flood, stdout unread", "unread", "peak", "MB", goals=(45,)),
            Row("peak RSS in the echo flood", "read", "peak", "MB", "asyncio"),
        ],
        max_rounds=1,
    )


def _start(_: float) -> Case:
    return Case(
        "start",
        "The time from the start of the process to `init_ok`, on the wall. The reference is a Python process that "
        "imports Trio and ends.",
        {"messenger": c.until_init("messenger", c.MESSENGER), "import trio": c.importing("trio")},
        [
            Row("start-up to init_ok", "messenger", "wall", "ms", "import trio", (2.5,)),
            Row("start-up to init_ok, CPU", "messenger", "cpu", "ms", "import trio"),
        ],
    )


def _end(_: float) -> Case:
    def run() -> Figures:
        with c.started("messenger", c.MESSENGER) as process:
            for _ in range(500):
                process.request("send_fire_forget", target="n2", payload={"type": "fwd"})
                process.send("proxy", target="n2", inner={"type": "fwd"})
            while process.request("pending_count")["count"] < 1000:
                time.sleep(0.01)
            begun = time.perf_counter()
            process.close_stdin()
            process.wait()
            return {"wall": time.perf_counter() - begun}

    return Case(
        "end",
        "The time from the end of stdin to the end of the process, on the wall, with 500 awaited and 500 callback RPCs "
        "pending.",
        {"messenger": run},
        [Row("end of stdin to exit, 1,000 RPCs pending", "messenger", "wall", "s", goals=(0.3,))],
    )


CASES: Final[dict[str, Callable[[float], Case]]] = {
    "pending": _pending,
    "leak": _leak,
    "memory": _memory,
    "start": _start,
    "end": _end,
}
"""Each makes a benchmark of that share of the RPCs of a full run."""
