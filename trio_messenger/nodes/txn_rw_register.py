"""txn-rw-register: transactions on registers, strict serializable, on a log in the service lin-kv.

All nodes execute the same log of transactions, each on its own copy of the registers. One compare-and-set on the
service appends a transaction to the log. That is its moment: it sees all transactions before it in the log, and none
after it. A transaction that only reads asks the service whether the log has grown, and reads from memory.

This is the node txn-list-append with another kind of write, and has its guarantees and limits. Two other nodes give
weaker guarantees, and need no service: txn-rw-register-read-committed and txn-rw-register-read-uncommitted.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trio_messenger import AtMostOnce, Body, Node

from ._transaction_log import TransactionKey, TransactionLog


@attrs.frozen
class RegisterTransaction:
    """Operations that happen together: ``["r", key, null]`` and ``["w", key, value]``."""

    txn: list[tuple[Literal["r", "w"], TransactionKey, Any]]


def overwrite(_: Any, value: Any) -> Any:
    """Return the value of a register after *value* is written to it."""
    return value


def build() -> Node:
    """Return a node that executes transactions on registers.

    Example:
      >>> from trio_messenger.nodes import txn_rw_register
      >>> simulate("txn-rw-register", txn_rw_register.build, time_limit=10).valid
      True
    """
    node = Node()
    log = TransactionLog(node, overwrite)

    @node.on("txn", at_most_once=AtMostOnce())
    async def execute(body: RegisterTransaction) -> Body:
        return {"txn": await log.execute(body.txn)}

    return node
