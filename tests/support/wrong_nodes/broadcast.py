"""Broadcast nodes that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from trio_messenger import Body, Node, Request
from trio_messenger.nodes import broadcast


@attrs.frozen
class Heard:
    """A message, from a client or a neighbour."""

    message: int


@attrs.frozen
class Topology:
    """The neighbours of each node."""

    topology: dict[str, list[str]]


def flood(
    *,
    choose: Callable[[Node, Iterable[str]], Iterable[str]] = lambda _, neighbours: neighbours,
    keeps: Callable[[Node, list[int], int], bool] = lambda _, messages, message: message not in messages,
    relays: bool = True,
    hears: Callable[[Node], bool] = lambda _: True,
) -> Node:
    """Return a node that tells its neighbours once what it hears, and hopes for the best.

    Args:
      choose: Picks those of the neighbours that are told anything.
      keeps: Whether a message that is heard is kept, and told.
      relays: Whether what a neighbour said is told on.
      hears: Whether it is taken in at all.
    """
    node = Node()
    messages: list[int] = []
    neighbours: list[str] = []

    @node.on("topology")
    def topology(body: Topology) -> Body:
        neighbours[:] = choose(node, body.topology[node.id])
        return {}

    @node.on("broadcast")
    def hear(body: Heard) -> Body:
        learn(body.message, tell=True)
        return {}

    @node.on("told")
    def told(body: Heard) -> None:
        if hears(node):
            learn(body.message, tell=relays)

    @node.on("read")
    def read() -> Body:
        return {"messages": messages}

    def learn(message: int, *, tell: bool) -> None:
        if not keeps(node, messages, message):
            return
        is_new = message not in messages
        messages.append(message)
        if is_new and tell:
            for neighbour in neighbours:
                node.send_nowait(neighbour, {"type": "told", "message": message})

    return node


def tells_once() -> Node:
    """Tells each neighbour once, so that what is lost on the way is lost for good."""
    return flood()


def relays_nothing() -> Node:
    """Tells its neighbours what clients said, but not what neighbours said."""
    return flood(relays=False)


def repeats_itself() -> Node:
    """Lists a message as often as it has heard it."""
    return flood(keeps=lambda _, __, ___: True)


def drops_some() -> Node:
    """Acknowledges all messages, and forgets every tenth number."""
    return flood(keeps=lambda _, messages, message: message not in messages and message % 10 != 0)


def never_listens() -> Node:
    """Hears what others tell, but on n2, which knows only what its own clients said."""
    return flood(hears=lambda node: node.id != "n2")


def splits_brain() -> Node:
    """Talks only to neighbours whose number is even if its own is, and odd if it is not."""

    def choose(node: Node, neighbours: Iterable[str]) -> Iterable[str]:
        return [each for each in neighbours if int(each[1:]) % 2 == int(node.id[1:]) % 2]

    return flood(choose=choose)


def forgets() -> Node:
    """Keeps nothing of what it has acknowledged when it is killed."""
    return broadcast.build()


def reads_stale() -> Node:
    """Answers all reads as it did the first."""
    node = Node()
    messages: list[int] = []
    answer: list[int] | None = None

    @node.on("topology")
    def topology() -> Body:
        return {}

    @node.on("broadcast")
    def hear(request: Request, body: Heard) -> Body:
        learn(body)
        for peer in node.peers:
            node.send_nowait(peer, {"type": "told", "message": body.message})
        return {}

    @node.on("told")
    def learn(body: Heard) -> None:
        messages.append(body.message)

    @node.on("read")
    def read() -> Body:
        nonlocal answer
        answer = list(messages) if answer is None else answer
        return {"messages": answer}

    return node


def invents() -> Node:
    """Begins with a message that nobody has sent."""
    node = flood()
    told: dict[str, Any] = {"type": "told", "message": 1_000_000}

    @node.on_init
    async def begin() -> None:
        await node.send(node.id, told)

    return node
