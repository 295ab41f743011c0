"""seq-kv-counter: a counter that only grows, in the service seq-kv.

All nodes share one key. Its value has the sum of the additions of each node, and a node changes its own sum only, by
compare-and-set. Additions that arrive during a compare-and-set share the next one, so each node has at most one under
way.

A sum only grows, so the whole value never returns to a former state. So a compare-and-set that was based on a stale
read, or that arrives late, fails. After a timeout, the node does not know whether its sum was set. The next addition
sets the sum that includes both, and this is right in either case: nothing counts twice.

A read of seq-kv may be stale. A write is not, and brings the reader up to date. So a node that reads the counter first
writes to another key (``fresh=True``).

Guarantees: a read includes every addition that was acknowledged before the read began. A node keeps nothing in memory
that was acknowledged, so a kill loses nothing.

Limits: without the service, a node answers requests with a timeout error. This error is indefinite: the addition may
count. Each life of a node that adds something has a sum of its own, so the value grows with the number of restarts. If
the network repeats a client's request, and the node is killed between both copies, the addition counts twice.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

import attrs
import msgspec
import trio

from trio_messenger import SEQ_KV, AtMostOnce, Body, KeyValue, Node

SUMS_KEY: Final = "counter"
"""The key of the sums."""


@attrs.frozen
class Add:
    """The number to add, 0 or more."""

    delta: Annotated[int, msgspec.Meta(ge=0)]


def build() -> Node:
    """Return a node that counts in seq-kv.

    Example:
      >>> from trio_messenger.nodes import seq_kv_counter
      >>> simulate("g-counter", seq_kv_counter.build, time_limit=10).valid
      True
    """
    node = Node()
    kv = KeyValue(node, SEQ_KV)
    setting = trio.Lock()
    life = ""
    added = 0  # by clients of this life
    counted = 0  # the part of it that is known to be in the service

    @node.on_init
    def begin() -> None:
        nonlocal life
        life = f"{node.id}-{node.random.getrandbits(64):016x}"

    @node.on("add", at_most_once=AtMostOnce())
    async def add(body: Add) -> Body:
        nonlocal added, counted
        added += body.delta
        wanted = added
        async with setting:
            if counted >= wanted:
                return {}  # an earlier compare-and-set has included it
            goal = added

            def with_own_sum(sums: dict[str, int]) -> dict[str, int]:
                return {**sums, life: goal}

            await kv.update(SUMS_KEY, with_own_sum, default={}, attempts=math.inf)
            counted = goal
        return {}

    @node.on("read")
    async def read() -> Body:
        sums: dict[str, Any] = await kv.read(SUMS_KEY, default={}, as_=dict[str, int], fresh=True)
        return {"value": sum(sums.values())}

    return node
