"""A simulated network for tests: members that listen, nodes if wanted, a nemesis, and a script of what is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import attrs
import msgspec
import trio
import trio.testing

from trio_messenger import Body, Node
from trio_messenger.sim._cluster.clients import Clients
from trio_messenger.sim._cluster.cluster import Cluster
from trio_messenger.sim._cluster.durable import Build
from trio_messenger.sim._cluster.hosts import Host, NodeLog
from trio_messenger.sim._cluster.in_process import InProcessHost, capturing_logs
from trio_messenger.sim._cluster.nemesis import Nemesis
from trio_messenger.sim._determinism.random_streams import Streams
from trio_messenger.sim._determinism.scheduler import run_virtual
from trio_messenger.sim._faults.faults import Fault
from trio_messenger.sim._network.latency_distribution import Latency
from trio_messenger.sim._network.network import Delivery, Role, SimulatedNetwork
from trio_messenger.sim._records.journal import Entry, Journal
from trio_messenger.sim._runaways.guard import BUSY_LIMIT, StuckGuard

Script: TypeAlias = Callable[["Stage"], Awaitable[object]]
"""What happens on a stage."""


class Heard(NamedTuple):
    """A message that a listener received."""

    at: float
    src: str
    dest: str
    value: Any


@attrs.define(eq=False)
class Stage:
    """What a script acts on; what is left of it afterwards is looked at."""

    network: SimulatedNetwork
    journal: Journal
    nemesis: Nemesis
    hosts: dict[str, Host]
    heard: list[Heard] = attrs.field(factory=list)
    start: float = 0.0

    @property
    def bites(self) -> Counter[int]:
        """How often each fault took effect."""
        return self.network.bites

    def join(self, *member_ids: str) -> None:
        """Let *member_ids* listen: ``c...`` as clients, ``n...`` as nodes, others as services."""
        for member_id in member_ids:
            role: Role = {"c": "clients", "n": "nodes"}.get(member_id[0], "services")  # type: ignore[assignment]
            self.network.attach(member_id, role, self._hear)

    def say(self, src: str, dest: str, value: Any = None) -> None:
        """Send a message that says *value*."""
        self.send(src, dest, {"type": "say", "value": value})

    def send(self, src: str, dest: str, body: Body) -> None:
        """Send a message."""
        self.network.send(msgspec.json.encode({"src": src, "dest": dest, "body": body}))

    async def until(self, seconds: float) -> None:
        """Wait until *seconds* after the beginning, and until all that happens then has happened."""
        await trio.sleep_until(self.start + seconds)
        await trio.testing.wait_all_tasks_blocked()

    def values(self, dest: str | None = None) -> list[Any]:
        """Return what was heard, in order; only what *dest* heard, if it is given."""
        return [heard.value for heard in self.heard if dest in (None, heard.dest)]

    def entries(self, *events: str) -> list[Entry]:
        """Return the journal's entries of these *events*."""
        return [entry for entry in self.journal if entry.event in events]

    def fates(self) -> list[tuple[int | None, str, str | None, int | None]]:
        """Return what became of the messages, in order: their numbers, event, reason and fault."""
        return [(e.id, e.event, e.reason, e.fault) for e in self.entries("deliver", "drop", "duplicate")]

    def lives(self) -> list[tuple[float, str, str | None]]:
        """Return what befell nodes, in order: the second, the event and the node."""
        return [(e.t / 1e9, e.event, e.node) for e in self.journal if e.node is not None]

    def _hear(self, delivery: Delivery) -> None:
        message = delivery.message
        self.heard.append(Heard(trio.current_time() - self.start, message.src, message.dest, message.body.get("value")))


def staged(
    script: Script,
    *,
    faults: Sequence[Fault] = (),
    nodes: Sequence[str] = (),
    build: Build = Node,
    make_host: Callable[[str, SimulatedNetwork], Host] | None = None,
    members: Sequence[str] = (),
    seed: int = 0,
    latency: Latency = Latency(),  # noqa: B008 - a frozen value
    loss: float = 0.0,
    duplicate: float = 0.0,
) -> Stage:
    """Run *script* in virtual time, on a network under *faults*, with *nodes*; return what is left.

    The *members* listen before there are nodes. The faults are healed when the script ends; what is on its way then
    stays there.
    """
    streams, journal = Streams(seed), Journal()
    network = SimulatedNetwork(streams, journal, latency, loss=loss, duplicate=duplicate)
    clients = Clients(network)
    guard = StuckGuard(BUSY_LIMIT, journal, network.now, lambda *_: None)

    async def perform() -> Stage:
        with capturing_logs():
            async with trio.open_nursery() as nursery:
                network.start()
                nursery.start_soon(network.run)
                hosts: dict[str, Host] = {
                    node_id: InProcessHost(node_id, network, NodeLog(node_id), build, nursery, streams, guard)
                    if make_host is None
                    else make_host(node_id, network)
                    for node_id in nodes
                }
                cluster = Cluster(hosts, network, clients)
                stage = Stage(network, journal, Nemesis(faults, network, cluster, nursery), hosts)
                stage.join(*members)
                await cluster.start()
                stage.start = trio.current_time()
                await nursery.start(stage.nemesis.run)
                await script(stage)
                stage.nemesis.heal()
                await cluster.aclose()
                nursery.cancel_scope.cancel()
        return stage

    return run_virtual(perform, seed=seed)
