"""The transaction workloads: transactions that read and append to lists, or read and write registers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Annotated, Any, ClassVar, TypeAlias, final

import msgspec

from trio_messenger import Body

from .._checkers import Results
from .._checkers.transactions.list_append import list_append
from .._checkers.transactions.rw_register import rw_register
from .._explanation import Finding
from .._explanation.scene import Scene
from .._explanation.transactions import explain as explain_transactions
from .._records.cut_texts import cut_json
from .._records.history import History, Op
from ..pictures import Picture
from ..pictures._transaction_cycles import pictures_of_transactions
from .base import Workload
from .interface import Invocation, Reply, WorkloadClient
from .shapes import Shape
from .transaction_generator import random_transactions

_Operation: TypeAlias = Annotated[list[Any], msgspec.Meta(min_length=3, max_length=3)]
"""A function (``r``, ``append`` or ``w``), a key, and a value; null is the value of a read that has not happened."""


class _TxnOk(Reply, kw_only=True):
    txn: list[_Operation]


class Transactions(Workload, abstract=True):
    """``txn`` with a list of operations, answered with the same list, in which each read has its value.

    The operations of a transaction happen together or not at all. Error 30 (a conflict) and other definite errors mean
    that it did not happen.
    """

    replies: ClassVar[dict[str, type[Reply]]] = {"txn": _TxnOk}
    shapes: ClassVar[Mapping[str, Shape]] = {"txn": Shape(begun=list[_Operation], ok=list[_Operation])}
    reuses_clients = True
    write: ClassVar[str]
    """The name of an operation that writes."""

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield transactions; see `Workload.invocations`."""
        setting = self.setting
        transactions = random_transactions(
            random,
            self.write,
            key_count=setting.key_count,
            max_txn_length=setting.max_txn_length,
            max_writes_per_key=setting.max_writes_per_key,
        )
        return (("txn", transaction) for transaction in transactions)

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, "txn": value}

    def completed(self, f: str, value: Any, reply: Any) -> Any:  # noqa: ARG002 - there is one function
        """Return the operations with the values read; see `Workload.completed`.

        Raises:
          msgspec.ValidationError: if these are not the operations of the request.
        """
        asked, done = (list(map(self._without_read, operations)) for operations in (value, reply.txn))
        if asked != done:
            raise msgspec.ValidationError(
                f"Expected the operations {value!r:.80}, with the values that were read, got {reply.txn!r:.80}"
            )
        return reply.txn

    async def leftovers(self, client: WorkloadClient) -> str | None:
        """Return the first value, of the keys with which the run begins, that a transaction reads.

        See `Workload.leftovers`.
        """
        reads = [["r", key, None] for key in range(self.setting.key_count)]
        for _, key, found in await self.invoke(client, "txn", reads):
            if found:
                return f"reads {cut_json(found)} from the key {key}"
        return None

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the transactions, keys, values and messages; see `Workload.explain`."""
        return explain_transactions(results, scene)

    def pictures(self, results: Results, scene: Scene) -> Sequence[Picture]:  # noqa: ARG002 - the results are enough
        """Draw the cycles; see `Workload.pictures`."""
        return pictures_of_transactions(results)

    def adopt(self, op: Op) -> Op:
        """Return the entry, after checking the operations of its transaction; see `Workload.adopt`."""
        super().adopt(op)
        for operation in op.value if op.type in ("invoke", "ok") else ():
            if operation[0] not in ("r", self.write):
                raise ValueError(
                    f"a transaction of {self.name} has no {cut_json(operation)}, only 'r' and {self.write!r};"
                    " give another workload with -w"
                )
        return op

    @staticmethod
    def _without_read(operation: list[Any]) -> list[Any]:
        return [*operation[:2], None] if operation[0] == "r" else operation


@final
class TxnListAppend(Transactions):
    """Transactions of ``r``, which reads a list, and ``append``, which appends a value to one.

    A read of a key to which nobody has appended returns null or an empty list.
    """

    name = "txn-list-append"
    summary = "transactions that read lists and append to them"
    rules = (
        "Clients send transactions: lists of reads and appends, which have to happen together or not at all. The nodes"
        " have to answer as if the transactions happened one after another, as the consistency model demands."
    )
    write = "append"

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return the operations with the lists read; see `Transactions.completed`."""
        done: list[list[Any]] = super().completed(f, value, reply)
        for operation in done:
            if operation[0] == "r" and not (operation[2] is None or isinstance(operation[2], list)):
                raise msgspec.ValidationError(f"Expected a read of an array or null, got {operation!r:.80}")
        return done

    def check(self, history: History) -> Results:
        """Judge the history."""
        return list_append(history, consistency_models=self.setting.consistency_models)


@final
class TxnRwRegister(Transactions):
    """Transactions of ``r``, which reads a register, and ``w``, which writes a value to one.

    A read of a key to which nobody has written returns null.
    """

    name = "txn-rw-register"
    summary = "transactions that read and write registers"
    rules = (
        "Clients send transactions: lists of reads and writes, which have to happen together or not at all. The nodes"
        " have to answer as if the transactions happened one after another, as the consistency model demands."
    )
    write = "w"

    def check(self, history: History) -> Results:
        """Judge the history."""
        return rw_register(history, consistency_models=self.setting.consistency_models)
