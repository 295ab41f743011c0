"""unique-ids: makes ids that no node makes twice, without asking anybody, through partitions and restarts.

An id says which node made it, in which of its lives, and as which of that life. A life is told from those before by 64
random bits that are drawn when it begins, so nothing has to be kept, and no clock has to be right.
"""

from __future__ import annotations

import itertools

from trio_messenger import Body, Node


def build() -> Node:
    """Return a node that makes unique ids."""
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
