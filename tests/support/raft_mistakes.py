"""Famous mistakes in implementations of Raft, each a patch of one rule of the ready-made node; `MISTAKES`."""

# ruff: noqa: ARG002 - wrong rules ignore what the right ones look at

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from typing import Any, ClassVar

import trio

from trio_messenger import Body, DurableStore, Node, Request
from trio_messenger.nodes import raft
from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.log import RaftLog
from trio_messenger.nodes.raft.rpcs import Appended, AppendEntries, Forward, LogEntry, PreVote, RequestVote, Vote
from trio_messenger.nodes.raft.state_machine import StateMachine


class OneByOne(Consensus):
    """Sends one entry at a time, so that a log can be a part of another one at any of its entries."""

    def append_entries(self, peer: str, limit: int) -> AppendEntries:
        return super().append_entries(peer, min(limit, 1))


class Small(raft.Raft):
    """The right node, with figures for short runs: many snapshots, and one entry in each message."""

    consensus_type: ClassVar[type[Consensus]] = OneByOne
    snapshot_every, keep = 10, 2

    def __init__(self, node: Node, store: DurableStore) -> None:
        super().__init__(node, store)
        node.expose(self)  # to invariants


class Long(Small):
    """The right node without snapshots, so that a member which is behind gets all entries."""

    snapshot_every, keep = 10_000, 10_000


class VotesForAnyone(Small):
    """A member votes without looking whose log is more up to date."""

    class consensus_type(OneByOne):  # noqa: N801
        def is_up_to_date(self, candidate: RequestVote) -> bool:
            return True


class AnswersBeforeSync(Small):
    """A member answers first, and lets the store sync after that."""

    def __init__(self, node: Node, store: DurableStore) -> None:
        super().__init__(node, store)
        self.wants_sync = trio.Event()
        node.background(self.sync_later)

    async def persist(self) -> None:
        self.react()
        if self.consensus.role == "leader":
            self.consensus.note_match(self.node.id, self.consensus.log.last_index)
        self.react()
        self.wants_sync.set()
        await trio.lowlevel.checkpoint()

    async def sync_later(self) -> None:
        while True:
            await self.wants_sync.wait()
            self.wants_sync = trio.Event()
            self.save()
            await self.store.sync()

    def save(self) -> None:
        """Do nothing more: everything has been assigned."""


class SavesAfterReplying(AnswersBeforeSync):
    """A member assigns what has changed only after it has answered."""

    def react(self) -> None:
        state, self.durable_state = self.durable_state, _Nothing()  # type: ignore[assignment,misc]
        super().react()
        self.durable_state = state  # type: ignore[misc]

    def save(self) -> None:
        self.durable_state.save(self.consensus)


class _Nothing:
    def save(self, consensus: Consensus) -> None:
        """Save nothing."""


class ForgetsItsVote(Small):
    """A member stores its term, but not its vote."""

    def begin(self) -> None:
        super().begin()
        self.consensus.voted_for = None


class CommitsOlderTerms(Small):
    """A leader commits an entry of an older term by counting replicas: figure 8 of the paper."""

    class consensus_type(OneByOne):  # noqa: N801
        def is_of_this_term(self, index: int) -> bool:
            return True


class _TruncatingLog(RaftLog):
    def conflicts(self, index: int, entry: LogEntry) -> bool:
        return self.base_index < index <= self.last_index


class TruncatesAlways(Small):
    """A follower truncates its log where the leader's entries begin, also if they do not conflict."""

    consensus_type = Consensus  # one by one, each entry would be sent again and again

    def begin(self) -> None:
        super().begin()
        self.consensus.log.__class__ = _TruncatingLog


class CommitsMoreThanIsProven(Long):
    """A follower takes over the leader's commit index, whatever its own log has there."""

    class consensus_type(OneByOne):  # noqa: N801
        def proven_commit_index(self, leader_commit: int, index: int) -> int:
            return min(leader_commit, self.log.last_index)


class StaleLeaderReads(Small):
    """A leader answers reads without asking whether it still leads."""

    async def confirm_leadership(self) -> bool:
        await trio.lowlevel.checkpoint()
        return self.consensus.role == "leader"


class ReadsBeforeItsFirstCommit(Small):
    """A new leader answers reads before it has committed an entry of its term."""

    class consensus_type(OneByOne):  # noqa: N801
        def may_serve_reads(self) -> bool:
            return self.role == "leader"


class EveryMessageResetsTheTimer(Small):
    """Each message makes a member wait again for its leader, also those of clients and candidates."""

    async def serve(self, request: Request) -> Body:
        self.election_timer.reset()
        return await super().serve(request)

    async def on_forward(self, body: Forward) -> Body:
        self.election_timer.reset()
        return await super().on_forward(body)

    def _on_pre_vote(self, body: PreVote) -> Vote:
        self.election_timer.reset()
        return super()._on_pre_vote(body)

    async def _on_request_vote(self, request: Request, body: RequestVote) -> Vote:
        self.election_timer.reset()
        return await super()._on_request_vote(request, body)


class SnapshotWithoutIndexAndTerm(Small):
    """A snapshot has the state, but the log forgets where it ends."""

    class consensus_type(OneByOne):  # noqa: N801
        def compact(self, state: Any, keep: int) -> None:
            super().compact(state, keep)
            self.log.base_term = 0


class AcceptsOldAnswers(Long):
    """A leader or candidate counts answers of an older term."""

    class consensus_type(OneByOne):  # noqa: N801
        def is_current(self, reply: Appended) -> bool:
            self.observe(reply.term)
            return self.role == "leader"

        def accepts_vote(self, asked: RequestVote, vote: Vote) -> bool:
            self.observe(vote.term)
            return vote.granted

        def count_votes(self, term: int, voters: Collection[str]) -> None:
            super().count_votes(self.term, voters)


class CountsRepliesNotMembers(Small):
    """A leader counts the acknowledgements of an entry, also two of the same member."""

    class consensus_type(OneByOne):  # noqa: N801
        def note_match(self, peer: str, index: int) -> None:
            counts: Counter[tuple[int, int]] = self.__dict__.setdefault("counts", Counter())
            counts[self.term, index] += 1
            super().note_match(peer, index)
            enough = counts[self.term, index] > len(self.members) // 2
            if enough and index > self.commit_index and self.is_of_this_term(index):
                self.commit_index = index


class Impatient(Small):
    """The right node, which passes a request on again if the leader has not answered soon."""

    consensus_type = Consensus  # each retry is an entry, too many to send them one by one

    async def pass_on(self, forward: Forward) -> Body | None:
        with trio.move_on_after(math.inf if self.consensus.leader == self.node.id else 0.25):
            return await super().pass_on(forward)
        return None


class AppliesRetriesTwice(Impatient):
    """The state machine does not recognise a request that it has applied before."""

    class machine_type(StateMachine):  # noqa: N801
        def answer_again(self, entry: LogEntry) -> Body | None:
            return None


class NeverLowersNextIndex(Long):
    """A leader sends the same entries again and again to a follower that cannot take them."""

    class consensus_type(OneByOne):  # noqa: N801
        def lower_next_index(self, peer: str, reply: Appended) -> None:
            pass


MISTAKES = {
    mistake.__name__: mistake
    for mistake in (
        VotesForAnyone,
        AnswersBeforeSync,
        SavesAfterReplying,
        ForgetsItsVote,
        CommitsOlderTerms,
        TruncatesAlways,
        CommitsMoreThanIsProven,
        StaleLeaderReads,
        ReadsBeforeItsFirstCommit,
        EveryMessageResetsTheTimer,
        SnapshotWithoutIndexAndTerm,
        AcceptsOldAnswers,
        CountsRepliesNotMembers,
        AppliesRetriesTwice,
        NeverLowersNextIndex,
    )
}
"""All mistakes, by name."""
