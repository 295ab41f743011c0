"""broadcast-frugal: the broadcast node with fewer and larger batches.

It sends fewer messages, and they take longer to reach all nodes. `trio_messenger.nodes.broadcast` has the idea, the
guarantees and the limits, which are the same.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from trio_messenger import Node

from . import broadcast


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a broadcast node with batches of ``broadcast.FRUGAL`` seconds that keeps its messages in *store*.

    Example:
      >>> from trio_messenger.nodes import broadcast_frugal
      >>> async def main():
      ...     async with running(broadcast_frugal.build(), node_ids=["n1"]) as network:
      ...         await network.request("broadcast", message=7)
      ...         print((await network.request("read"))["messages"])
      >>> trio.run(main)
      [7]
    """
    return broadcast.build(store, period=broadcast.FRUGAL)
