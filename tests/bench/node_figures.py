"""The figures of the ready-made nodes in docs/reference/nodes.md: `python tests/bench/node_figures.py [PART ...]`.

The parts are ``nodes`` (messages and latencies of each node), ``broadcast`` (the challenge with 25 nodes) and ``raft``
(commands per second). All but the last depend on nothing but the seeds.
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trio_messenger._cli.finding import find_build
from trio_messenger.nodes import NODES
from trio_messenger.sim import WORKLOADS, Report, simulate

SEEDS = range(5)

WORKLOADS_OF_OTHERS = {
    "broadcast-frugal": "broadcast",
    "lin-kv-proxy": "lin-kv",
    "raft": "lin-kv",
    "seq-kv-counter": "g-counter",
}
"""The workloads of nodes whose names do not begin with it."""

QUANTILES = ("0.5", "0.95", "0.99", "1")


def main(parts: Sequence[str]) -> int:
    for part in parts or ("nodes", "broadcast", "raft"):
        {"nodes": tell_of_nodes, "broadcast": tell_of_broadcast, "raft": tell_of_raft}[part]()
    return 0


def tell_of_nodes() -> None:
    """Print a row for each node: 5 nodes, 20 operations a second for 20 s, 10 ms on each link; medians of 5 seeds."""
    for name in NODES:
        if name != "messenger":
            reports = [run(name, seed, nodes=5, rate=20, latency=10, time_limit=20) for seed in SEEDS]
            figures = [
                [report.results["net"]["servers"]["msgs-per-op"], *latencies_of(report.results["latencies"])]
                for report in reports
            ]
            medians = [statistics.median(column) for column in zip(*figures, strict=True)]
            print(f"| `{name}` |", " | ".join([f"{medians[0]:.2f}", *(f"{each:.0f}" for each in medians[1:])]), "|")


def tell_of_broadcast() -> None:
    """Print the figures of the challenge: messages per operation, median and greatest stable latency."""
    for name in ("broadcast", "broadcast-frugal"):
        rows = []
        for seed in SEEDS:
            report = run(name, seed, nodes=[f"n{number}" for number in range(25)], rate=100, latency=100, time_limit=20)
            stable = report.results["workload"]["stable-latencies"]
            rows.append([report.results["net"]["servers"]["msgs-per-op"], stable["0.5"], stable["1"]])
            print(f"{name}, seed {seed}: {rows[-1]}", flush=True)
        columns = list(zip(*rows, strict=True))
        print(f"| `{name}` |", " | ".join(f"{statistics.median(each):g} | {max(each):g}" for each in columns), "|")


def tell_of_raft() -> None:
    """Print the commands per second of five members in the simulator, and of three and five processes on stdio."""
    begun = time.process_time()
    report = run("raft", 0, nodes=5, rate=1000, latency=1, time_limit=5, concurrency=50)
    commands = report.results["stats"]["ok-count"] / (time.process_time() - begun)
    each = report.results["net"]["servers"]["msgs-per-op"]
    print(f"raft in the simulator, 5 members: {commands:.0f} commands per second of CPU, {each:.2f} messages each")
    for members in (1, 3, 5):
        cpu = cpu_of_children()
        results = run_processes(members)
        commands = results["stats"]["ok-count"]
        each = 1000 * (cpu_of_children() - cpu) / commands
        print(
            f"raft on stdio, {members} members: {commands / 10:.0f} commands per second, {each:.2f} ms of CPU each,",
            end="",
        )
        print(f" latency {latencies_of(results['latencies'])} ms", flush=True)


def run(name: str, seed: int, **options: Any) -> Report:
    """Run the node *name*; the run must be valid."""
    workload = WORKLOADS_OF_OTHERS.get(name) or next(each for each in WORKLOADS if name.startswith(each))
    if name.startswith("txn-rw-register-"):
        options["consistency_models"] = [name.removeprefix("txn-rw-register-")]
    report = simulate(workload, find_build(name), seed=seed, **options)
    assert report.valid is True, report
    return report


def run_processes(members: int) -> Any:
    """Return the results of a test of that many processes, with 30 clients that ask as soon as they are answered."""
    with tempfile.TemporaryDirectory() as folder:
        executable = shutil.which("trio-messenger", path=str(Path(sys.executable).parent))
        assert executable is not None
        options = ["--node-count", str(members), "--rate", "2000", "--concurrency", "30", "--time-limit", "10"]
        command = [executable, "test", "-w", "lin-kv", "--bin", executable, *options, "--", "node", "raft"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(Path(folder, "store", "latest", "results.json").read_text(encoding="utf-8"))


def cpu_of_children() -> float:
    """Return the seconds of CPU of all processes that have ended, those of the test among them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def latencies_of(latencies: Any) -> list[float]:
    return [latencies["quantiles"][quantile] for quantile in QUANTILES]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
