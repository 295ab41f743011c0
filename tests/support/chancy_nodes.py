"""Nodes for the unique-ids workload that depend on more than the seed, each on something else, and one that does not.

Each makes good ids, in one way or another, so that nothing but a check for determinism finds out.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import Any

import trio

from trio_messenger import Body, ErrorCode, Node, RpcError


def gives(answer: Callable[[Node], Any]) -> Node:
    """Return a node that gives ids of its own, with what *answer* returns in them."""
    node = Node()
    numbers = itertools.count()

    @node.on("generate")
    def generate() -> Body:
        return {"id": [node.id, next(numbers), answer(node)]}

    return node


def sound() -> Node:
    """Draws from the node's own random numbers, and looks at the node's own clock."""
    return gives(lambda node: [node.random.random(), node.wall_time()])


def draws_elsewhere() -> Node:
    """Draws from the random numbers of the process."""
    return gives(lambda _: random.random())


def draws_too_early() -> Node:
    """Draws from the node's own random numbers, but before they have their seed."""
    node = Node()
    early = node.random.random()
    node.on("generate")(lambda: {"id": early})
    return node


def iterates_a_set() -> Node:
    """Lists a set of texts."""
    return gives(lambda node: list(set(node.identity.node_ids)))


def sends_by_a_set() -> Node:
    """Sends to a set of nodes, one after another."""
    node = gives(lambda _: None)
    node.on("hello")(lambda: None)

    @node.on_init
    async def greet() -> None:
        for peer in set(node.peers):
            await node.send(peer, {"type": "hello"})

    return node


def tells_the_time() -> Node:
    """Asks the machine what time it is, to the second."""
    return gives(lambda _: int(time.time()))


def shows_an_address() -> Node:
    """Shows an object that has no text of its own."""
    return gives(repr)


def shows_a_hash() -> Node:
    """Shows the hash of a text."""
    return gives(lambda node: hash(node.id))


def takes_its_time() -> Node:
    """Waits as long as the random numbers of the process say."""
    node = Node()

    @node.on("generate")
    async def generate() -> Body:
        await trio.sleep(random.random())
        return {"id": node.random.random()}

    return node


def exits() -> Node:
    """Ends the process that it is in."""
    raise SystemExit("enough")


def refuses() -> Node:
    """Does not come up."""
    node = Node()

    @node.on_init
    def refuse() -> None:
        raise RpcError(ErrorCode.CRASH, "no, thanks")

    return node
