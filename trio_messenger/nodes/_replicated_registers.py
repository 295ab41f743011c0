"""Registers of which each node has a copy. Of two writes to a register, the later one wins, on every node.

Each write has a stamp: the time of its transaction, and its number in it. The time is a Lamport clock: it is later than
all times that the node has seen, so a write is later than everything that its transaction has read. If two transactions
have the same time, the names of their nodes' lives decide. So all nodes order the writes of any two transactions in the
same way, whenever they hear of them. A life has a new name, so a stamp never means two writes.

A node tells all others of its writes at once, and each message says which stamp its life had before. So a node knows up
to which stamp it has all writes of each life. It asks the others, in turn, for later ones, and so gets what the network
has lost. Only the latest write to a register is kept and sent.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

import attrs
import msgspec
import trio

from trio_messenger import DurableStore, Node

LAP: Final = 4.0
"""Seconds in which a node asks each other node once. After that time, all nodes have a write."""

GAP: Final = 0.5
"""The longest time between two questions, in seconds. It gives small clusters enough tries if messages are lost."""

SUPPLIED_WITHIN: Final = 10.0
"""Seconds to wait for an answer. On slow links it comes late, but is still useful."""

RegisterName: TypeAlias = int | str
"""The name of a register: ``1`` and ``"1"`` are different ones."""

Stamp: TypeAlias = tuple[int, int]
"""The time of a transaction, and the number of the write in it."""

NO_STAMP: Final = (0, 0)
"""A stamp before all writes: the first time is 1."""


class RegisterWrite(msgspec.Struct, array_like=True, frozen=True):
    """A write of *value* to the register *key*, in the life of a node."""

    key: RegisterName
    time: int
    life: str
    number: int
    value: Any

    @property
    def order(self) -> tuple[int, str, int]:
        """Return what decides which of two writes is the later one."""
        return self.time, self.life, self.number

    @property
    def stamp(self) -> Stamp:
        """Return the stamp, which is unique in the life."""
        return self.time, self.number


@attrs.frozen
class Wrote:
    """New writes of one life, and the last stamp that it had before."""

    type: ClassVar[str] = "wrote"
    after: Stamp
    writes: list[RegisterWrite]


@attrs.frozen
class AskForWrites:
    """For each life, the stamp up to which the sender has all writes."""

    type: ClassVar[str] = "ask_for_writes"
    known: dict[str, Stamp]


@attrs.frozen
class WritesSince:
    """The writes that the asking node lacks, and for each life the stamp up to which it then has all writes."""

    known: dict[str, Stamp]
    writes: list[RegisterWrite]


class Registers:
    """The copy of *node*. In *kept*, each register has the latest write of this node."""

    def __init__(self, node: Node, kept: MutableMapping[str, Any]) -> None:
        self._node, self._kept = node, kept
        self._latest: dict[RegisterName, RegisterWrite] = {}
        self._known: dict[str, Stamp] = {}
        self._time = 0  # the latest one that this node has seen
        self._life = ""  # set at init
        self._hidden: list[Sequence[RegisterWrite]] = []  # own writes that nobody sees yet, by transaction
        self.sync: Final = kept.sync if isinstance(kept, DurableStore) else trio.lowlevel.checkpoint
        """Wait until all own writes are safe in the store."""
        self._learn(msgspec.convert(value, RegisterWrite) for name, value in kept.items() if name.startswith("write "))
        for write in self._latest.values():
            self._note(write.life, write.stamp)
        node.on_init(self._begin)
        node.on(Wrote)(self._on_wrote)
        node.on(AskForWrites)(self._on_ask)
        node.background(self._repair)

    def read(self, key: RegisterName) -> Any:
        """Return the value of a register; None if it has none."""
        return self._latest[key].value if key in self._latest else None

    def write(self, pairs: Iterable[tuple[RegisterName, Any]]) -> Sequence[RegisterWrite]:
        """Keep writes of one transaction, which nobody sees yet, and return them."""
        now, life = self._time + 1, self._life
        writes = [RegisterWrite(key, now, life, number, value) for number, (key, value) in enumerate(pairs)]
        for write in writes:
            self._time = now
            self._kept[f"write {msgspec.json.encode(write.key).decode()}"] = msgspec.to_builtins(write)
        return writes

    def show(self, writes: Sequence[RegisterWrite]) -> None:
        """Make own writes visible, here at once and on the other nodes soon."""
        told = Wrote(self._known.get(self._life, NO_STAMP), list(writes))
        self._learn(writes)
        self._note(self._life, writes[-1].stamp)
        for peer in self._node.peers:
            with contextlib.suppress(trio.WouldBlock):  # the network is slow; it asks soon
                self._node.send_nowait(peer, told)

    async def commit(self, pairs: Iterable[tuple[RegisterName, Any]]) -> None:
        """Write what a transaction has written, all at one moment, when it is safe in the store."""
        self._hidden.append(self.write(pairs))
        last = self._hidden[-1]
        await self.sync()
        while last in self._hidden:  # in the order of their stamps: what was written earlier is safe, too
            self.show(self._hidden.pop(0))

    def _begin(self) -> None:
        self._life = f"{self._node.id}-{self._node.random.getrandbits(64):016x}"

    def _learn(self, writes: Iterable[RegisterWrite]) -> None:
        for write in writes:
            self._time = max(self._time, write.time)
            latest = self._latest.get(write.key)
            if latest is None or latest.order < write.order:
                self._latest[write.key] = write

    def _note(self, life: str, stamp: Stamp) -> None:
        """Note that all writes of *life* up to *stamp* are known, or overwritten."""
        self._known[life] = max(stamp, self._known.get(life, NO_STAMP))

    def _on_wrote(self, body: Wrote) -> None:
        self._learn(body.writes)
        last = body.writes[-1]
        if self._known.get(last.life, NO_STAMP) >= body.after:
            self._note(last.life, last.stamp)

    def _on_ask(self, body: AskForWrites) -> WritesSince:
        writes = [each for each in self._latest.values() if each.stamp > body.known.get(each.life, NO_STAMP)]
        return WritesSince(self._known, writes)

    async def _repair(self) -> None:
        """Ask each other node in turn, forever."""
        peers = self._node.random.sample(self._node.peers, len(self._node.peers))
        for peer in itertools.cycle(peers):
            await trio.sleep(min(LAP / len(peers), GAP))
            await self._node.wait_for_room()
            self._node.rpc_callback(
                peer, AskForWrites(self._known), self._supplied, as_=WritesSince, timeout=SUPPLIED_WITHIN
            )

    def _supplied(self, outcome: WritesSince | Exception) -> None:
        if isinstance(outcome, Exception):
            return  # the node asks again in the next lap
        self._learn(outcome.writes)
        for life, stamp in outcome.known.items():
            self._note(life, stamp)
