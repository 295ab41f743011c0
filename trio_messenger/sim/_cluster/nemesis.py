"""The nemesis: begins and ends the faults of a schedule, and counts how often each fault took effect."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, TypeVar, final

import trio

from .._faults.faults import ClockSkew, Fault, Kill, LinkFault, NodeFault, Pause, Storage, describe
from .._network.network import SimulatedNetwork
from .cluster import Cluster
from .hosts import Host

_NodeFaultT = TypeVar("_NodeFaultT", bound=NodeFault)

AHEAD: Final = 1e-10
"""Seconds by which faults begin and end early, so that they come before everything else at that moment.

Otherwise the order of tasks would determine what a fault affects at that moment. Trio also shuffles the tasks that wake
together. One more task would change all later draws, so removing a fault, even one without effect, would change the
whole run. The journal has nanoseconds, in which the time is the same. Restarts and resumes of nodes happen at the
moment itself; otherwise the timers of these nodes would also fire early.
"""


@final
class Nemesis:
    """Applies a schedule.

    Args:
      faults: The schedule.
      network: Applies link faults, and counts all effects.
      cluster: Its nodes are the targets of node faults.
      nursery: Runs the restarts of nodes, so that a slow restart delays no other fault.
    """

    def __init__(
        self, faults: Sequence[Fault], network: SimulatedNetwork, cluster: Cluster, nursery: trio.Nursery
    ) -> None:
        self._faults: Final = tuple(faults)
        self._network = network
        self._cluster = cluster
        self._nursery = nursery
        self._in_force: dict[int, Fault] = {}
        self._changes: list[tuple[float, bool, int]] = []
        # Changes to come, the next one last: the time, whether a fault begins (or ends), and its index.
        self._to_start: set[str] = set()  # nodes, at `_settle_at`
        self._to_resume: set[str] = set()
        self._settle_at = math.inf
        self._killed: set[tuple[int, str]] = set()  # each kill, with each node that it killed or kept dead
        self._paused: defaultdict[str, dict[int, int]] = defaultdict(dict)
        # By node, the active pauses of its current life, each with the count of held messages when it began.
        self._held: dict[str, int] = {}  # by node, that count when the first of these pauses began
        self._skewed_reads: dict[tuple[int, str], int] = {}  # by clock fault and node, the reads before the fault
        self._disk_effects: dict[tuple[int, str], int] = {}  # by storage fault and node, the effects before the fault
        self._restarts: dict[str, trio.CancelScope] = {}  # by node, the restart in progress

        for fault in self._faults:
            for node_id in fault.nodes if isinstance(fault, Storage) else ():
                cluster.hosts[node_id].disk.may_fail = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Apply the schedule, whose time 0 is now. Returns after the last change of the schedule.

        Calls ``task_status.started()`` once the faults that begin at 0 have begun.
        """
        start = trio.current_time()
        beginnings = [(start + fault.at, True, index) for index, fault in enumerate(self._faults)]
        ends = [(start + fault.until, False, index) for index, fault in enumerate(self._faults)]
        self._changes = sorted(beginnings + ends, reverse=True)
        self._catch_up()
        task_status.started()
        while (then := self._next()) < math.inf:
            await trio.sleep_until(then)
            self._catch_up()

    def heal(self) -> None:
        """End all active faults, and begin no more."""
        self._changes.clear()
        for index in list(self._in_force):
            self._end(index)
        self._settle()

    def _next(self) -> float:
        """Return the time of the next change."""
        return min(self._changes[-1][0] - AHEAD, self._settle_at) if self._changes else self._settle_at

    def _catch_up(self) -> None:
        """Make all changes that are due."""
        now = trio.current_time()
        if self._settle_at <= now:
            self._settle()
        while self._changes and self._changes[-1][0] - AHEAD <= now:
            at, is_beginning, index = self._changes.pop()
            if is_beginning:
                self._begin(index)
            else:
                self._end(index)
            if self._to_start or self._to_resume:
                self._settle_at = at

    def _settle(self) -> None:
        """Restart and resume the nodes that no active fault keeps dead or paused."""
        self._settle_at = math.inf
        for node_id, host in self._cluster.hosts.items():
            if node_id in self._to_resume:
                self._resume(host)
            elif node_id in self._to_start:
                scope = self._restarts[node_id] = trio.CancelScope()
                self._nursery.start_soon(self._restart, host, scope)
        self._to_resume.clear()
        self._to_start.clear()

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
                self._pause(index, host)
        elif isinstance(fault, Storage):
            self._disk_effects[index, host.node_id] = host.disk.effects
            host.disk.faults = self._on(host, Storage).values()
        else:
            assert isinstance(fault, ClockSkew)
            self._skewed_reads[index, host.node_id] = host.skewed_reads
            self._set_clock(host)

    def _release(self, index: int, fault: NodeFault, host: Host) -> None:
        if isinstance(fault, Kill):
            others = self._on(host, Kill)
            for other, kill in others.items():
                if kill.until > fault.until:
                    self._count_death(other, host)  # this kill keeps the node dead
            if not others:
                self._to_start.add(host.node_id)
        elif isinstance(fault, Pause):
            if index in self._paused[host.node_id]:  # otherwise the node was dead then, or has died since
                self._end_pause(index, host)
        elif isinstance(fault, Storage):
            self._network.bites[index] += host.disk.effects - self._disk_effects.pop((index, host.node_id))
            host.disk.faults = self._on(host, Storage).values()
        else:
            assert isinstance(fault, ClockSkew)
            self._network.bites[index] += host.skewed_reads - self._skewed_reads.pop((index, host.node_id))
            self._set_clock(host)

    def _kill(self, index: int, host: Host) -> None:
        node_id = host.node_id
        restart = self._restarts.pop(node_id, None)
        if restart is not None:
            restart.cancel()  # otherwise the node would come up while this kill is active
        keeps_dead = restart is not None or node_id in self._to_start
        self._to_start.discard(node_id)
        for pause in list(self._paused[node_id]):
            self._count_held(pause, host)  # the next life is not paused
        if host.is_alive or keeps_dead:
            self._count_death(index, host)
        if host.is_alive:
            host.kill()
            self._network.journal.note(self._network.now(), "kill", node=node_id, fault=index)

    async def _restart(self, host: Host, scope: trio.CancelScope) -> None:
        with scope:
            await self._cluster.restart(host)
        if self._restarts.get(host.node_id) is scope:  # false if the node was killed again in the meantime
            del self._restarts[host.node_id]

    def _count_death(self, index: int, host: Host) -> None:
        self._network.bites[index] += (index, host.node_id) not in self._killed
        self._killed.add((index, host.node_id))

    def _pause(self, index: int, host: Host) -> None:
        paused, keeps_still = self._paused[host.node_id], host.node_id in self._to_resume
        self._to_resume.discard(host.node_id)
        if not paused and not keeps_still:
            self._held[host.node_id] = host.held
        paused[index] = self._held[host.node_id] if keeps_still else host.held  # includes those of an earlier pause
        host.pause()
        self._network.journal.note(self._network.now(), "pause", node=host.node_id, fault=index)

    def _end_pause(self, index: int, host: Host) -> None:
        self._count_held(index, host)
        paused = self._paused[host.node_id]
        for other in paused:
            if self._faults[other].until > self._faults[index].until:
                paused[other] = self._held[host.node_id]  # the longer pause also holds the earlier messages
        if not paused and host.held > self._held[host.node_id]:
            self._to_resume.add(host.node_id)
        elif not paused:
            self._resume(host)  # at once, because there are no held messages

    def _resume(self, host: Host) -> None:
        if host.is_alive:
            self._network.journal.note(self._network.now(), "resume", node=host.node_id)  # before held messages leave
            host.resume()

    def _count_held(self, index: int, host: Host) -> None:
        self._network.bites[index] += host.held - self._paused[host.node_id].pop(index)

    def _set_clock(self, host: Host) -> None:
        # Sums the active skews each time, because adding and subtracting floats leaves a rounding error.
        skews = [fault.seconds for fault in self._on(host, ClockSkew).values()]
        host.skew = math.fsum(skews)

    def _on(self, host: Host, kind: type[_NodeFaultT]) -> dict[int, _NodeFaultT]:
        """Return the active faults of *kind* that affect *host*, by their indexes."""
        return {
            index: fault
            for index, fault in self._in_force.items()
            if isinstance(fault, kind) and host.node_id in fault.nodes
        }
