"""The nemesis: lets the faults of a schedule begin and end, and counts how often each took effect."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final, TypeAlias, TypeVar, final

import trio

from .cluster import Cluster
from .faults import ClockSkew, Fault, Kill, LinkFault, NodeFault, Pause, describe
from .hosts import Host
from .network import Network

_NodeFaultT = TypeVar("_NodeFaultT", bound=NodeFault)

_Change: TypeAlias = tuple[float, bool, int]
# When a fault begins (True) or ends, by Trio's clock, and its index.


@final
class Nemesis:
    """Applies a schedule.

    Args:
      faults: The schedule.
      network: Where link faults are applied, and where all effects are counted.
      cluster: Where node faults are.
      nursery: Where nodes are started again, so that one that is slow to come up delays no other fault.
    """

    def __init__(self, faults: Sequence[Fault], network: Network, cluster: Cluster, nursery: trio.Nursery) -> None:
        self._faults: Final = tuple(faults)
        self._network = network
        self._cluster = cluster
        self._nursery = nursery
        self._in_force: dict[int, Fault] = {}
        self._of_links: deque[_Change] = deque()  # those still to come
        self._of_nodes: deque[_Change] = deque()
        self._paused: defaultdict[str, dict[int, int]] = defaultdict(dict)
        # By node, the pauses that keep this life of it still, and what it had held back when each began.
        self._skewed_reads: dict[tuple[int, str], int] = {}  # how often a node had looked at its clock
        self._restarts: dict[str, trio.CancelScope] = {}  # by node, those under way

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Apply the schedule, whose time 0 is now; returns when all has ended that ends of itself.

        Started once the faults that begin at 0 have begun.
        """
        start = trio.current_time()
        changes = [(start + fault.at, True, index) for index, fault in enumerate(self._faults)]
        changes += [(start + fault.until, False, index) for index, fault in enumerate(self._faults)]
        for change in sorted(changes):  # what ends goes before what begins at the same moment
            of_links = isinstance(self._faults[change[2]], LinkFault)
            (self._of_links if of_links else self._of_nodes).append(change)
        self._network.plan(start, lambda: self._change(self._of_links))
        while (then := self._catch_up()) < math.inf:
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep_until(then)
        task_status.started()

    def heal(self) -> None:
        """End all that is in force, and let nothing more begin."""
        self._of_links.clear()
        self._of_nodes.clear()
        for index in list(self._in_force):
            self._end(index)

    def _catch_up(self) -> float:
        """Let faults begin and end whose time has come; return when the next ones do."""
        self._network.catch_up()
        of_nodes = self._change(self._of_nodes)
        return min(of_nodes, self._of_links[0][0] if self._of_links else math.inf)

    def _change(self, changes: deque[_Change]) -> float:
        while changes and changes[0][0] <= trio.current_time():
            _, is_beginning, index = changes.popleft()
            if is_beginning:
                self._begin(index)
            else:
                self._end(index)
        return changes[0][0] if changes else math.inf

    def _begin(self, index: int) -> None:
        fault = self._in_force[index] = self._faults[index]
        self._network.journal.note(self._network.now(), "begin", fault=index, text=describe(fault))
        if isinstance(fault, LinkFault):
            self._network.begin(index, fault)
        else:
            assert isinstance(fault, NodeFault)
            for node_id in fault.nodes:
                self._strike(index, fault, self._cluster.hosts[node_id])

    def _end(self, index: int) -> None:
        fault = self._in_force.pop(index)
        self._network.journal.note(self._network.now(), "end", fault=index)
        if isinstance(fault, LinkFault):
            self._network.end(index)
        else:
            assert isinstance(fault, NodeFault)
            for node_id in fault.nodes:
                self._release(index, fault, self._cluster.hosts[node_id])

    def _strike(self, index: int, fault: NodeFault, host: Host) -> None:
        if isinstance(fault, Kill):
            self._kill(index, host)
        elif isinstance(fault, Pause):
            if host.is_alive:
                self._paused[host.node_id][index] = host.held
                host.pause()
                self._network.journal.note(self._network.now(), "pause", node=host.node_id, fault=index)
        else:
            assert isinstance(fault, ClockSkew)
            self._skewed_reads[index, host.node_id] = host.skewed_reads
            self._set_clock(host)

    def _release(self, index: int, fault: NodeFault, host: Host) -> None:
        if isinstance(fault, Kill):
            self._revive(host)
        elif isinstance(fault, Pause):
            self._resume(index, host)
        else:
            assert isinstance(fault, ClockSkew)
            self._network.bites[index] += host.skewed_reads - self._skewed_reads.pop((index, host.node_id))
            self._set_clock(host)

    def _kill(self, index: int, host: Host) -> None:
        node_id = host.node_id
        restart = self._restarts.pop(node_id, None)
        if restart is not None:
            restart.cancel()  # or else it would wait for ``init_ok``, and blame the node
        for pause in list(self._paused[node_id]):
            self._count_held(pause, host)  # the next life is not paused
        self._network.bites[index] += host.is_alive or restart is not None
        if host.is_alive:
            host.kill()
            self._network.journal.note(self._network.now(), "kill", node=node_id, fault=index)

    def _revive(self, host: Host) -> None:
        others = self._on(host, Kill)
        for index in others:  # which keep it dead
            self._network.bites[index] += 1
        if not others:
            scope = self._restarts[host.node_id] = trio.CancelScope()
            self._nursery.start_soon(self._restart, host, scope)

    async def _restart(self, host: Host, scope: trio.CancelScope) -> None:
        with scope:
            await trio.lowlevel.checkpoint_if_cancelled()  # it may have been killed again by now
            await self._cluster.restart(host)
        if self._restarts.get(host.node_id) is scope:  # it was not killed again, not even just now
            del self._restarts[host.node_id]

    def _resume(self, index: int, host: Host) -> None:
        paused = self._paused[host.node_id]
        if index not in paused:
            return  # it was dead then, or has died since
        self._count_held(index, host)
        if not paused and host.is_alive:
            self._network.journal.note(self._network.now(), "resume", node=host.node_id)  # before what it held leaves
            host.resume()

    def _count_held(self, index: int, host: Host) -> None:
        self._network.bites[index] += host.held - self._paused[host.node_id].pop(index)

    def _set_clock(self, host: Host) -> None:
        # Added up anew each time: what is added and taken away again leaves a rest.
        skews = [fault.seconds for fault in self._on(host, ClockSkew).values()]
        host.skew = math.fsum(skews)

    def _on(self, host: Host, kind: type[_NodeFaultT]) -> dict[int, _NodeFaultT]:
        """Return the faults of *kind* in force that befall *host*, by their indexes."""
        return {
            index: fault
            for index, fault in self._in_force.items()
            if isinstance(fault, kind) and host.node_id in fault.nodes
        }
