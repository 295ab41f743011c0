"""A cluster as on several machines: a NATS server and a node on each, and clients at each."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from support.machines import Machines
from support.nats_server import PROGRAM
from trio_messenger.sim import Options, Report
from trio_messenger.sim._campaigns.simulation import make_report
from trio_messenger.sim._cluster.hosts import Host
from trio_messenger.sim._cluster.remote import Gateway
from trio_messenger.sim._runs.run import Run
from trio_messenger.transports.nats import open_nats

PYTHON = (sys.executable, "-m", "trio_messenger")


@attrs.define(eq=False)
class RealCluster:
    """Machines with a NATS server each, which form a cluster; node ``n1`` is on machine 1, and so on."""

    machines: Machines
    folder: Path
    name: str = "demo"
    processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    @property
    def node_ids(self) -> list[str]:
        """The ids of the nodes."""
        return [f"n{number}" for number in self.machines.numbers]

    def url(self, number: int) -> str:
        """Return where we reach the server of a machine."""
        return f"nats://{self.machines.tested_at(number)}:4222"

    def start(self, number: int, *words: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a process on a machine; it is killed at the end."""
        with (self.folder / f"{number}.log").open("ab") as log:
            process = subprocess.Popen(self.machines.command(number, *words), stdout=log, stderr=log, cwd=cwd)
        self.processes.append(process)
        return process

    def start_server(self, number: int) -> subprocess.Popen[bytes]:
        """Start the server of a machine, and wait until it listens."""
        assert PROGRAM is not None
        routes = ", ".join(f"nats-route://{self.machines.address(each)}:6222" for each in self.machines.numbers)
        config = self.folder / f"s{number}.conf"
        config.write_text(
            f"server_name: s{number}\nlisten: 0.0.0.0:4222\nping_interval: 1s\nping_max: 2\n"
            f'jetstream {{ store_dir: "{self.folder}/s{number}" }}\n'
            f"cluster {{ name: demo, listen: {self.machines.address(number)}:6222, no_advertise: true, "
            f"routes: [{routes}] }}\n"
        )
        process = self.start(number, PROGRAM, "-c", str(config))
        until_it_listens(self.machines.tested_at(number), process)
        return process

    def start_node(self, number: int, node: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start the node of a machine, at the server of the same machine."""
        ids = ",".join(self.node_ids)
        nats = ("--nats", "nats://127.0.0.1:4222", "--cluster", self.name)
        return self.start(number, *PYTHON, "node", node, *nats, "--id", f"n{number}", "--peers", ids, cwd=cwd)

    def start_services(self, number: int) -> subprocess.Popen[bytes]:
        """Start the services on a machine."""
        nats = ("--nats", "nats://127.0.0.1:4222", "--cluster", self.name)
        return self.start(number, *PYTHON, "services", *nats, "--replicas", f"{len(self.machines.numbers)}")


@contextmanager
def real_cluster(count: int, folder: Path) -> Iterator[RealCluster]:
    """Make *count* machines with their servers."""
    with Machines(count) as machines:
        cluster = RealCluster(machines, folder)
        try:
            for number in machines.numbers:
                cluster.start_server(number)
            yield cluster
        finally:
            for process in cluster.processes:
                process.kill()
            for process in cluster.processes:
                process.wait()


def until_it_listens(host: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for a server."""
    for _ in range(1000):
        with contextlib.suppress(OSError), socket.create_connection((host, 4222), timeout=1):
            return
        assert process.poll() is None, "nats-server ended"
        time.sleep(0.01)


Meanwhile = Callable[[Run], Awaitable[object]]
"""What happens to the cluster during the main phase of a run."""


async def judged(cluster: RealCluster, options: Options, meanwhile: Meanwhile, **given: Any) -> Report:
    """Test the nodes, with the clients of each node at the server of its machine, so no cut keeps them apart."""
    gateways = {
        node_id: Gateway(f"c{number}", random.randrange(1 << 51)) for number, node_id in enumerate(options.nodes, 1)
    }

    def make_host(node_id: str, *rest: Any) -> Host:
        return gateways[node_id].make_host(node_id, *rest)

    run = Run(options, make_host, must_be_fresh=True, **given)

    async def act() -> None:
        while run.phase == "set-up":  # noqa: ASYNC110 - a run has no event for it
            await trio.sleep(0.05)
        await meanwhile(run)

    async with AsyncExitStack() as stack:
        transports = {
            node_id: await stack.enter_async_context(
                open_nats(cluster.url(number), cluster.name, f"c{number}", [f"c{number}"])
            )
            for number, node_id in enumerate(options.nodes, 1)
        }
        async with trio.open_nursery() as nursery:
            for node_id, gateway in gateways.items():
                nursery.start_soon(gateway.serve, transports[node_id], nursery.cancel_scope)
            nursery.start_soon(act)
            await run.conduct()
            nursery.cancel_scope.cancel()
    return make_report(run, ())


def ok_by_node(report: Report, begin: float = 0.0, end: float = float("inf")) -> Mapping[str, int]:
    """Return how many operations of each node began and ended as ``ok`` between two times of the main phase."""
    found = dict.fromkeys(report.options.nodes, 0)
    for each in report.history.operations():
        done = each.completion
        if done is not None and done.type == "ok" and begin <= each.invocation.time / 1e9 and done.time / 1e9 <= end:
            found[done.node or ""] += 1
    return found
