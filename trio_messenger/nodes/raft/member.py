"""A member: its rules, its state machine and its store together, and what has to happen after each change.

A kill keeps a store as it was after one of its assignments. So their order matters: after each of them, the store
describes a member that has forgotten nothing of what it told others.
"""

from __future__ import annotations

from typing import ClassVar, Final

import attrs
import trio

from trio_messenger import Body, DurableStore, Node

from .consensus import Consensus
from .log import RaftLog
from .rpcs import LogEntry, Snapshot
from .state_machine import StateMachine


class DurableState:
    """Writes what has changed in a `Consensus` to *store*, and reads it again in the member's next life."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store
        self._vote: tuple[int, str | None] = tuple(store.get("vote", (0, None)))
        self._snapshot = Snapshot(*store["snapshot"]) if "snapshot" in store else None
        indexes = sorted(int(name.removeprefix("entry ")) for name in store if name.startswith("entry "))
        self._first, self._last = (indexes[0], indexes[-1]) if indexes else (1, 0)
        if self._snapshot is not None:
            self._delete_until(self._snapshot.index)  # a kill may have left some of them

    def load(self, consensus: type[Consensus], node_id: str, members: tuple[str, ...]) -> Consensus:
        """Return the state that an earlier life of this member saved, or that of a new member."""
        entries = [LogEntry(*self._store[f"entry {index}"]) for index in range(self._first, self._last + 1)]
        term = 0 if self._snapshot is None else self._snapshot.term
        log = RaftLog(entries, base_index=self._first - 1, base_term=term)
        return consensus(node_id, members, log, self._snapshot, *self._vote)

    def save(self, consensus: Consensus) -> None:
        """Assign what has changed. Only ``sync`` of the store makes it durable."""
        if self._vote != (consensus.term, consensus.voted_for):
            self._store["vote"] = self._vote = (consensus.term, consensus.voted_for)
        changed_from, consensus.log.changed_from = consensus.log.changed_from, None
        while changed_from is not None and changed_from <= self._last:  # the last one first, so that there is no gap
            del self._store[f"entry {self._last}"]
            self._last -= 1
        if consensus.snapshot is not None and consensus.snapshot is not self._snapshot:
            self._snapshot = consensus.snapshot
            self._store["snapshot"] = (self._snapshot.index, self._snapshot.term, self._snapshot.state)
            self._delete_until(self._snapshot.index)
        while self._last < consensus.log.last_index:
            self._store[f"entry {self._last + 1}"] = consensus.log.entry(self._last + 1)
            self._last += 1

    def _delete_until(self, last: int) -> None:
        for index in range(self._first, min(last, self._last) + 1):
            del self._store[f"entry {index}"]
        self._first, self._last = last + 1, max(last, self._last)


@attrs.define(eq=False)
class Waiter:
    """Waits for the answer to an entry that was appended in *term*."""

    term: int
    done: trio.Event = attrs.field(factory=trio.Event)
    answer: Body | None = None


class Member:
    """The state of one member while *node* serves. *store* keeps what it must not forget."""

    consensus_type: ClassVar[type[Consensus]] = Consensus
    machine_type: ClassVar[type[StateMachine]] = StateMachine
    snapshot_every: ClassVar[int] = 512  # entries
    keep: ClassVar[int] = 128  # applied entries that stay in memory, for members that are a little behind
    consensus: Consensus  # from `init` on

    def __init__(self, node: Node, store: DurableStore) -> None:
        self.node: Final = node
        self.store: Final = store
        self.durable_state: Final = DurableState(store)
        self.machine: StateMachine = self.machine_type()
        self.applied_index: int = 0
        self.waiters: dict[int, Waiter] = {}  # by index
        self.changed: trio.Event = trio.Event()  # set, and replaced, if term or leader change, or reads become possible
        self.work: trio.Event = trio.Event()  # set when a leader may have something to send
        self.known: object = None  # what has been told by `changed`
        node.on_init(self.begin)

    def begin(self) -> None:
        """Continue where the last life of this member ended."""
        self.consensus = self.durable_state.load(self.consensus_type, self.node.id, (self.node.id, *self.node.peers))
        self.react()

    def react(self) -> None:
        """Save what has changed, apply what is committed, and wake those who wait for it. Called after each change."""
        self.apply_committed()
        self.durable_state.save(self.consensus)
        known = (self.consensus.term, self.consensus.leader, self.consensus.may_serve_reads())
        if known != self.known:
            self.known = known
            self.changed.set()
            self.changed = trio.Event()
        if self.consensus.role == "leader":
            self.work.set()

    async def persist(self) -> None:
        """Save, and wait until that is durable. Then the leader's own copy of its entries counts, too."""
        self.react()
        term, last_index = self.consensus.term, self.consensus.log.last_index
        await self.store.sync()
        if self.consensus.role == "leader" and self.consensus.term == term:
            self.consensus.note_match(self.node.id, last_index)
        self.react()

    def apply_committed(self) -> None:
        """Apply what is committed and not applied yet, and take a snapshot if it is time."""
        consensus, snapshot = self.consensus, self.consensus.snapshot
        if snapshot is not None and snapshot.index > self.applied_index:
            self.machine.restore(snapshot.state)
            while self.applied_index < snapshot.index:
                self.applied_index += 1
                self.tell(self.applied_index, 0, None)
        while self.applied_index < consensus.commit_index:
            self.applied_index += 1
            entry = consensus.log.entry(self.applied_index)
            self.tell(self.applied_index, entry.term, self.machine.apply(entry))
        if self.applied_index - (0 if snapshot is None else snapshot.index) >= self.snapshot_every:
            consensus.compact(self.machine.snapshot(), self.keep)

    def tell(self, index: int, term: int, answer: Body | None) -> None:
        """Tell who waits for the entry at *index* its answer; None if the entry there is not the one with that term."""
        waiter = self.waiters.pop(index, None)
        if waiter is not None:
            waiter.answer = answer if waiter.term == term else None
            waiter.done.set()

    async def propose(self, entry: LogEntry) -> Body | None:
        """Append *entry*, and return the answer when it is applied; None if another entry may have taken its place."""
        index = self.consensus.log.append(entry)
        self.tell(index, 0, None)  # what was there before has been replaced
        waiter = self.waiters[index] = Waiter(entry.term)
        await self.persist()
        await waiter.done.wait()
        return waiter.answer
