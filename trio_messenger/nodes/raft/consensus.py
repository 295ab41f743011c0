"""The rules of Raft, after figures 2 and 13 of the paper: terms, votes, and what is committed. No I/O, no clock.

Each rule is a method. A method changes the state of one member, and returns the message to send. The caller makes
``term``, ``voted_for``, the log and the snapshot durable before it sends that message.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import attrs

from .log import RaftLog
from .rpcs import Appended, AppendEntries, InstallSnapshot, LogEntry, PreVote, RequestVote, Snapshot, Vote


@attrs.define(eq=False)
class Consensus:
    """One member's part in the agreement on the log. The first six fields are those that it must not forget."""

    node_id: str
    members: tuple[str, ...]  # all of them, this one included
    log: RaftLog
    snapshot: Snapshot | None = None
    term: int = 0
    voted_for: str | None = None
    role: Literal["follower", "candidate", "leader"] = attrs.field(default="follower", init=False)
    leader: str | None = attrs.field(default=None, init=False)
    commit_index: int = attrs.field(init=False, default=attrs.Factory(lambda self: self.log.base_index, True))
    next_index: dict[str, int] = attrs.field(factory=dict, init=False)  # by member: the next entry to send
    match_index: dict[str, int] = attrs.field(factory=dict, init=False)  # by member: how far its durable log is equal

    def has_quorum(self, members: Collection[str]) -> bool:
        """Tell whether *members* are a majority."""
        return len(set(members)) > len(self.members) // 2

    def is_up_to_date(self, candidate: RequestVote) -> bool:
        """Tell whether a candidate's log is as up to date as this one: the later last term wins, then the length."""
        return (candidate.last_log_term, candidate.last_log_index) >= self.log.last_entry[::-1]

    def observe(self, term: int) -> None:
        """Become a follower if *term*, which came in a message, is later than this member's."""
        if term > self.term:
            self.term, self.voted_for = term, None
            self.step_down()

    def step_down(self, leader: str | None = None) -> None:
        """Be a follower of *leader*, or of nobody known yet."""
        self.role, self.leader = "follower", leader

    def pre_vote(self) -> PreVote:
        """Return the question before an election. The term does not change, so a hopeless candidate disturbs nobody."""
        return PreVote(self.term + 1, *self.log.last_entry)

    def on_pre_vote(self, body: PreVote, hears_leader: bool) -> Vote:
        """Tell whether this member would vote for a candidate. It would not while it hears a leader."""
        return Vote(self.term, body.term > self.term and not hears_leader and self.is_up_to_date(body))

    def start_election(self) -> RequestVote:
        """Begin a term as its candidate."""
        self.term, self.voted_for = self.term + 1, self.node_id
        self.role, self.leader = "candidate", None
        return RequestVote(self.term, *self.log.last_entry)

    def on_request_vote(self, candidate: str, body: RequestVote) -> Vote:
        """Vote for the first candidate of a term whose log is up to date."""
        self.observe(body.term)
        granted = body.term == self.term and self.voted_for in (None, candidate) and self.is_up_to_date(body)
        if granted:
            self.voted_for = candidate
        return Vote(self.term, granted)

    def accepts_vote(self, asked: RequestVote, vote: Vote) -> bool:
        """Tell whether *vote* counts. One for an election must be of the current term."""
        self.observe(vote.term)
        is_current = vote.term == self.term and self.role == "candidate"
        return vote.granted and (is_current or isinstance(asked, PreVote))

    def count_votes(self, term: int, voters: Collection[str]) -> None:
        """Become the leader if *voters* are a majority, and append an empty entry, to commit all that is before it."""
        if self.role == "candidate" and term == self.term and self.has_quorum([self.node_id, *voters]):
            self.role, self.leader = "leader", self.node_id
            self.next_index = dict.fromkeys(self.members, self.log.last_index + 1)
            self.match_index = dict.fromkeys(self.members, 0)
            self.log.append(LogEntry(self.term))

    def append_entries(self, peer: str, limit: int) -> AppendEntries:
        """Return the next entries for *peer*, at most *limit*. The leader does not wait for answers to earlier ones."""
        prev = max(self.next_index[peer] - 1, self.log.base_index)
        entries = self.log.entries[prev - self.log.base_index :][:limit]
        if entries:
            self.next_index[peer] = prev + len(entries) + 1
        return AppendEntries(self.term, prev, self.log.term_at(prev) or 0, entries, self.commit_index)

    def install_snapshot(self, peer: str) -> InstallSnapshot | None:
        """Return the snapshot if *peer* needs entries that the log has no longer; otherwise None."""
        if self.snapshot is None or self.next_index[peer] > self.log.base_index:
            return None
        self.next_index[peer] = self.snapshot.index + 1
        return InstallSnapshot(self.term, self.snapshot)

    def is_current(self, reply: Appended) -> bool:
        """Tell whether *reply* shows that its sender follows this leader in the current term."""
        self.observe(reply.term)
        return self.role == "leader" and reply.term == self.term

    def on_appended(self, peer: str, reply: Appended) -> None:
        """Note how far the log of *peer* equals this one, or how far back it may do so."""
        if self.is_current(reply):
            if reply.success:
                self.note_match(peer, reply.index)
            elif reply.index > self.match_index[peer]:
                self.lower_next_index(peer, reply)

    def note_match(self, peer: str, index: int) -> None:
        """Note that the durable log of *peer* equals this one up to *index*."""
        self.match_index[peer] = max(self.match_index[peer], index)
        self.next_index[peer] = max(self.next_index[peer], index + 1)
        self.advance_commit_index()

    def lower_next_index(self, peer: str, reply: Appended) -> None:
        """Go back to where the logs may be equal: by one term, not by one entry (section 5.3)."""
        self.next_index[peer] = max(self.match_index[peer] + 1, reply.conflict_index)

    def advance_commit_index(self) -> None:
        """Commit what a majority has, if it is of this term. That commits all entries before it, too (figure 8)."""
        index = sorted(self.match_index.values(), reverse=True)[len(self.members) // 2]
        if index > self.commit_index and self.is_of_this_term(index):
            self.commit_index = index

    def is_of_this_term(self, index: int) -> bool:
        """Tell whether the entry at *index* was appended in the current term."""
        return self.log.term_at(index) == self.term

    def may_serve_reads(self) -> bool:
        """Tell whether this is a leader that has committed an entry of its term, and so knows all that is committed."""
        return self.role == "leader" and self.is_of_this_term(self.commit_index)

    def follows(self, leader: str, term: int) -> bool:
        """Follow *leader*, unless *term* is over."""
        self.observe(term)
        if term == self.term:
            self.step_down(leader)
        return term == self.term

    def on_append_entries(self, leader: str, body: AppendEntries) -> Appended:
        """Take over the leader's entries if the logs are equal before them."""
        if not self.follows(leader, body.term):
            return Appended(self.term, success=False)
        if not self.log.matches(body.prev_log_index, body.prev_log_term):
            return self.conflict(body.prev_log_index)
        self.log.merge(body.prev_log_index, body.entries)
        index = body.prev_log_index + len(body.entries)
        self.commit_index = max(self.commit_index, self.proven_commit_index(body.leader_commit, index))
        return Appended(self.term, success=True, index=index)

    def proven_commit_index(self, leader_commit: int, index: int) -> int:
        """Return up to where entries are committed *and* known to be the leader's. Later ones may be others."""
        return min(leader_commit, index)

    def conflict(self, index: int) -> Appended:
        """Return the refusal of entries after *index*, which tells the leader how far to go back."""
        term, first = self.log.term_at(index), min(index, self.log.last_index + 1)
        while term is not None and self.log.term_at(first - 1) == term:
            first -= 1
        return Appended(self.term, success=False, index=index, conflict_index=first)

    def compact(self, state: Any, keep: int) -> None:
        """Let *state*, the state after all committed entries, replace them, except the latest *keep*."""
        self.snapshot = Snapshot(self.commit_index, self.log.entry(self.commit_index).term, state)
        self.log.discard_until(self.commit_index - keep)

    def on_install_snapshot(self, leader: str, body: InstallSnapshot) -> Appended:
        """Take over the leader's snapshot, unless all that it covers is known to be committed already."""
        if not self.follows(leader, body.term):
            return Appended(self.term, success=False)
        if body.snapshot.index > self.commit_index:
            self.snapshot, self.commit_index = body.snapshot, body.snapshot.index
            self.log.begin_after(body.snapshot)
        return Appended(self.term, success=True, index=body.snapshot.index)
