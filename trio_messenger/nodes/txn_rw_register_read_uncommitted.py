"""txn-rw-register-read-uncommitted: transactions on registers, totally available, at the level read uncommitted.

A node executes each transaction on its own copy of the registers, and asks nobody. It shows each write at once, before
it is safe in the store, and tells the other nodes of each write in a message of its own. Of two writes to a register,
the later one wins. Nodes ask each other for the writes that the network has lost.

Guarantees: totally available: a node always answers its clients itself. All nodes order the writes of any two
transactions in the same way, in all registers (no G0). All nodes that can exchange messages, directly or through
others, eventually have the same values. With a store, a node that is killed loses no acknowledged write.

Limits: readers on other nodes see writes that their transaction then overwrites (G1b), and some of its writes without
the others. They also see writes that a kill of the node undoes on that node. As at read committed, updates are lost and
reads may be old. Without a store, a node that is killed loses the writes that it had not told yet. If the network
repeats a client's request, and the node is killed between both copies, the transaction happens twice.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Literal

import attrs

from trio_messenger import AtMostOnce, Body, Node

from ._replicated_registers import RegisterName, Registers


@attrs.frozen
class UncommittedTransaction:
    """Operations of one transaction: ``["r", key, null]`` and ``["w", key, value]``."""

    txn: list[tuple[Literal["r", "w"], RegisterName, Any]]


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a node with registers at read uncommitted, which keeps its writes in *store*.

    Example:
      Other nodes see each write of a transaction:

      >>> from trio_messenger.nodes import txn_rw_register_read_uncommitted
      >>> async def main():
      ...     async with running(txn_rw_register_read_uncommitted.build(), node_ids=["n1", "n2"]) as network:
      ...         await network.send("c1", {"type": "txn", "txn": [["w", 1, "a"], ["w", 1, "b"]], "msg_id": 1})
      ...         for told in await network.receive(), await network.receive():
      ...             print(told.dest, [(write[0], write[-1]) for write in told.body["writes"]])
      >>> trio.run(main)
      n2 [(1, 'a')]
      n2 [(1, 'b')]
    """
    node = Node()
    registers = Registers(node, {} if store is None else store)

    @node.on("txn", at_most_once=AtMostOnce())
    async def execute(body: UncommittedTransaction) -> Body:
        writes = registers.write((key, value) for function, key, value in body.txn if function == "w")
        unseen = iter(writes)
        done: list[tuple[str, RegisterName, Any]] = []
        for function, key, value in body.txn:
            if function == "w":
                registers.show([next(unseen)])
                done.append((function, key, value))
            else:
                done.append((function, key, registers.read(key)))
        if writes:
            await registers.sync()
        return {"txn": done}

    return node
