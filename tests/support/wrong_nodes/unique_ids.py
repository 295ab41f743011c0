"""Unique-ids nodes that are wrong."""

from __future__ import annotations

import itertools
from collections.abc import MutableMapping
from typing import Any

from trio_messenger import SEQ_KV, Body, KeyValue, Node


def counts_alone() -> Node:
    """Counts, as if there were no other node."""
    node = Node()
    numbers = itertools.count()

    @node.on("generate")
    def generate() -> Body:
        return {"id": next(numbers)}

    return node


def trusts_the_clock() -> Node:
    """Makes ids of its own and the time, as if two requests could not come within a millisecond."""
    node = Node()

    @node.on("generate")
    def generate() -> Body:
        return {"id": f"{node.id}-{node.wall_time():.3f}"}

    return node


def counts_anew() -> Node:
    """Counts from 0 in each of its lives."""
    node = Node()
    numbers = itertools.count()

    @node.on("generate")
    def generate() -> Body:
        return {"id": f"{node.id}-{next(numbers)}"}

    return node


def saves_too_late(store: MutableMapping[str, Any]) -> Node:
    """Saves how far it has counted, but only every tenth time."""
    node = Node()
    numbers = itertools.count(store.get("next", 0))

    @node.on("generate")
    def generate() -> Body:
        number = next(numbers)
        if number % 10 == 0:
            store["next"] = number
        return {"id": f"{node.id}-{number}"}

    return node


def draws_few_bits() -> Node:
    """Draws ids by chance, out of too few."""
    node = Node()

    @node.on("generate")
    def generate() -> Body:
        return {"id": node.random.getrandbits(16)}

    return node


def takes_turns_badly() -> Node:
    """Keeps the next id where all can see it, but reads it and writes it in two steps."""
    node = Node()
    kv = KeyValue(node, SEQ_KV)

    @node.on("generate")
    async def generate() -> Body:
        number = await kv.read("next", default=0, fresh=True)
        await kv.write("next", number + 1)
        return {"id": number}

    return node
