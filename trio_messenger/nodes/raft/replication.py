"""Replication: how a leader brings its log to the others, and learns whether it still leads."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import Final

import attrs
import trio

from trio_messenger import DurableStore, Node, QuorumNotReached, Request

from .rpcs import Appended, AppendEntries, InstallSnapshot
from .timers import ANSWERS_COUNT_FOR, ELECTION_TIMEOUT, HEARTBEAT_PERIOD, Elections

ENTRIES_AT_ONCE: Final = 128  # entries in a message, at most


@attrs.define(eq=False)
class Follower:
    """When, on Trio's clock, a follower counts as out of reach, and when it must hear from the leader."""

    silent_at: float
    heartbeat_at: float = -math.inf


class Replication(Elections):
    """Sends the leader's log to the others, and takes over the log of another leader."""

    def __init__(self, node: Node, store: DurableStore) -> None:
        super().__init__(node, store)
        self.followers: dict[str, Follower] = {}
        self.followed_in: int = 0  # the term of these followers
        self.one_round: Final = trio.Lock()
        self.begun: int = 0  # rounds of heartbeats in which the leader asked whether it leads
        self.confirmed: int = 0  # the last of them in which a majority said yes
        node.on(AppendEntries)(self._on_append_entries)
        node.on(InstallSnapshot)(self._on_install_snapshot)
        node.background(self.replicate)

    async def replicate(self) -> None:
        """While this member leads, send entries as soon as there are any, and otherwise heartbeats."""
        while True:
            self.work: trio.Event = trio.Event()
            self.check_quorum()
            for peer, follower in self.followers.items():
                await self.node.wait_for_room()
                if self.consensus.role == "leader":
                    self.send(peer, follower)
            is_leader = self.consensus.role == "leader"
            due = [follower.heartbeat_at for follower in self.followers.values() if is_leader]
            with trio.move_on_at(min(due, default=math.inf)):
                await self.work.wait()

    def check_quorum(self) -> None:
        """Step down if no majority was heard for a while: another member leads, or should."""
        now = trio.current_time()
        if self.consensus.role == "leader" and self.followed_in < self.consensus.term:
            self.followed_in = self.consensus.term
            self.followers = {peer: Follower(now + ELECTION_TIMEOUT + 2 * self.round_trip) for peer in self.node.peers}
        heard = [peer for peer, follower in self.followers.items() if now <= follower.silent_at]
        if self.consensus.role == "leader" and not self.consensus.has_quorum([self.node.id, *heard]):
            self.consensus.step_down()
            self.react()

    def send(self, peer: str, follower: Follower) -> None:
        """Send *peer* what it lacks, or a heartbeat if it is time. The answer shows whether something was lost."""
        now, lacks = trio.current_time(), self.consensus.next_index[peer] <= self.consensus.log.last_index
        if lacks or follower.heartbeat_at <= now:
            follower.heartbeat_at = now + HEARTBEAT_PERIOD
            body = self.consensus.install_snapshot(peer) or self.consensus.append_entries(peer, ENTRIES_AT_ONCE)
            hear = partial(self.hear, peer, follower, now)
            self.node.rpc_callback(peer, body, hear, as_=Appended, timeout=ANSWERS_COUNT_FOR)

    def hear(self, peer: str, follower: Follower, sent_at: float, outcome: Appended | Exception) -> None:
        """Take the answer of *peer* to what was sent at *sent_at*."""
        if not isinstance(outcome, Exception):
            follower.silent_at = trio.current_time() + ELECTION_TIMEOUT + 2 * (trio.current_time() - sent_at)
            self.consensus.on_appended(peer, outcome)
            self.react()

    async def confirm_leadership(self) -> bool:
        """Ask a majority whether this member still leads. Calls at the same time share a round of heartbeats.

        A round counts only for calls from before it began: it shows that nobody else led at that moment.
        """
        called, consensus, term = self.begun, self.consensus, self.consensus.term
        async with self.one_round:
            if consensus.role == "leader" and self.confirmed <= called:
                self.begun += 1
                bodies = {peer: consensus.append_entries(peer, 0) for peer in self.node.peers}
                ask = partial(self.node.rpc_quorum, bodies, bodies.get, need=(len(bodies) + 1) // 2, as_=Appended)
                with contextlib.suppress(QuorumNotReached):
                    await ask(accept=consensus.is_current, timeout=ELECTION_TIMEOUT + 2 * self.round_trip)
                    self.confirmed = self.begun
            return self.confirmed > called and consensus.term == term

    async def _on_append_entries(self, request: Request, body: AppendEntries) -> Appended:
        return await self.follow(body.term, self.consensus.on_append_entries(request.src, body))

    async def _on_install_snapshot(self, request: Request, body: InstallSnapshot) -> Appended:
        return await self.follow(body.term, self.consensus.on_install_snapshot(request.src, body))

    async def follow(self, term: int, reply: Appended) -> Appended:
        """Return *reply* to the leader of *term* when what it says is durable."""
        if term == reply.term:
            self.leader_heard_at: float = trio.current_time()
            self.election_timer.reset()
        await self.persist()
        return reply
