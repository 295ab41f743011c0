"""broadcast: a node sends new messages through a hub in batches, and asks other nodes for messages that it lacks.

Each node has a log of the messages that clients sent to it, and copies of the other nodes' logs. Entries never change.
So the lengths of all logs say exactly which messages a node has.

- **News**: at the end of each period, a node sends the new entries to the hub, and the hub sends them to all nodes. The
  hub is the node with the smallest id. Nobody acknowledges news, so a batch costs one message for each node, and
  reaches all nodes after two latencies and at most two periods.
- **Anti-entropy** repairs what news missed. Once a second, a node asks another one, each in its turn, and each of the
  two gets the entries that it lacks. A node that receives entries with a gap before them asks their sender immediately.

Guarantees: every message that was acknowledged, or that a client has read, eventually reaches all nodes that can
exchange messages, directly or through others. They need no hub: without it, messages spread within a few seconds.
Losses, duplicates and partitions only delay messages. Each node always answers its own clients. A node acknowledges a
message when it is safe in the store.

Limits: messages have no order, and a read may lack those of the last moments. Without a store, a node that is killed
loses the messages that it had not sent yet. The hub sends each message to each node, so it limits the throughput. A
node ignores the topology that clients send, because any node can send messages to any other one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping
from typing import Any, ClassVar, Final, TypeAlias

import attrs
import trio

from trio_messenger import Body, DurableStore, Node, Request, RpcError

FAST: Final = 0.025
"""Seconds between batches: news reach all nodes soon."""

FRUGAL: Final = 0.4
"""Seconds between batches: fewer messages, each with more news."""

COMPARE_EVERY: Final = 1.0
"""Seconds until a node asks another one."""

COMPARED_WITHIN: Final = 10.0
"""Seconds to wait for an answer. On slow links it comes late, but is still useful."""

News: TypeAlias = dict[str, tuple[int, list[int]]]
"""For some logs: the number of entries before these, and the entries."""


@attrs.frozen
class Broadcast:
    """A message for all nodes."""

    message: int


@attrs.frozen
class Tell:
    """New entries of logs."""

    type: ClassVar[str] = "tell"
    news: News


@attrs.frozen
class Compare:
    """The lengths of the sender's logs, to be compared."""

    type: ClassVar[str] = "compare"
    lengths: dict[str, int]


@attrs.frozen
class Differences:
    """The entries that the asking node lacks, and the lengths of the logs of which it has more."""

    news: News
    lengths: dict[str, int]


class Logs:
    """The logs of all nodes, as far as this node knows them. A log's name is the id of its node, ``-`` and a number.

    In *kept*, an entry has the name of its log and its number.
    """

    def __init__(self, kept: MutableMapping[str, Any]) -> None:
        self.messages: dict[int, None] = {}  # a set that keeps the order
        self._logs: dict[str, list[int]] = {}
        self._kept = kept
        keys = (key.rpartition(" ") for key in kept if " " in key)
        for log, number in sorted((log, int(number)) for log, _, number in keys):
            self.append(log, kept[f"{log} {number}"])

    def append(self, log: str, message: int) -> None:
        """Add an entry to *log* that is kept already."""
        self._logs.setdefault(log, []).append(message)
        self.messages[message] = None

    def keep(self, log: str, start: int, entries: list[int]) -> bool:
        """Keep and add the new ones of *entries*; return False if entries before *start* are missing."""
        known = self.length(log)
        if start > known:
            return False
        for number, message in enumerate(entries[known - start :], known):
            self._kept[f"{log} {number}"] = message
            self.append(log, message)
        return True

    def length(self, log: str) -> int:
        """Return the number of entries of *log*."""
        return len(self._logs.get(log, ()))

    def lengths(self) -> dict[str, int]:
        """Return the length of each log."""
        return {log: len(entries) for log, entries in self._logs.items()}

    def after(self, lengths: Mapping[str, int]) -> News:
        """Return the entries that a node lacks whose logs have these *lengths*."""
        starts = ((log, lengths.get(log, 0), entries) for log, entries in self._logs.items())
        return {log: (start, entries[start:]) for log, start, entries in starts if start < len(entries)}


class Gossip:
    """What *node* tells and asks others."""

    def __init__(self, node: Node, logs: Logs) -> None:
        self.hub = ""  # set at init
        self._node = node
        self._logs = logs
        self._told = logs.lengths()  # entries before these went to the hub, or from the hub to all nodes
        self._repaired_by: set[str] = set()  # nodes that were asked for missing entries and have not answered yet

    async def tell(self) -> None:
        """Send what is new."""
        news = self._logs.after(self._told)
        self._told.update(self._logs.lengths())
        for peer in self._node.peers if self._node.id == self.hub else [self.hub]:
            of_others = {log: entries for log, entries in news.items() if log.rpartition("-")[0] != peer}
            if of_others:
                await self._node.send(peer, Tell(of_others))

    async def hear(self, request: Request, body: Tell) -> None:
        """Learn news, and ask for what is missing before them."""
        if not self._learn(request.src, body.news) and request.src not in self._repaired_by:
            self._repaired_by.add(request.src)
            await self.compare_with(request.src)
            self._repaired_by.discard(request.src)

    def compared(self, body: Compare) -> Differences:
        """Return the differences between this node and the one that asks."""
        lengths = {log: self._logs.length(log) for log in body.lengths}
        lacking = {log: length for log, length in lengths.items() if length < body.lengths[log]}
        return Differences(self._logs.after(body.lengths), lacking)

    async def compare_with(self, peer: str) -> None:
        """Exchange what this node and *peer* lack."""
        mine = Compare(self._logs.lengths())
        try:
            found = await self._node.rpc(peer, mine, as_=Differences, timeout=COMPARED_WITHIN)
        except RpcError:
            return  # another node is asked soon
        self._learn(peer, found.news)
        news = self._logs.after(found.lengths)
        lacking = {log: news[log] for log in found.lengths if log in news}
        if lacking:
            await self._node.send(peer, Tell(lacking))

    async def repair(self) -> None:
        """Compare with each other node in turn, forever."""
        peers = self._node.random.sample(self._node.peers, len(self._node.peers))
        async with trio.open_nursery() as nursery:
            for peer in itertools.cycle(peers):
                await trio.sleep(COMPARE_EVERY)
                nursery.start_soon(self.compare_with, peer)

    def _learn(self, src: str, news: News) -> bool:
        if src == self.hub:
            self._told.update({log: start + len(entries) for log, (start, entries) in news.items()})
        is_complete = True
        for log, (start, entries) in news.items():
            is_complete &= self._logs.keep(log, start, entries)
        return is_complete


def build(store: MutableMapping[str, Any] | None = None, *, period: float = FAST) -> Node:
    """Return a broadcast node that keeps its messages in *store*.

    Args:
      store: Where the logs are kept.
      period: Seconds between batches of news: ``FAST``, ``FRUGAL``, or another positive number.

    Example:
      >>> from trio_messenger.nodes import broadcast
      >>> async def main():
      ...     store = {}
      ...     async with running(broadcast.build(store), node_ids=["n1"]) as network:
      ...         await network.request("broadcast", message=7)
      ...     async with running(broadcast.build(store), node_ids=["n1"]) as network:  # restarted
      ...         print((await network.request("read"))["messages"])
      >>> trio.run(main)
      [7]
    """
    kept: MutableMapping[str, Any] = {} if store is None else store
    sync = kept.sync if isinstance(kept, DurableStore) else trio.lowlevel.checkpoint
    node = Node()
    logs = Logs(kept)
    gossip = Gossip(node, logs)
    own = ""  # the name of this node's log
    written: list[int] = []  # its entries, also those that are not safe in the store yet

    @node.on_init
    def begin() -> None:
        nonlocal own
        own = kept.setdefault("log", f"{node.id}-{node.random.getrandbits(64):016x}")
        written.extend(kept[f"{own} {number}"] for number in range(logs.length(own)))
        gossip.hub = min(node.identity.node_ids)

    @node.on("topology")
    def topology() -> Body:
        return {}

    @node.on("broadcast")
    async def broadcast(body: Broadcast) -> Body:
        if body.message not in logs.messages:
            kept[f"{own} {len(written)}"] = body.message
            written.append(body.message)
        end = len(written)
        await sync()
        for message in written[logs.length(own) : end]:  # only now may others see them
            logs.append(own, message)
        return {}

    @node.on("read")
    def read() -> Body:
        return {"messages": list(logs.messages)}

    node.on(Tell)(gossip.hear)
    node.on(Compare)(gossip.compared)
    node.every(period, gossip.tell)
    node.background(gossip.repair)
    return node
