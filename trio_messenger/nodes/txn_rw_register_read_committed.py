"""txn-rw-register-read-committed: transactions on registers, totally available, at the isolation level read committed.

A node executes each transaction on its own copy of the registers, and asks nobody. It collects the writes, shows them
all at one moment when they are safe in the store, and tells the other nodes in one message. Of two writes to a
register, the later one wins. Nodes ask each other for the writes that the network has lost.

Guarantees: totally available: a node always answers its clients itself. No reader sees a write of a transaction that
has failed (G1a), or one that its transaction overwrites (G1b). No transactions see or overwrite each other in a cycle
(G0, G1c). A transaction sees its own writes. All nodes that can exchange messages, directly or
through others, eventually have the same values. With a store, a node that is killed loses no acknowledged write.

Limits: transactions that run on two nodes at the same time do not see each other, so updates are lost, and a read may
be old. A transaction may see the writes of another one to some registers, and older values in others. Without a store,
a node that is killed loses the writes that it had not told yet. If the network repeats a client's request, and the node
is killed between both copies, the transaction happens twice.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Literal

import attrs

from trio_messenger import AtMostOnce, Body, Node

from ._replicated_registers import RegisterName, Registers


@attrs.frozen
class CommittedTransaction:
    """Operations of one transaction: ``["r", key, null]`` and ``["w", key, value]``."""

    txn: list[tuple[Literal["r", "w"], RegisterName, Any]]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a node with registers at read committed, which keeps its writes in *store*.

    Example:
      Other nodes see only the last write of a transaction to a register:

      >>> from trio_messenger.nodes import txn_rw_register_read_committed
      >>> async def main():
      ...     async with running(txn_rw_register_read_committed.build(), node_ids=["n1", "n2"]) as network:
      ...         await network.send("c1", {"type": "txn", "txn": [["w", 1, "a"], ["w", 1, "b"]], "msg_id": 1})
      ...         told = await network.receive()
      ...         print(told.dest, [(write[0], write[-1]) for write in told.body["writes"]])
      >>> trio.run(main)
      n2 [(1, 'b')]
    """
    node = Node()
    registers = Registers(node, {} if store is None else store)

    @node.on("txn", at_most_once=AtMostOnce())
    async def execute(body: CommittedTransaction) -> Body:
        written: dict[RegisterName, Any] = {}
        done: list[tuple[str, RegisterName, Any]] = []
        for function, key, value in body.txn:
            if function == "w":
                written[key] = value
                done.append((function, key, value))
            else:
                done.append((function, key, written[key] if key in written else registers.read(key)))
        if written:
            await registers.commit(written.items())
        return {"txn": done}

    return node
