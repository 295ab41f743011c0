"""Ready-made nodes with one rule changed: four mistakes each in broadcast, kafka and transactions."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, MutableMapping
from types import ModuleType
from typing import Any

import attrs

from trio_messenger import DurableStore, MemoryStore, Node, RpcError
from trio_messenger.nodes import broadcast, kafka, txn_list_append
from trio_messenger.nodes._transaction_log import PendingTransaction, TransactionEntry, TransactionLog


def _patched(module: ModuleType, **classes: type) -> Callable[..., Node]:
    """Return ``build`` of a copy of *module* in which the names of *classes* mean these."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    vars(copy).update(classes)
    build: Callable[..., Node] = copy.build
    return build


# broadcast


class _NewsOnly(broadcast.Gossip):
    async def repair(self) -> None:
        pass

    async def compare_with(self, peer: str) -> None:
        pass


def never_compares(store: DurableStore) -> Node:
    """Tells news, and never asks others for what it lacks."""
    return _patched(broadcast, Gossip=_NewsOnly)(store)


class _LogsWithGaps(broadcast.Logs):
    def keep(self, log: str, start: int, entries: list[int]) -> bool:
        return super().keep(log, min(start, self.length(log)), entries)


def ignores_gaps(store: DurableStore) -> Node:
    """Appends what it hears to its copy of a log, also if entries before that are missing."""
    return _patched(broadcast, Logs=_LogsWithGaps)(store)


class _NeverSynced(MutableMapping[str, Any]):
    """A store whose changes nobody makes durable."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store

    def __getitem__(self, name: str) -> Any:
        return self._store[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._store[name] = value

    def __delitem__(self, name: str) -> None:
        del self._store[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._store)

    def __len__(self) -> int:
        return len(self._store)


def acknowledges_before_it_syncs(store: DurableStore) -> Node:
    """Acknowledges a message when it is in the store, and does not wait until it is safe there."""
    return broadcast.build(_NeverSynced(store))


class _OneLogForAllLives(MemoryStore):
    def setdefault(self, name: str, default: Any = None) -> Any:
        return super().setdefault(name, f"{default.rpartition('-')[0]}-0" if name == "log" else default)


def begins_its_log_again() -> Node:
    """Forgets its log when it is killed, and begins another one under the same name."""
    return broadcast.build(_OneLogForAllLives())


# kafka


class _Overwriting(kafka.Log):
    async def _create(self, drafts: list[kafka.Draft]) -> None:
        await self.catch_up()
        messages, start = [draft.message for draft in drafts], len(self.messages)
        await self._kv.write(self._name(start), messages)
        self.learn(start, messages)
        for offset, draft in enumerate(drafts, start):
            draft.offset = offset


def overwrites_chunks() -> Node:
    """Looks for the end of a log and writes there, without a compare-and-set."""
    return _patched(kafka, Log=_Overwriting)()


class _AppendingTwice(kafka.Log):
    async def append(self, message: Any) -> int:
        try:
            return await super().append(message)
        except RpcError:
            return await super().append(message)


def appends_chunks_twice() -> Node:
    """Appends a message again if the service has not answered."""
    return _patched(kafka, Log=_AppendingTwice)()


class _LogWithGaps(kafka.Log):
    def learn(self, start: int, messages: list[Any]) -> None:
        if start >= len(self.messages):
            self.messages.extend(messages)


def ignores_missing_chunks() -> Node:
    """Appends each chunk that it is told to its copy, also if chunks before that are missing."""
    return _patched(kafka, Log=_LogWithGaps)()


class _Promising(kafka.Log):
    async def append(self, message: Any) -> int:
        offset = len(self.messages) + len(self._drafts)
        self._node.background(super().append, message)
        return offset


def promises_offsets() -> Node:
    """Answers with the offset that a message should get, and appends it later."""
    return _patched(kafka, Log=_Promising)()


# Transactions


class _ReadingFromMemory(TransactionLog):
    async def _catch_up(self) -> None:
        if self._own:  # a transaction is being appended
            await super()._catch_up()


def reads_from_its_copy() -> Node:
    """Executes a transaction that only reads on its copy, without asking whether the log has grown."""
    return _patched(txn_list_append, TransactionLog=_ReadingFromMemory)()


class _ForgettingWhatItSent(TransactionLog):
    async def _create(self, number: int, entry: TransactionEntry) -> None:
        [batch] = self._own.values()
        renamed = attrs.evolve(entry, id=f"{entry.id}-{self._node.random.getrandbits(64)}")
        self._own = {renamed.id: batch}
        await super()._create(number, renamed)


def appends_transactions_twice() -> Node:
    """Does not recognise its own entry in the log when the service has not answered, and appends it again."""
    return _patched(txn_list_append, TransactionLog=_ForgettingWhatItSent)()


class _Overtaking(TransactionLog):
    async def _append(self, batch: list[PendingTransaction]) -> None:
        for pending in batch:
            pending.done = self._execute_here(pending.operations)
        self._node.background(super()._append, batch)


def answers_before_it_appends() -> Node:
    """Executes a transaction on its copy and answers, and brings it into the log later."""
    return _patched(txn_list_append, TransactionLog=_Overtaking)()


class _SkippingEntries(TransactionLog):
    def _learn(self, number: int, entry: TransactionEntry) -> None:
        self._length = max(self._length, number)
        super()._learn(number, entry)


def skips_entries() -> Node:
    """Executes an entry as soon as it is told, also if entries before that are missing."""
    return _patched(txn_list_append, TransactionLog=_SkippingEntries)()
