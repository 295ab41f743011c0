"""The five properties of the paper's figure 3, in clusters of raft's rules that are driven at random."""

# ruff: noqa: ARG002 - broken rules ignore what the right ones look at

from __future__ import annotations

from collections.abc import Collection
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.raft_cluster import BrokenPropertyError, RuleCluster

from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.log import RaftLog
from trio_messenger.nodes.raft.rpcs import LogEntry, RequestVote, Vote


def choices(seed: int) -> list[int]:
    """Return the steps of a run."""
    chance = Random(seed)
    return [chance.randrange(2**20) for _ in range(500)]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from([1, 2, 3, 3, 5]), st.lists(st.integers(0, 2**20 - 1), max_size=300))
def test_the_five_properties_hold(size: int, steps: list[int]) -> None:
    """No order of messages, losses, repetitions, elections, kills and snapshots breaks one of them."""
    RuleCluster(size).run(steps)


def test_random_runs_get_somewhere() -> None:
    """The steps elect leaders in several terms, commit entries, and take snapshots, so there is something to break."""
    clusters = [RuleCluster(size) for size in (3, 5)]
    for seed, cluster in enumerate(clusters):
        cluster.run(choices(seed))
    assert sum(len(cluster.leaders) for cluster in clusters) > 4
    assert sum(len(cluster.committed) for cluster in clusters) > 4
    assert any(member.snapshot is not None for cluster in clusters for member in cluster.members.values())


class VotesForAnyone(Consensus):
    def is_up_to_date(self, candidate: RequestVote) -> bool:
        return True


class VotesTwice(Consensus):
    def on_request_vote(self, candidate: str, body: RequestVote) -> Vote:
        self.voted_for = None
        return super().on_request_vote(candidate, body)


class CountsOldVotes(Consensus):
    def accepts_vote(self, asked: RequestVote, vote: Vote) -> bool:
        return vote.granted

    def count_votes(self, term: int, voters: Collection[str]) -> None:
        super().count_votes(self.term, voters)


class CountsRepliesNotMembers(Consensus):
    def has_quorum(self, members: Collection[str]) -> bool:
        return len(members) > len(self.members) // 2


class CommitsOlderTerms(Consensus):
    def is_of_this_term(self, index: int) -> bool:
        return True


class CommitsMoreThanIsProven(Consensus):
    def proven_commit_index(self, leader_commit: int, index: int) -> int:
        return min(leader_commit, self.log.last_index)


class SnapshotWithoutTerm(Consensus):
    def compact(self, state: object, keep: int) -> None:
        super().compact(state, keep)
        self.log.base_term = 0


class TruncatesAlways(RaftLog):
    def conflicts(self, index: int, entry: LogEntry) -> bool:
        return self.base_index < index <= self.last_index


class MatchesAnything(RaftLog):
    def matches(self, index: int, term: int) -> bool:
        return index <= self.last_index


@pytest.mark.parametrize(
    ("consensus", "log", "seed", "broken"),
    [
        (VotesForAnyone, RaftLog, 0, "leader completeness"),
        (VotesTwice, RaftLog, 17, "election safety"),
        (CountsOldVotes, RaftLog, 147, "election safety"),
        (CountsRepliesNotMembers, RaftLog, 7, "leader completeness"),
        (CommitsOlderTerms, RaftLog, 4, "leader completeness"),
        (CommitsMoreThanIsProven, RaftLog, 6, "state-machine safety"),
        (SnapshotWithoutTerm, RaftLog, 480, "leader completeness"),
        (Consensus, TruncatesAlways, 16, "leader completeness"),
        (Consensus, MatchesAnything, 4, "log matching"),
    ],
)
def test_a_broken_rule_breaks_a_property(
    consensus: type[Consensus], log: type[RaftLog], seed: int, broken: str
) -> None:
    """Each rule is needed: without it, some run breaks a property; with it, the same run breaks none."""
    size = 5 if seed % 2 else 3
    with pytest.raises(BrokenPropertyError, match=broken):
        RuleCluster(size, consensus, log).run(choices(seed))
    RuleCluster(size).run(choices(seed))
