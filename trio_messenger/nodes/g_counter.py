"""g-counter: a counter that only grows. Its value is the sum of all nodes' counts, which the nodes tell each other.

Each node adds only to its own count. So the larger of two values of one count is the later one, and nodes merge what
they know by taking the maximum of each count. Duplicates and old values have no effect.

A node sends another one only the counts that have changed since that one acknowledged them (a *delta*), and sends them
again in the next lap if no acknowledgement comes. If nothing changes, nodes are silent. Messages have a random name for
the life of their sender: a restarted node has forgotten the other counts, so it gets all of them again.

Guarantees: totally available: a node always answers its clients itself. All nodes that can exchange messages, directly
or through others, eventually have the same value, and it includes each acknowledged addition once. A node acknowledges
an addition when it is safe in the store, and tells others only then.

Limits: a read may lack the additions of the last seconds at other nodes. Without a store, a node that is killed begins
a new count under a new name, so it never confuses the new count with the old one that other nodes still know. Only
additions that it had not told any other node are lost. If the network repeats a client's request, and the node is
killed between both copies, the addition counts twice.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import MutableMapping
from functools import partial
from typing import Annotated, Any, ClassVar, Final

import attrs
import msgspec
import trio

from trio_messenger import AtMostOnce, Body, DurableStore, Node, Request

LAP: Final = 4.0
"""Seconds in which a node sends news to each other node once. After that time, all nodes know an addition."""

GAP: Final = 0.5
"""The longest time between two messages, in seconds. It gives small clusters enough tries if many messages are lost."""

ACKNOWLEDGED_WITHIN: Final = 10.0
"""Seconds to wait for an acknowledgement. On slow links it comes late, but is still useful."""


@attrs.frozen
class Add:
    """The number to add, 0 or more."""

    delta: Annotated[int, msgspec.Meta(ge=0)]


@attrs.frozen
class Merge:
    """Counts, and the name of the sender's life."""

    type: ClassVar[str] = "merge"
    life: str
    counts: dict[str, int]


@attrs.frozen
class Merged:
    """The name of the life of the node that has merged the counts."""

    life: str


@attrs.define
class Peer:
    """The counts that the latest known life of another node has."""

    life: str = ""
    counts: dict[str, int] = attrs.Factory(dict)

    def has(self, life: str, counts: dict[str, int]) -> None:
        """Note that *life* has *counts*; of a new life, note only its name, since this may be an old message."""
        if life == self.life:
            merge(self.counts, counts)
        else:
            self.life, self.counts = life, {}


def merge(counts: dict[str, int], others: dict[str, int]) -> None:
    """Add what *others* has to *counts*."""
    for name, count in others.items():
        counts[name] = max(count, counts.get(name, 0))


def build(store: MutableMapping[str, Any] | None = None) -> Node:
    """Return a g-counter node that keeps its own count in *store*.

    Example:
      >>> from trio_messenger.nodes import g_counter
      >>> async def main():
      ...     store = {}
      ...     async with running(g_counter.build(store), node_ids=["n1"]) as network:
      ...         await network.request("add", delta=3)
      ...     async with running(g_counter.build(store), node_ids=["n1"]) as network:  # restarted
      ...         await network.request("add", delta=4)
      ...         print((await network.request("read"))["value"])
      >>> trio.run(main)
      7
    """
    kept: MutableMapping[str, Any] = {} if store is None else store
    sync = kept.sync if isinstance(kept, DurableStore) else trio.lowlevel.checkpoint
    counts: dict[str, int] = {}
    peers: defaultdict[str, Peer] = defaultdict(Peer)
    own, life = "", ""  # the names of this node's count and of its life
    written = kept.get("count", 0)  # this node's count in the store, which may not be safe yet
    node = Node()

    @node.on_init
    def begin() -> None:
        nonlocal own, life
        life = f"{node.random.getrandbits(64):016x}"
        own = kept.setdefault("name", f"{node.id}-{life}")
        counts[own] = written

    @node.on("add", at_most_once=AtMostOnce())
    async def add(body: Add) -> Body:
        nonlocal written
        kept["count"] = written = count = written + body.delta
        await sync()
        merge(counts, {own: count})  # only now may others see it
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": sum(counts.values())}

    @node.on(Merge)
    def learn(request: Request, body: Merge) -> Merged:
        merge(counts, body.counts)
        peers[request.src].has(body.life, body.counts)
        return Merged(life)

    def acknowledge(peer: str, sent: dict[str, int], outcome: Merged | Exception) -> None:
        if not isinstance(outcome, Exception):
            peers[peer].has(outcome.life, sent)

    @node.background
    async def gossip() -> None:
        for peer in itertools.cycle(node.random.sample(node.peers, len(node.peers))):
            await trio.sleep(min(LAP / len(node.peers), GAP))
            await node.wait_for_room()
            known = peers[peer]
            news = {name: count for name, count in counts.items() if count > known.counts.get(name, 0)}
            if news or not known.life:
                done = partial(acknowledge, peer, news)
                node.rpc_callback(peer, Merge(life, news), done, as_=Merged, timeout=ACKNOWLEDGED_WITHIN)

    return node
