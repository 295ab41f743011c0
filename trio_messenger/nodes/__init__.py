"""Ready-made nodes, each a module with a function ``build`` that returns a new `trio_messenger.Node`.

Some nodes keep data across restarts. Their ``build(store=None)`` takes a `trio_messenger.DurableStore`, or any mapping
from names to JSON values. The assignment ``store[name] = value`` stores the value in its state at that moment; nothing
else survives the node. After a kill, a restarted node is a new object with the same store. Without a store, a node
keeps its data in memory, and a kill loses them. The nodes sync a `trio_messenger.DurableStore` before they acknowledge
something or show it to others, so what was acknowledged survives a power failure, too. raft takes no other mapping.
"""

from __future__ import annotations

from typing import Final

NODES: Final = {
    "messenger": "echo, proxied RPCs, and RPCs leaked on purpose for the reaper to close",
    "echo": "replies with the value it receives",
    "unique-ids": "makes ids that are unique in the cluster",
    "broadcast": "sends messages through a hub in batches; nodes ask each other for what they lack",
    "broadcast-frugal": "the same with fewer messages, which take longer to arrive",
    "g-set": "a set that only grows; nodes ask each other for missing elements",
    "g-counter": "a counter that only grows; nodes tell each other their counts",
    "seq-kv-counter": "a counter that only grows, in the service seq-kv",
    "pn-counter": "a counter that goes up and down; nodes tell each other their counts",
    "kafka": "logs that clients append to and poll, in the service lin-kv",
    "lin-kv-proxy": "registers in the service lin-kv",
    "raft": "a linearizable key-value store, on a log that a majority of nodes agrees on",
    "txn-list-append": "transactions on lists, strict serializable, on a log in the service lin-kv",
    "txn-rw-register": "transactions on registers, strict serializable, on a log in the service lin-kv",
    "txn-rw-register-read-committed": "the same at read committed, totally available",
    "txn-rw-register-read-uncommitted": "the same at read uncommitted, totally available",
}
"""The ready-made nodes: each name (its module's name with hyphens), and a description in one line."""
