"""lin-kv-proxy: registers in the service lin-kv. A node passes each operation on to the service, and the answer back.

Guarantees: linearizable, because the service is, and a node keeps nothing. So a node may be killed at any time. An
error of the service reaches the client with its code: 20 if there is no such key, 22 if a compare-and-set found another
value.

Limits: if the service does not answer, the node answers with a timeout error. It is indefinite: a write may have taken
effect, or may take effect later. So the node does not try again, since another client may have written meanwhile.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from trio_messenger import LIN_KV, Body, KeyValue, Node


@attrs.frozen
class ReadKey:
    """Read *key*."""

    type: ClassVar[str] = "read"
    key: Any


@attrs.frozen
class WriteKey:
    """Set *key* to *value*."""

    type: ClassVar[str] = "write"
    key: Any
    value: Any


@attrs.frozen
class CompareAndSet:
    """Set *key* to *to* if its value is *from*."""

    type: ClassVar[str] = "cas"
    key: Any
    from_: Any
    to: Any


def build() -> Node:
    """Return a node that serves registers from lin-kv.

    Example:
      >>> from trio_messenger.nodes import lin_kv_proxy
      >>> simulate("lin-kv", lin_kv_proxy.build, time_limit=10).valid
      True
    """
    node = Node()
    kv = KeyValue(node, LIN_KV)

    @node.on(ReadKey)
    async def read(body: ReadKey) -> Body:
        return {"value": await kv.read(body.key)}

    @node.on(WriteKey)
    async def write(body: WriteKey) -> Body:
        await kv.write(body.key, body.value)
        return {}

    @node.on(CompareAndSet)
    async def cas(body: CompareAndSet) -> Body:
        await kv.cas(body.key, body.from_, body.to)
        return {}

    return node
