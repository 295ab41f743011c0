"""The five properties of Raft (figure 3 of the paper), as invariants of a run whose members expose themselves.

Each remembers what it has seen, so each run needs new ones: `raft_invariants`. Each looks only at what has changed, so
a check of a quiet member costs a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from trio_messenger.nodes.raft import Raft
from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.rpcs import LogEntry
from trio_messenger.sim import Invariant


def _ready(members: Mapping[str, Raft]) -> Iterator[tuple[str, Consensus]]:
    """Yield the rules of each member that has got ``init``."""
    for node_id, member in members.items():
        consensus: Consensus | None = getattr(member, "consensus", None)
        if consensus is not None:
            yield node_id, consensus


class ElectionSafety:
    """In each term, there is at most one leader: one member, in one of its lives."""

    def __init__(self) -> None:
        self._leaders: dict[int, tuple[str, Consensus]] = {}

    def __call__(self, members: Mapping[str, Raft]) -> None:
        for node_id, consensus in _ready(members):
            if consensus.role == "leader":
                other, its = self._leaders.setdefault(consensus.term, (node_id, consensus))
                assert its is consensus, f"two leaders in term {consensus.term}: {other} and {node_id}"


@attrs.frozen
class _Led:
    """What the log of a leader ended with."""

    consensus: Consensus
    term: int
    index: int
    entry: LogEntry | None


class LeaderAppendOnly:
    """A leader never overwrites or deletes entries of its log; it only appends."""

    def __init__(self) -> None:
        self._leaders: dict[str, _Led] = {}

    def __call__(self, members: Mapping[str, Raft]) -> None:
        for node_id, consensus in _ready(members):
            if consensus.role == "leader":
                log = consensus.log
                led = self._leaders.get(node_id)
                if led is not None and led.consensus is consensus and led.term == consensus.term:
                    is_there = led.index <= log.base_index or (
                        led.index <= log.last_index and log.entry(led.index) is led.entry
                    )
                    assert is_there, f"leader {node_id} of term {led.term} has no longer its entry {led.index}"
                last = log.entries[-1] if log.entries else None
                self._leaders[node_id] = _Led(consensus, consensus.term, log.last_index, last)


class LogMatching:
    """If two logs have an entry with the same index and term, they are equal up to there.

    It is enough that an entry with a certain index and term is always the same, and always comes after one of the same
    term: then all entries before it are equal, too.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], tuple[int, LogEntry]] = {}  # and the term before it
        self._checked: dict[str, tuple[int, list[LogEntry]]] = {}  # by member: the base and the entries

    def __call__(self, members: Mapping[str, Raft]) -> None:
        for node_id, consensus in _ready(members):
            log = consensus.log
            base, checked = self._checked.get(node_id, (0, []))
            if base == log.base_index and checked[-1:] == log.entries[-1:] and len(checked) == len(log.entries):
                continue
            for index in range(log.last_index, log.base_index, -1):
                entry, before = log.entry(index), log.term_at(index - 1) or 0
                old = index - base - 1
                if 0 <= old < len(checked) and checked[old] is entry and index > log.base_index + 1:
                    break  # this entry was checked, and all before it
                known_before, known = self._seen.setdefault((index, entry.term), (before, entry))
                what = f"entry {index} of term {entry.term}"
                assert known == entry, f"{what} is another one in the log of {node_id} than elsewhere"
                assert known_before == before, (
                    f"{what} comes after term {before} at {node_id}, elsewhere {known_before}"
                )
            self._checked[node_id] = (log.base_index, list(log.entries))


class _Committed:
    """The terms of all entries that were committed, by index, each with the term in which that became known."""

    def __init__(self) -> None:
        self.terms: dict[int, tuple[int, int]] = {}
        self._until: dict[str, tuple[Consensus, int]] = {}  # by member: its life, and what has been noted

    def note(self, node_id: str, consensus: Consensus) -> Iterator[tuple[int, int]]:
        """Yield the index and term of each entry that the member has committed since the last call."""
        life, until = self._until.get(node_id, (consensus, 0))
        if life is consensus and consensus.commit_index == until:
            return
        self._until[node_id] = (consensus, consensus.commit_index)
        log, until = consensus.log, until if life is consensus else 0
        for index in range(max(until + 1, log.base_index, 1), consensus.commit_index + 1):
            term = log.term_at(index)
            if term is not None:
                self.terms.setdefault(index, (term, consensus.term))
                yield index, term


class StateMachineSafety:
    """If a member has committed an entry, no member ever commits another one at its index."""

    def __init__(self) -> None:
        self._committed = _Committed()

    def __call__(self, members: Mapping[str, Raft]) -> None:
        for node_id, consensus in _ready(members):
            for index, term in self._committed.note(node_id, consensus):
                known, _ = self._committed.terms[index]
                assert known == term, f"{node_id} commits entry {index} of term {term}, another member one of {known}"


class LeaderCompleteness:
    """The leaders of all later terms have each entry that was committed."""

    def __init__(self) -> None:
        self._committed = _Committed()
        self._checked: dict[str, tuple[Consensus, int]] = {}  # by member: the life and the term that was checked

    def __call__(self, members: Mapping[str, Raft]) -> None:
        committed = self._committed
        new = {index for each in _ready(members) for index, _ in committed.note(*each)}
        for node_id, consensus in _ready(members):
            if consensus.role == "leader":
                led = (consensus, consensus.term)
                indexes = new if self._checked.get(node_id) == led else set(committed.terms)
                self._checked[node_id] = led
                for index in indexes:
                    term, since = committed.terms[index]
                    has = since >= consensus.term or index <= consensus.log.base_index
                    has = has or consensus.log.term_at(index) == term
                    assert has, f"leader {node_id} of term {consensus.term} lacks the committed entry {index} of {term}"


PROPERTIES = (ElectionSafety, LeaderAppendOnly, LogMatching, LeaderCompleteness, StateMachineSafety)


def raft_invariants() -> list[Invariant]:
    """Return the five invariants for one run."""
    return [make() for make in PROPERTIES]
