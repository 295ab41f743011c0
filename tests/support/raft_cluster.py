"""A cluster of raft's rules without a network: every message waits in a bag until somebody delivers it, or loses it.

Each step is a choice of the caller, and after each step the five properties of the paper's figure 3 are checked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.log import RaftLog
from trio_messenger.nodes.raft.rpcs import (
    Appended,
    AppendEntries,
    InstallSnapshot,
    LogEntry,
    PreVote,
    RequestVote,
    Snapshot,
    Vote,
)


class BrokenPropertyError(AssertionError):
    """One of the five properties does not hold."""


@attrs.frozen
class Sent:
    """A message on its way; a reply carries the request that it answers."""

    src: str
    dest: str
    body: Any
    request: Any = None


class RuleCluster:
    """Members that know nothing but the rules of *consensus*."""

    def __init__(self, size: int, consensus: type[Consensus] = Consensus, log: type[RaftLog] = RaftLog) -> None:
        self.names = tuple(f"n{number}" for number in range(1, size + 1))
        self.members = {name: consensus(name, self.names, log()) for name in self.names}
        self.bag: list[Sent] = []
        self.votes: dict[tuple[str, RequestVote], list[str]] = {}  # by candidate and question
        self.leaders: dict[int, str] = {}  # by term
        self.led: dict[str, tuple[int, list[LogEntry | None]]] = {}  # the term and the log of each leader
        self.committed: list[LogEntry] = []
        self.committed_in: list[int] = []  # the term in which each of these was committed
        self.proposed = 0
        self.actions: tuple[Callable[[int], None], ...] = (
            *(self.deliver,) * 10,
            *(self.replicate,) * 6,
            *(self.propose,) * 2,
            *(self.repeat,) * 2,
            self.lose,
            self.stand,
            self.restart,
            self.compact,
        )

    def run(self, choices: Sequence[int]) -> None:
        """Do a step for each of *choices*."""
        for choice in choices:
            self.actions[choice % len(self.actions)](choice // len(self.actions))
            self.check()

    # Steps. Each takes a number, which decides what it does.

    def deliver(self, choice: int) -> None:
        if self.bag:
            self.take(self.bag.pop(self.place(choice)))

    def repeat(self, choice: int) -> None:
        if self.bag:
            self.take(self.bag[self.place(choice)])

    def lose(self, choice: int) -> None:
        if self.bag:
            self.bag.pop(self.place(choice))

    def place(self, choice: int) -> int:
        """Return the place of a message in the bag: mostly of a late one, but sometimes of one from long ago."""
        recent = len(self.bag) if choice % 8 == 0 else min(6, len(self.bag))
        return -1 - choice // 8 % recent

    def stand(self, choice: int) -> None:
        member = self.members[self.names[choice % len(self.names)]]
        if member.role != "leader":
            self.ask(member, member.pre_vote() if choice % 3 else member.start_election())

    def replicate(self, choice: int) -> None:
        for name in self.names:
            member = self.members[name]
            if member.role == "leader":
                # A leader does not append to its own log alone: it is durable when it is replicated.
                member.note_match(name, member.log.last_index)
                peer = self.names[choice % len(self.names)]
                if peer != name:
                    body = member.install_snapshot(peer) or member.append_entries(peer, choice // 8 % 4)
                    self.bag.append(Sent(name, peer, body))

    def propose(self, choice: int) -> None:
        leaders = [member for member in self.members.values() if member.role == "leader"]
        if leaders:
            leader = leaders[choice % len(leaders)]
            self.proposed += 1
            leader.log.append(LogEntry(leader.term, "c1", self.proposed, {}))

    def restart(self, choice: int) -> None:
        old = self.members[self.names[choice % len(self.names)]]
        # What is in memory before the snapshot is not in the store.
        log = copy.deepcopy(old.log)
        if old.snapshot is not None:
            log.discard_until(old.snapshot.index)
        made = type(old)(old.node_id, old.members, log, old.snapshot, old.term, old.voted_for)
        self.members[old.node_id] = made

    def compact(self, choice: int) -> None:
        member = self.members[self.names[choice % len(self.names)]]
        if member.commit_index > (0 if member.snapshot is None else member.snapshot.index):
            member.compact([entry.msg_id for entry in self.committed[: member.commit_index]], choice % 3)

    # Messages

    def ask(self, member: Consensus, body: RequestVote) -> None:
        self.votes[member.node_id, body] = []
        self.bag += [Sent(member.node_id, peer, body) for peer in self.names if peer != member.node_id]
        self.count(member, body)

    def take(self, sent: Sent) -> None:
        member = self.members[sent.dest]
        match sent.body:
            case PreVote():
                reply: Any = member.on_pre_vote(sent.body, hears_leader=False)
            case RequestVote():
                reply = member.on_request_vote(sent.src, sent.body)
            case AppendEntries():
                reply = member.on_append_entries(sent.src, sent.body)
            case InstallSnapshot():
                reply = member.on_install_snapshot(sent.src, sent.body)
            case Vote():
                if member.accepts_vote(sent.request, sent.body):
                    self.votes[sent.dest, sent.request].append(sent.src)
                    self.count(member, sent.request)
                return
            case Appended():
                if member.role == "leader":
                    member.on_appended(sent.src, sent.body)
                return
        self.bag.append(Sent(sent.dest, sent.src, reply, sent.body))

    def count(self, member: Consensus, asked: RequestVote) -> None:
        voters = self.votes[member.node_id, asked]
        if isinstance(asked, PreVote):
            if member.has_quorum([member.node_id, *voters]) and member.term < asked.term and member.role != "leader":
                self.ask(member, member.start_election())
        else:
            member.count_votes(asked.term, voters)

    # The five properties

    def check(self) -> None:
        members = list(self.members.values())
        for member in members:
            self.check_committed(member)
        for member in members:
            if member.role == "leader":
                self.check_leader(member)
        for number, one in enumerate(members):
            for other in members[:number]:
                check_log_matching(one.log, other.log)

    def check_committed(self, member: Consensus) -> None:
        """State-machine safety: no two members apply different entries at one index."""
        for index in range(1, member.commit_index + 1):
            entry = entry_at(member.log, index)
            if index > len(self.committed):
                if entry is None:
                    raise BrokenPropertyError(f"state-machine safety: {member.node_id} has lost entry {index}")
                self.committed.append(entry)
                self.committed_in.append(member.term)
            elif entry is not None and entry != self.committed[index - 1]:
                raise BrokenPropertyError(f"state-machine safety: {member.node_id} has committed another entry {index}")
        self.check_snapshot(member.snapshot)

    def check_snapshot(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            covered = self.committed[: snapshot.index]
            if snapshot.state != [entry.msg_id for entry in covered] or snapshot.term != covered[-1].term:
                raise BrokenPropertyError(f"state-machine safety: {snapshot} is not what was committed")

    def check_leader(self, leader: Consensus) -> None:
        name, term = leader.node_id, leader.term
        if self.leaders.setdefault(term, name) != name:
            raise BrokenPropertyError(f"election safety: {name} and {self.leaders[term]} lead in term {term}")
        log = [entry_at(leader.log, index) for index in range(1, leader.log.last_index + 1)]
        led_in, former = self.led.get(name, (0, []))
        if led_in == term and not are_equal(former, log[: len(former)]):
            raise BrokenPropertyError(f"leader append-only: {name} has changed its log")
        self.led[name] = term, log
        for index, (entry, committed_in) in enumerate(zip(self.committed, self.committed_in, strict=True), 1):
            if committed_in < term and index > leader.log.base_index and (index > len(log) or log[index - 1] != entry):
                raise BrokenPropertyError(f"leader completeness: {name} lacks committed entry {index}")


def entry_at(log: RaftLog, index: int) -> LogEntry | None:
    """Return the entry at *index*; None if it is discarded or does not exist."""
    return log.entry(index) if log.base_index < index <= log.last_index else None


def are_equal(some: Sequence[LogEntry | None], others: Sequence[LogEntry | None]) -> bool:
    """Tell whether two logs are equal where neither of them has discarded its entries."""
    return len(some) == len(others) and all(
        one is None or other is None or one == other for one, other in zip(some, others, strict=True)
    )


def check_log_matching(one: RaftLog, other: RaftLog) -> None:
    """Log matching: if two logs have an entry with the same index and term, all entries up to there are equal."""
    last = min(one.last_index, other.last_index)
    first = max(one.base_index, other.base_index) + 1
    are_equal_later = False
    for index in range(last, first - 1, -1):
        same_term = one.term_at(index) == other.term_at(index)
        if same_term and one.entry(index) != other.entry(index):
            raise BrokenPropertyError(f"log matching: entry {index}")
        if are_equal_later and not same_term:
            raise BrokenPropertyError(f"log matching: entry {index}, before equal ones")
        are_equal_later = are_equal_later or same_term
