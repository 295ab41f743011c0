"""A log of transactions in the service lin-kv. Nodes that execute the same transactions in the same order agree.

Each entry of the log is a key of the service, with its number in the name, and never changes. To append, a node creates
the entry after the last one that it knows, by a compare-and-set that fails if this entry exists. So one request decides
the place of a transaction, and the log has no gaps. Transactions that arrive during a compare-and-set share the next
entry. A node executes each entry on its copy of the data, and tells the others about its new entries. If such a message
is lost, or if two nodes append at the same time, the node reads the missing entries from the service.

If the service does not answer a compare-and-set, the node does not know whether the entry is there. It sends the same
request again. If another entry is in that place, then the node's own entry is not, and never will be: only then may it
go to the next place. If its own entry is there, nothing else is to do. So no transaction is executed twice.

A transaction without writes adds no entry. The node reads the log to its end, and then executes it on its copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypeAlias

import attrs
import trio

from trio_messenger import LIN_KV, ErrorCode, KeyValue, Node, RpcError, RpcTimeout

ASK_LIN_KV_AGAIN: Final = 1.0
"""Seconds until a request is sent to the service again."""

CLIENT_PATIENCE: Final = 4.0
"""Seconds that a transaction may take. Clients of Maelstrom wait five."""

READ_AHEAD: Final = 64
"""The largest number of entries to read at the same time."""

TransactionKey: TypeAlias = int | str
"""A key of the data: ``1`` and ``"1"`` are different ones."""

MicroOperation: TypeAlias = tuple[str, TransactionKey, Any]
"""What to do (``r`` reads, anything else writes), the key, and the value that is written, or was read."""

MicroOperations: TypeAlias = Sequence[MicroOperation]
"""Those of a transaction."""


@attrs.frozen
class TransactionEntry:
    """Transactions that are executed one after another, under an id that no other entry has."""

    id: str
    txns: list[list[MicroOperation]]


@attrs.frozen
class Committed:
    """The entry with this number in the log."""

    type: ClassVar[str] = "committed"
    number: int
    entry: TransactionEntry


@attrs.define(eq=False)
class PendingTransaction:
    """A transaction with writes, and when it is executed, its operations with the values that were read."""

    operations: MicroOperations
    done: list[MicroOperation] | None = None


class TransactionLog:
    """The log of *node*, and the data. *write* returns the value of a key after a write, from both values."""

    def __init__(self, node: Node, write: Callable[[Any, Any], Any]) -> None:
        self._node, self._write = node, write
        self._kv = KeyValue(node, LIN_KV, timeout=ASK_LIN_KV_AGAIN)
        self._values: dict[TransactionKey, Any] = {}
        self._length = 0  # entries that are executed
        self._early: dict[int, TransactionEntry] = {}  # entries that wait for the ones before them
        self._next: list[PendingTransaction] = []  # for the next entry
        self._own: dict[str, list[PendingTransaction]] = {}  # of the entry that is being appended, by its id
        self._appending = trio.Lock()
        self._life = ""  # set at init
        self._appended = 0
        node.on_init(self._begin)
        node.on(Committed)(self._on_committed)

    async def execute(self, operations: MicroOperations) -> list[MicroOperation]:
        """Execute a transaction, and return its operations with the values that were read.

        Raises:
          RpcError: with `ErrorCode.TEMPORARILY_UNAVAILABLE` if it has certainly not happened, and with
            `ErrorCode.TIMEOUT` if it may or may not happen.
        """
        if all(function == "r" for function, _, _ in operations):
            with trio.move_on_after(CLIENT_PATIENCE):
                await self._catch_up()
                return self._execute_here(operations)
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, f"{LIN_KV!r} does not answer, so nothing was read")
        pending = PendingTransaction(operations)
        self._next.append(pending)
        async with self._appending:
            if pending in self._next:
                batch, self._next = self._next, []
                await self._append(batch)
        if pending.done is None:
            raise RpcError(ErrorCode.TIMEOUT, f"{LIN_KV!r} does not answer, so the transaction may or may not happen")
        return pending.done

    def _begin(self) -> None:
        self._life = f"{self._node.id}-{self._node.random.getrandbits(64):016x}"

    def _on_committed(self, body: Committed) -> None:
        self._learn(body.number, body.entry)

    async def _append(self, batch: list[PendingTransaction]) -> None:
        """Append an entry with *batch*, and try until its place is known, or time is over."""
        self._appended += 1
        entry = TransactionEntry(f"{self._life}-{self._appended}", [list(pending.operations) for pending in batch])
        self._own = {entry.id: batch}
        with trio.move_on_after(CLIENT_PATIENCE):
            while self._own:
                await self._create(self._length, entry)
        self._own = {}

    async def _create(self, number: int, entry: TransactionEntry) -> None:
        """Try to create *entry* as the one with this number. If another one is there, learn that."""
        try:
            await self._kv.cas(_name(number), None, entry, create=True)
        except RpcTimeout:
            return  # it is sent again, unless the node has learned meanwhile what is there
        except RpcError as exc:
            if exc.code != ErrorCode.PRECONDITION_FAILED:
                raise
            if number == self._length:
                await self._catch_up()
            return
        self._learn(number, entry)
        for peer in self._node.peers:
            await self._node.send(peer, Committed(number, entry))

    async def _catch_up(self) -> None:
        """Execute all entries that were in the log before this call, and perhaps later ones."""
        width = 1
        while True:
            numbers = range(self._length, self._length + width)
            async with trio.open_nursery() as nursery:
                for number in numbers:
                    nursery.start_soon(self._read, number)
            if self._length < numbers.stop:
                return  # one of these entries was missing
            width = min(2 * width, READ_AHEAD)

    async def _read(self, number: int) -> None:
        """Learn the entry with this number, if there is one. Ask again until the service answers."""
        while True:
            try:
                entry = await self._kv.read(_name(number), default=_NO_ENTRY, as_=TransactionEntry)
            except RpcTimeout:
                continue
            if entry is not _NO_ENTRY:
                self._learn(number, entry)
            return

    def _learn(self, number: int, entry: TransactionEntry) -> None:
        """Execute an entry of the log, unless this is done, when all entries before it are executed."""
        if number >= self._length:
            self._early[number] = entry
        while self._length in self._early:
            current = self._early.pop(self._length)
            self._length += 1
            done = [self._execute_here(operations) for operations in current.txns]
            for pending, operations in zip(self._own.pop(current.id, ()), done, strict=False):
                pending.done = operations

    def _execute_here(self, operations: MicroOperations) -> list[MicroOperation]:
        return [(function, key, self._operate(function, key, value)) for function, key, value in operations]

    def _operate(self, function: str, key: TransactionKey, value: Any) -> Any:
        if function == "r":
            return self._values.get(key)
        self._values[key] = self._write(self._values.get(key), value)
        return value


_NO_ENTRY: Final = TransactionEntry("", [])


def _name(number: int) -> str:
    return f"transactions {number}"
