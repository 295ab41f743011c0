"""Famous mistakes in implementations of Raft: the simulator finds them, by its checkers or by the five invariants."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.hunts import RAFT, RAFT_HUNTS, RIGHT
from support.raft_invariants import (
    ElectionSafety,
    LeaderAppendOnly,
    LeaderCompleteness,
    LogMatching,
    StateMachineSafety,
)
from support.raft_mistakes import MISTAKES

from trio_messenger import Node
from trio_messenger.nodes import raft
from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.log import RaftLog
from trio_messenger.nodes.raft.rpcs import LogEntry
from trio_messenger.sim import Invariant

NAMES = ("n1", "n2", "n3")

FOUND = {
    "VotesForAnyone": 2,
    "AnswersBeforeSync": 3,
    "StaleLeaderReads": 1,
    "CommitsOlderTerms": 0,
    "TruncatesAlways": 0,
    "ForgetsItsVote": 7,
}
"""The mistakes that are searched for here, each with a seed that finds it; `nox -s campaign -- raft` has all."""

PASSED = ("cuts and kills",)
"""Options with which the right node is run here; `nox -s campaign -- raft` has all."""


def test_there_are_fourteen_mistakes_and_each_says_what_it_is() -> None:
    """Each is a subclass of the ready-made node, and there is a hunt for it."""
    assert len(MISTAKES) >= 14
    assert MISTAKES.keys() == RAFT.keys()
    for mistake in MISTAKES.values():
        assert issubclass(mistake, raft.Raft)
        assert inspect.getdoc(mistake)
        assert isinstance(raft.build(member=mistake), Node)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUND)
def test_a_mistake_is_found(name: str) -> None:
    """By a checker, or by an invariant."""
    [hunt] = [hunt for hunt in RAFT_HUNTS if hunt.name == f"raft {name}"]
    assert hunt.catch(FOUND[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", PASSED)
def test_the_right_node_passes_with_the_same_options(name: str) -> None:
    """So what is found are the mistakes."""
    [hunt] = [hunt for hunt in RIGHT if hunt.name == f"raft right, {name}"]
    report = hunt.run(0)
    assert report.valid is True, report


# The invariants


def members(**terms: tuple[int, ...]) -> dict[str, Any]:
    """Return members whose logs have entries of these terms; their term is that of the last entry."""
    return {
        name: SimpleNamespace(consensus=consensus)
        for name in terms
        for consensus in (Consensus(name, NAMES, RaftLog(map(LogEntry, terms[name])), term=terms[name][-1]),)
    }


def rules(shown: dict[str, Any], name: str) -> Consensus:
    return cast("Consensus", shown[name].consensus)


def breaks(invariant: Invariant, shown: dict[str, Any], text: str) -> None:
    """Assert that *invariant* is violated."""
    with pytest.raises(AssertionError, match=text):
        invariant(shown)


def test_two_leaders_in_a_term_break_election_safety() -> None:
    """Also if one of them leads no longer, and if both are lives of the same member."""
    invariant, shown = ElectionSafety(), members(n1=(1,), n2=(1,), n3=(1,))
    invariant(cast("dict[str, Any]", {"n1": SimpleNamespace()}))  # no init yet
    rules(shown, "n1").role = "leader"
    invariant(shown)
    rules(shown, "n1").role = "follower"
    rules(shown, "n2").role = "leader"
    breaks(invariant, shown, "two leaders in term 1: n1 and n2")
    rules(shown, "n2").term = 2
    invariant(shown)


def test_a_leader_that_deletes_or_replaces_an_entry_is_not_append_only() -> None:
    """A follower may do that, and a leader may compact its log."""
    invariant, shown = LeaderAppendOnly(), members(n1=(1, 1, 1))
    consensus = rules(shown, "n1")
    invariant(shown)
    consensus.log.entries.pop()
    invariant(shown)  # as a follower
    consensus.role = "leader"
    invariant(shown)
    consensus.log.discard_until(2)
    invariant(shown)
    consensus.log.append(LogEntry(1))
    invariant(shown)
    consensus.log.entries[-1] = LogEntry(1)
    breaks(invariant, shown, "leader n1 of term 1 has no longer its entry 3")
    consensus.log.entries.pop()
    breaks(invariant, shown, "leader n1 of term 1 has no longer its entry 3")


def test_an_entry_with_another_command_or_after_another_term_breaks_log_matching() -> None:
    """Logs that differ after what is equal are no contradiction."""
    invariant, shown = LogMatching(), members(n1=(1, 1, 2), n2=(1, 1, 3))
    invariant(shown)
    invariant(shown)
    rules(shown, "n1").log.append(LogEntry(2))
    invariant(shown)
    breaks(invariant, members(n3=(1, 2, 2)), "entry 3 of term 2 comes after term 2 at n3, elsewhere 1")
    other = members(n3=(1, 1, 3))
    rules(other, "n3").log.entries[2] = LogEntry(3, "c1", 1, {"type": "write"})
    breaks(invariant, other, "entry 3 of term 3 is another one in the log of n3")


def test_two_entries_committed_at_an_index_break_state_machine_safety() -> None:
    """The index of a snapshot counts, too."""
    invariant, shown = StateMachineSafety(), members(n1=(1, 1, 2), n2=(1, 1, 3))
    for name, index in (("n1", 3), ("n2", 2)):
        rules(shown, name).commit_index = index
        invariant(shown)
        invariant(shown)
    rules(shown, "n2").commit_index = 3
    breaks(invariant, shown, "n2 commits entry 3 of term 3, another member one of 2")
    late = members(n3=(1, 1, 3, 3))
    rules(late, "n3").log.discard_until(3)
    rules(late, "n3").commit_index = 3
    breaks(invariant, late, "n3 commits entry 3 of term 3, another member one of 2")


def test_a_leader_without_a_committed_entry_breaks_leader_completeness() -> None:
    """If its term is later than the one in which the entry was committed."""
    invariant, shown = LeaderCompleteness(), members(n1=(1, 1), n2=(1, 3), n3=(1,))
    rules(shown, "n1").commit_index = 2
    rules(shown, "n3").role = "leader"
    invariant(shown)  # n3 leads the same term
    rules(shown, "n2").role = "leader"
    breaks(invariant, shown, "leader n2 of term 3 lacks the committed entry 2 of 1")
    rules(shown, "n2").log.discard_until(2)
    invariant(shown)
