"""The rules of raft one by one: the log, catching up, snapshots, and the state machine."""

from __future__ import annotations

from typing import Any

import pytest

from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.log import RaftLog
from trio_messenger.nodes.raft.rpcs import Appended, AppendEntries, InstallSnapshot, LogEntry, PreVote, Snapshot
from trio_messenger.nodes.raft.state_machine import ANSWERS, CLIENTS, StateMachine


def log_of(*terms: int, base_index: int = 0, base_term: int = 0) -> RaftLog:
    """Return a log whose entries have *terms*."""
    return RaftLog(map(LogEntry, terms), base_index=base_index, base_term=base_term)


def leader_of(*terms: int) -> Consensus:
    """Return the leader of a later term, one of three members, whose log had entries of *terms* before."""
    leader = Consensus("n1", ("n1", "n2", "n3"), log_of(*terms), term=terms[-1])
    request = leader.start_election()
    leader.count_votes(request.term, ["n2"])
    return leader


def rounds_until_equal(leader: Consensus, follower: Consensus) -> int:
    """Return how many round trips it takes until *follower* has the log of *leader*."""
    for count in range(1, 100):
        body = leader.install_snapshot("n2")
        if body is not None:
            reply = follower.on_install_snapshot("n1", body)
        else:
            reply = follower.on_append_entries("n1", leader.append_entries("n2", 1000))
        leader.on_appended("n2", reply)
        if leader.match_index["n2"] == leader.log.last_index:
            return count
    pytest.fail("the follower does not catch up")


def test_a_lagging_follower_catches_up_in_a_few_round_trips() -> None:
    """However many entries it lacks or has in excess: each refusal skips a whole term."""
    leader = leader_of(*[1] * 100, *[4] * 300)
    short = Consensus("n2", leader.members, log_of(*[1] * 50), term=1)
    assert rounds_until_equal(leader, short) == 2
    leader = leader_of(*[1] * 100, *[4] * 300)
    wrong = Consensus("n2", leader.members, log_of(*[1] * 100, *[2] * 200, *[3] * 200), term=3)
    assert rounds_until_equal(leader, wrong) == 3
    assert [entry.term for entry in wrong.log.entries] == [1] * 100 + [4] * 300 + [5]


def test_a_follower_far_behind_gets_the_snapshot_and_what_comes_after_it() -> None:
    """If the leader has discarded what a follower lacks, its snapshot replaces it."""
    leader = leader_of(1, 1, 1, 1)
    leader.note_match("n1", 5)
    leader.note_match("n3", 5)
    assert leader.commit_index == 5
    leader.compact({"x": 1}, keep=1)
    assert (leader.log.base_index, leader.log.base_term, leader.log.last_index) == (4, 1, 5)
    follower = Consensus("n2", leader.members, RaftLog())
    assert rounds_until_equal(leader, follower) == 2
    assert follower.snapshot == Snapshot(5, 2, {"x": 1})
    assert (follower.log.base_index, follower.log.base_term, follower.commit_index) == (5, 2, 5)


def test_a_snapshot_keeps_later_entries_only_of_an_equal_log() -> None:
    """An old snapshot changes nothing; a member with another log has nothing left of it."""

    def after(log: RaftLog, index: int, term: int, commit_index: int = 0) -> tuple[int, list[int]]:
        member = Consensus("n2", ("n1", "n2", "n3"), log)
        member.commit_index = commit_index
        reply = member.on_install_snapshot("n1", InstallSnapshot(7, Snapshot(index, term, None)))
        assert reply == Appended(7, success=True, index=index)
        return member.log.base_index, [entry.term for entry in member.log.entries]

    assert after(log_of(1, 1, 2, 2), 2, 1) == (2, [2, 2])
    assert after(log_of(1, 1, 2, 2), 2, 3) == (2, [])
    assert after(log_of(1), 2, 1) == (2, [])
    assert after(log_of(1, 1, 2, 2), 2, 1, commit_index=3) == (0, [1, 1, 2, 2])


def test_messages_of_an_earlier_term_are_refused() -> None:
    """Their sender learns the later term."""
    member = Consensus("n2", ("n1", "n2", "n3"), log_of(1), term=4)
    assert member.on_append_entries("n1", AppendEntries(3, 0, 0, [], 0)) == Appended(4, success=False)
    assert member.on_install_snapshot("n1", InstallSnapshot(3, Snapshot(9, 3, None))) == Appended(4, success=False)
    assert member.leader is None
    leader = leader_of(1)
    leader.on_appended("n2", Appended(9, success=False))
    assert (leader.role, leader.term) == ("follower", 9)


def test_a_refusal_of_long_ago_changes_nothing() -> None:
    """A leader does not go back behind what it knows to be equal."""
    leader = leader_of(1, 1, 1)
    leader.on_appended("n2", Appended(2, success=True, index=3))
    leader.on_appended("n2", Appended(2, success=False, index=2, conflict_index=1))
    assert leader.next_index["n2"] == 4


def test_entries_again_change_nothing() -> None:
    """A repeated message truncates nothing that came after it, nor what a snapshot covers."""
    member = Consensus("n2", ("n1", "n2", "n3"), log_of(1, 1, 1, base_index=2, base_term=1), term=1)
    for prev in (0, 1, 2, 3):
        reply = member.on_append_entries("n1", AppendEntries(1, prev, prev and 1, [LogEntry(1), LogEntry(1)], 2))
        assert reply == Appended(1, success=True, index=prev + 2)
    assert len(member.log.entries) == 3


def test_pre_vote_disturbs_nobody() -> None:
    """It changes no term, and a member that hears its leader refuses it, and so does one with a better log."""
    member = Consensus("n2", ("n1", "n2", "n3"), log_of(1, 2), term=4)
    assert member.on_pre_vote(PreVote(5, 2, 2), hears_leader=False).granted
    assert not member.on_pre_vote(PreVote(5, 2, 2), hears_leader=True).granted
    assert not member.on_pre_vote(PreVote(5, 3, 1), hears_leader=False).granted
    assert not member.on_pre_vote(PreVote(4, 2, 2), hears_leader=False).granted
    assert (member.term, member.voted_for) == (4, None)


def test_reads_wait_for_the_first_entry_of_the_term() -> None:
    """A new leader does not know yet what was committed before."""
    leader = leader_of(1, 1)
    leader.note_match("n2", 2)
    leader.note_match("n1", 3)
    assert (leader.commit_index, leader.may_serve_reads()) == (0, False)
    leader.note_match("n2", 3)
    assert (leader.commit_index, leader.may_serve_reads()) == (3, True)


# The state machine


def do(
    machine: StateMachine, kind: str, msg_id: int | None = None, client: str = "c1", **fields: Any
) -> dict[str, Any]:
    """Apply a request, and return its answer."""
    fields = {name.rstrip("_"): value for name, value in fields.items()}
    return machine.apply(LogEntry(1, client, msg_id, {"type": kind, **fields}))


def test_keys_are_read_written_and_compared_as_by_the_service() -> None:
    """The answers, the codes and the texts are those of lin-kv; values are compared as JSON."""
    machine = StateMachine()
    missing = {"type": "error", "code": 20, "text": "key does not exist: 1"}
    assert do(machine, "read", key=1) == missing
    assert do(machine, "cas", key=1, from_=0, to=1) == missing
    assert do(machine, "cas", key=1, from_=0, to=1, create_if_not_exists=False) == missing
    assert do(machine, "cas", key=1, from_=0, to=[1], create_if_not_exists=True) == {"type": "cas_ok"}
    assert do(machine, "read", key=1) == {"type": "read_ok", "value": [1]}
    assert do(machine, "read", key="1")["code"] == 20
    assert do(machine, "write", key=1, value={"b": 1, "a": 2}) == {"type": "write_ok"}
    different = {"type": "error", "code": 22, "text": 'current value {"a":2,"b":1} is not {"a":2.0,"b":1}'}
    assert do(machine, "cas", key=1, from_={"a": 2.0, "b": 1}, to=3) == different
    assert do(machine, "cas", key=1, from_={"a": 2, "b": 1}, to=None) == {"type": "cas_ok"}
    assert do(machine, "read", key=1) == {"type": "read_ok", "value": None}


def test_a_retry_gets_the_first_answer_and_takes_no_effect() -> None:
    """Also after a snapshot, and if the first answer was an error. A request without a number has no retries."""
    machine = StateMachine()
    do(machine, "write", 1, key="x", value=1)
    assert do(machine, "cas", 2, key="x", from_=1, to=2) == {"type": "cas_ok"}
    failed = do(machine, "cas", 3, key="x", from_=1, to=2)
    restored = StateMachine()
    restored.restore(machine.snapshot())
    for each in (machine, restored):
        do(each, "write", 4, key="x", value=1)
        assert do(each, "cas", 2, key="x", from_=1, to=2) == {"type": "cas_ok"}
        assert do(each, "cas", 3, key="x", from_=1, to=2) == failed
        assert do(each, "read", key="x")["value"] == 1
        assert do(each, "cas", None, key="x", from_=1, to=2) == {"type": "cas_ok"}
        assert do(each, "cas", 2, client="c2", key="x", from_=1, to=2)["code"] == 22
    assert restored.snapshot() == machine.snapshot()


def test_an_empty_entry_has_no_effect() -> None:
    """A leader appends one at the beginning of its term."""
    machine = StateMachine()
    assert machine.apply(LogEntry(1)) == {}
    assert machine.snapshot() == StateMachine().snapshot()


def test_a_retry_that_comes_too_late_gets_an_indefinite_error() -> None:
    """Its answer is forgotten, so nobody knows whether it took effect. It does not take effect now."""
    machine = StateMachine()
    for number in range(ANSWERS + 1):
        do(machine, "write", number, key="x", value=number)
    assert do(machine, "write", 0, key="x", value=0)["code"] == 0
    assert do(machine, "read", key="x")["value"] == ANSWERS
    assert do(machine, "write", 1, key="x", value=1) == {"type": "write_ok"}
    assert do(machine, "read", key="x")["value"] == ANSWERS


def test_the_clients_that_wrote_least_recently_are_forgotten() -> None:
    """So the memory does not grow with the number of clients."""
    machine = StateMachine()
    do(machine, "write", 1, client="first", key="x", value=0)
    for number in range(CLIENTS):
        do(machine, "write", 1, client=f"c{number}", key="x", value=number)
    assert len(machine.answers) == CLIENTS
    assert "first" not in machine.answers
