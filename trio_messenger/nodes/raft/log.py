"""The log: entries with terms, and what is left of it after compaction. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .rpcs import LogEntry, Snapshot


class RaftLog:
    """The entries after *base_index*, which is 0 at first. Of the entry at *base_index* only the term is known."""

    def __init__(self, entries: Iterable[LogEntry] = (), *, base_index: int = 0, base_term: int = 0) -> None:
        self.base_index: int = base_index
        self.base_term: int = base_term
        self.entries: list[LogEntry] = list(entries)
        self.changed_from: int | None = None  # the lowest index that has changed since somebody set this to None

    @property
    def last_index(self) -> int:
        """The index of the last entry."""
        return self.base_index + len(self.entries)

    @property
    def last_entry(self) -> tuple[int, int]:
        """The index and the term of the last entry."""
        return self.last_index, self.entries[-1].term if self.entries else self.base_term

    def entry(self, index: int) -> LogEntry:
        """Return the entry at *index*, which must be after the base."""
        return self.entries[index - self.base_index - 1]

    def term_at(self, index: int) -> int | None:
        """Return the term of the entry at *index*; None if the log does not know it."""
        if index == self.base_index:
            return self.base_term
        return self.entry(index).term if self.base_index < index <= self.last_index else None

    def matches(self, index: int, term: int) -> bool:
        """Tell whether the log has an entry with *term* at *index*. What is discarded was committed, and matches."""
        return index < self.base_index or self.term_at(index) == term

    def append(self, entry: LogEntry) -> int:
        """Append *entry*, and return its index."""
        self.entries.append(entry)
        self._note_change(self.last_index)
        return self.last_index

    def merge(self, prev_index: int, entries: Sequence[LogEntry]) -> None:
        """Take over the leader's *entries* after *prev_index*, where both logs are equal."""
        for index, entry in enumerate(entries, prev_index + 1):
            if self.conflicts(index, entry):
                del self.entries[index - self.base_index - 1 :]
            if index > self.last_index:
                self.append(entry)

    def conflicts(self, index: int, entry: LogEntry) -> bool:
        """Tell whether the log has another entry at *index*. If it has the same one, that and the later ones stay."""
        return self.base_index < index <= self.last_index and self.entry(index).term != entry.term

    def discard_until(self, index: int) -> None:
        """Discard the entries up to *index*, which a snapshot replaces."""
        if (term := self.term_at(index)) is not None:
            del self.entries[: index - self.base_index]
            self.base_index, self.base_term = index, term

    def begin_after(self, snapshot: Snapshot) -> None:
        """Let *snapshot* replace what it covers. Keep later entries only if the log has the last one that it covers."""
        if self.term_at(snapshot.index) == snapshot.term:
            self.discard_until(snapshot.index)
        else:
            self.entries, self.base_index, self.base_term = [], snapshot.index, snapshot.term
            self._note_change(snapshot.index + 1)

    def _note_change(self, index: int) -> None:
        self.changed_from = index if self.changed_from is None else min(index, self.changed_from)
