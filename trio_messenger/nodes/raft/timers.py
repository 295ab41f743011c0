"""The times of raft, in seconds, and elections: when a member stands for one, and whom it votes for."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial
from typing import Final

import trio

from trio_messenger import DurableStore, Node, QuorumNotReached, Request

from .member import Member
from .rpcs import PreVote, RequestVote, Vote

ELECTION_TIMEOUT: Final = 0.5  # a follower without a leader stands for election after this, plus as much at random
HEARTBEAT_PERIOD: Final = 0.125  # the longest silence of a leader
ANSWERS_COUNT_FOR: Final = 10.0  # how long an answer counts: on slow links it comes late, and asking again is no help


class Elections(Member):
    """Stands for election when no leader is heard, and answers others that do."""

    def __init__(self, node: Node, store: DurableStore) -> None:
        super().__init__(node, store)
        self.election_timer: Final = node.timer(ELECTION_TIMEOUT, jitter=ELECTION_TIMEOUT)
        self.leader_heard_at: float = -math.inf
        self.round_trip: float = 0.0  # seconds that the latest election took
        node.on(PreVote)(self._on_pre_vote)
        node.on(RequestVote)(self._on_request_vote)
        node.background(self.watch)

    async def watch(self) -> None:
        """Stand for election each time that the timer expires. A campaign that lasts longer goes on."""
        async with trio.open_nursery() as nursery:
            await trio.sleep(self.node.random.uniform(0, ELECTION_TIMEOUT))  # not more: a pre-vote disturbs no leader
            while True:
                nursery.start_soon(self.campaign)
                self.election_timer.reset()
                await self.election_timer.wait()

    async def campaign(self) -> None:
        """Ask whether an election could be won, and if so, begin a term and ask for votes."""
        consensus, asked_at = self.consensus, trio.current_time()
        if self.hears_leader():
            return
        consensus.leader = None
        self.react()
        body = consensus.pre_vote()
        may_win = await self.ask(body) is not None
        if may_win and consensus.leader is None and consensus.term < body.term:
            request = consensus.start_election()
            await self.persist()  # its vote for itself
            voters = await self.ask(request) or ()
            self.round_trip = (trio.current_time() - asked_at) / 2
            consensus.count_votes(request.term, voters)
        await self.persist()  # the first entry of its term

    async def ask(self, body: RequestVote) -> Collection[str] | None:
        """Return the other members whose votes were accepted; None if they do not make a majority with this one."""
        ask = partial(self.node.rpc_quorum, self.node.peers, body, need=(len(self.node.peers) + 1) // 2, as_=Vote)
        try:
            return (await ask(accept=partial(self.consensus.accepts_vote, body), timeout=ANSWERS_COUNT_FOR)).replies
        except QuorumNotReached:
            return None

    def hears_leader(self) -> bool:
        """Tell whether this member leads, or has heard the leader within the election timeout."""
        return self.consensus.role == "leader" or trio.current_time() < self.leader_heard_at + ELECTION_TIMEOUT

    def _on_pre_vote(self, body: PreVote) -> Vote:
        return self.consensus.on_pre_vote(body, self.hears_leader())

    async def _on_request_vote(self, request: Request, body: RequestVote) -> Vote:
        vote = self.consensus.on_request_vote(request.src, body)
        if vote.granted:
            self.election_timer.reset()
        await self.persist()
        return vote
