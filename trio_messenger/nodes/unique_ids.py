"""unique-ids: makes ids that are unique in the cluster, despite partitions and restarts, without asking anybody.

An id consists of the node's id, 64 random bits for the node's life, and a number that counts the ids of this life. The
node draws the random bits when it starts, so it needs neither a store nor a correct clock.

Guarantees: totally available: a node always answers its clients itself. No id comes twice, whatever restarts,
partitions and clocks do, unless two lives of one node draw the same bits: for a million lives, this has a probability
of 3 in 100 million.

Limits: ids are unique in one cluster only, and they say nothing about the order in which they were made.
"""

from __future__ import annotations

import itertools

from trio_messenger import Body, Node


def build() -> Node:
    """Return a node that makes unique ids.

    Example:
      >>> from trio_messenger.nodes import unique_ids
      >>> async def main():
      ...     async with running(unique_ids.build()) as network:
      ...         first, second = await network.request("generate"), await network.request("generate")
      ...         print(first["id"].startswith("n1-"), first["id"] != second["id"])
      >>> trio.run(main)
      True True
    """
    node = Node()
    numbers = itertools.count()
    life = ""

    @node.on_init
    def begin() -> None:
        nonlocal life
        life = f"{node.id}-{node.random.getrandbits(64):016x}"

    @node.on("generate")
    def generate() -> Body:
        return {"id": f"{life}-{next(numbers)}"}

    return node
