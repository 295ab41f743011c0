"""txn-list-append: transactions on lists, strict serializable, on a log in the service lin-kv.

All nodes execute the same log of transactions, each on its own copy of the lists. One compare-and-set on the service
appends a transaction to the log. That is its moment: it sees all transactions before it in the log, and none after it.
A transaction that only reads asks the service whether the log has grown, and reads from memory.

Courses keep a root with pointers to the lists in lin-kv, and the lists under keys that never change. Each transaction
then writes its lists first, and sets the root by compare-and-set. That takes two round trips, and a root that grows
with the number of keys is sent each time. Here, a transaction takes one round trip, and what is sent is as large as the
transaction. On raft, nodes would need a leader and a majority of each other; here, each node needs only the service.

Guarantees: strict serializable, whichever messages are lost, late or repeated, and whichever nodes are killed: they
keep only copies. Without contention, a transaction is one request to the service. If the service does not answer a
compare-and-set, the node finds out later whether the transaction is in the log, and never appends it twice. Error 11
means that a transaction has not happened. Error 0 means that it may or may not happen.

Limits: a node that does not reach the service for four seconds answers with an error. All nodes together append one
entry in the time of a round trip, with the transactions that one node had waiting, so the others try again. A restarted
node reads the whole log, up to 64 entries at a time. Log and lists are never shortened. If the network repeats a
client's request, and the node is killed between both copies, the transaction happens twice.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trio_messenger import AtMostOnce, Body, Node

from ._transaction_log import TransactionKey, TransactionLog


@attrs.frozen
class ListTransaction:
    """Operations that happen together: ``["r", key, null]`` and ``["append", key, value]``."""

    txn: list[tuple[Literal["r", "append"], TransactionKey, Any]]


def append(values: list[Any] | None, value: Any) -> list[Any]:
    """Return a new list, since an answer may still have the old one."""
    return [*(values or ()), value]


def build() -> Node:
    """Return a node that executes transactions on lists.

    Example:
      A transaction that appends is one request to the service:

      >>> from trio_messenger.nodes import txn_list_append
      >>> async def main():
      ...     async with running(txn_list_append.build()) as network:
      ...         txn = [["append", 1, "a"], ["r", 1, None]]
      ...         await network.send("c1", {"type": "txn", "txn": txn, "msg_id": 1})
      ...         request = await network.receive()
      ...         print(request.dest, request.body["type"], request.body["key"])
      >>> trio.run(main)
      lin-kv cas transactions 0
    """
    node = Node()
    log = TransactionLog(node, append)

    @node.on("txn", at_most_once=AtMostOnce())
    async def execute(body: ListTransaction) -> Body:
        return {"txn": await log.execute(body.txn)}

    return node
