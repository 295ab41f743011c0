"""Simulated runs of executables, and what is left of their processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import msgspec
import trio
import trio.testing

from support.paths import EXECUTABLES
from support.processes import LIMIT, until
from trio_messenger import Body, Message
from trio_messenger.sim import (
    Fault,
    Journal,
    Latency,
    Options,
)
from trio_messenger.sim._cluster.hosts import NodeLog
from trio_messenger.sim._cluster.processes import ProcessHost
from trio_messenger.sim._determinism.random_streams import Streams
from trio_messenger.sim._network.network import SimulatedNetwork
from trio_messenger.sim._runaways.traffic import Traffic
from trio_messenger.sim._runs.real_time import process_hosts
from trio_messenger.sim._runs.run import Run
from trio_messenger.sim._system.executables import check_executable

PYTHON = (sys.executable, "-I", "-S")
"""A Python that starts fast: without the environment that the tests have."""

FOREIGN = (*PYTHON, str(EXECUTABLES / "broadcast.py"))
WRONG = (*PYTHON, str(EXECUTABLES / "wrong.py"))


def processes_in(folder: Path) -> list[int]:
    """Return the numbers of the processes that run in *folder* or below."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink().is_relative_to(folder):
                    found.append(int(entry.name))
            except OSError:
                pass  # it is gone, or is nobody's any more
    return found


def assert_nothing_is_left(folder: Path) -> None:
    """Assert that no process runs in *folder*. What was killed may take a moment, if it is not our child."""
    deadline = time.monotonic() + LIMIT
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert left == []


def make_run(
    folder: Path,
    workload: str,
    command: Sequence[str],
    *,
    nodes: Sequence[str] = ("n1",),
    faults: Sequence[Fault] = (),
    rate: float = 50.0,
    time_limit: float = 0.4,
    latency: float = 0.0,
    concurrency: int | None = None,
    watch: Callable[[Run], object] = lambda _: None,
) -> Run:
    options = Options(
        workload=workload,
        nodes=nodes,
        faults=faults,
        rate=rate,
        time_limit=time_limit,
        latency=Latency(latency, "uniform"),
        concurrency=concurrency or len(nodes),
    )
    return Run(options, process_hosts(command, folder), recovery=0.2, watch=watch)


def problems(run: Run) -> list[str]:
    return [problem for host in run.hosts.values() for problem in host.problems]


@attrs.define(eq=False)
class Stage:
    """A node named n1 on a network of its own; the test is its client, c1."""

    host: ProcessHost
    network: SimulatedNetwork
    received: list[Message] = attrs.field(factory=list)

    def send(self, body: Body, dest: str = "n1") -> None:
        """Send *body* to the node."""
        self.network.send(msgspec.json.encode({"src": "c1", "dest": dest, "body": body}))

    async def ask(self, body: Body) -> Body:
        """Send *body* to the node and return the body of what it sends next."""
        count = len(self.received)
        self.send({**body, "msg_id": count})
        await until(lambda: len(self.received) > count)
        return self.received[count].body

    async def init(self) -> None:
        """Send ``init``; does not wait if the node is dead."""
        self.send({"type": "init", "node_id": "n1", "node_ids": ["n1"], "msg_id": 0})
        await until(lambda: self.received != [] or not self.host.is_alive)


@asynccontextmanager
async def staged(folder: Path, *command: str, burst: int = 10**9) -> AsyncIterator[Stage]:
    """Start *command* as a node."""
    program, *arguments = command
    async with trio.open_nursery() as nursery:
        network = SimulatedNetwork(Streams(0), Journal(), Latency())
        network.start()
        nursery.start_soon(network.run)
        host = ProcessHost(
            "n1",
            network,
            NodeLog("n1"),
            command=[str(check_executable(program)), *arguments],
            folder=folder,
            nursery=nursery,
            traffic=Traffic(rate=1000, burst=burst),
        )
        stage = Stage(host, network)
        network.attach("c1", "clients", lambda delivery: stage.received.append(delivery.message))
        try:
            with trio.fail_after(LIMIT):
                await host.start()
                yield stage
        finally:
            await host.aclose()
            nursery.cancel_scope.cancel()
