"""kafka: logs that clients append to and poll, in the service lin-kv.

A log consists of chunks of one message or more. Each chunk is a key of its own, with the offset of its first message in
the name. A chunk never changes. To append, a node creates the chunk after the last one that it knows, by a
compare-and-set that fails if this chunk exists. So one request takes the offset and stores the message, and no offset
is taken twice or left out. A chunk has an id: if the network repeats the request, and the node gets the refusal of the
second copy, it finds its own chunk there. Messages for the same log that arrive during a compare-and-set share the next
chunk.

Each node has a copy of the logs in memory, and tells the others about its new chunks. If such a message is lost, or if
two nodes append at the same time, the node reads the missing chunks from the service. It does so when its
compare-and-set fails, or when it has nothing for a poll.

Guarantees: a message that was acknowledged stays at its offset, and a poll returns messages without gaps, in their
order. A poll from memory asks nobody. A poll that finds nothing new there sees every message that was acknowledged
before it began, if the service answers. Committed offsets only grow, and a node never forgets one that it acknowledged.
A node keeps nothing else than copies, so it may be killed at any time.

Limits: without the service, a node appends and commits nothing: it answers with a timeout error, and the message may
still arrive later. A poll may return fewer messages than there are, and `list_committed_offsets` older offsets. A
restarted node reads each log again, one chunk after the other, and keeps all of it in memory. If the network
repeats a client's request, and the node is killed between both copies, the message gets two offsets.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import attrs
import msgspec
import trio

from trio_messenger import LIN_KV, AtMostOnce, Body, ErrorCode, KeyValue, Node, RpcError

NOTHING_COMMITTED: Final = -1
"""An offset before the first one."""


@attrs.frozen
class Send:
    """Append *msg* to the log *key*."""

    type: ClassVar[str] = "send"
    key: str
    msg: Any


@attrs.frozen
class Poll:
    """Return messages of these logs, from these offsets on."""

    type: ClassVar[str] = "poll"
    offsets: dict[str, Annotated[int, msgspec.Meta(ge=0)]]


@attrs.frozen
class CommitOffsets:
    """Note that the messages of these logs are processed up to these offsets."""

    type: ClassVar[str] = "commit_offsets"
    offsets: dict[str, int]


@attrs.frozen
class ListCommittedOffsets:
    """Return the committed offsets of these logs."""

    type: ClassVar[str] = "list_committed_offsets"
    keys: list[str]


@attrs.frozen
class Chunk:
    """A new chunk of the log *key*, whose first message has the offset *start*."""

    type: ClassVar[str] = "chunk"
    key: str
    start: int
    messages: list[Any]


@attrs.define(eq=False)
class Draft:
    """A message that has no offset yet."""

    message: Any
    offset: int | None = None


class Log:
    """A node's copy of the log *key*, and the messages that wait for the next chunk."""

    def __init__(self, key: str, node: Node, kv: KeyValue) -> None:
        self.messages: list[Any] = []
        self.committed: int = NOTHING_COMMITTED
        self._key, self._node, self._kv = key, node, kv
        self._drafts: list[Draft] = []
        self._appending = trio.Lock()
        self._own_id = ""  # of the chunk that this node appends
        self._own_start: int | None = None  # where it is, once that is known

    async def append(self, message: Any) -> int:
        """Append *message* and return its offset."""
        draft = Draft(message)
        self._drafts.append(draft)
        async with self._appending:
            if draft in self._drafts:
                chunk, self._drafts = self._drafts, []
                await self._create(chunk)
        if draft.offset is None:
            raise RpcError(ErrorCode.TIMEOUT, "the service did not answer, so the message may or may not be appended")
        return draft.offset

    async def catch_up(self) -> None:
        """Read the chunks that are missing here."""
        while True:
            start = len(self.messages)
            chunk = await self._kv.read(self._name(start), default=None)
            if chunk is None:
                return
            self.learn(start, chunk["messages"])
            if chunk["id"] == self._own_id:
                self._own_start = start

    def learn(self, start: int, messages: list[Any]) -> None:
        """Add the chunk at *start* unless it is known, or chunks before it are missing."""
        if start == len(self.messages):
            self.messages.extend(messages)

    async def commit(self, offset: int) -> None:
        """Raise the committed offset to *offset*, if it is lower."""
        if offset > self.committed:
            name = f"committed {self._key}"
            self._note(await self._kv.update(name, lambda old: max(old, offset), default=NOTHING_COMMITTED))

    async def find_committed(self) -> None:
        """Read the committed offset from the service, if none is known here."""
        if self.committed == NOTHING_COMMITTED:
            self._note(await self._kv.read(f"committed {self._key}", default=NOTHING_COMMITTED))

    def _note(self, committed: int) -> None:
        self.committed = max(self.committed, committed)

    async def _create(self, drafts: list[Draft]) -> None:
        messages = [draft.message for draft in drafts]
        self._own_id, self._own_start = f"{self._node.id}-{self._node.random.getrandbits(64):016x}", None
        while (start := self._own_start) is None:
            start = len(self.messages)
            chunk = {"id": self._own_id, "messages": messages}
            try:
                await self._kv.cas(self._name(start), None, chunk, create=True)
            except RpcError as exc:
                if exc.code != ErrorCode.PRECONDITION_FAILED:
                    raise
                await self.catch_up()
            else:
                self._own_start = start
        self.learn(start, messages)
        for offset, draft in enumerate(drafts, start):
            draft.offset = offset
        for peer in self._node.peers:
            await self._node.send(peer, Chunk(self._key, start, messages))

    def _name(self, start: int) -> str:
        return f"log {self._key} {start}"


def build() -> Node:
    """Return a node with logs in lin-kv.

    Example:
      An append is one request to the service:

      >>> from trio_messenger.nodes import kafka
      >>> async def main():
      ...     async with running(kafka.build()) as network:
      ...         await network.send("c1", {"type": "send", "key": "x", "msg": "a", "msg_id": 1})
      ...         request = await network.receive()
      ...         print(request.dest, request.body["type"], request.body["key"], request.body["to"]["messages"])
      >>> trio.run(main)
      lin-kv cas log x 0 ['a']
    """
    node = Node()
    kv = KeyValue(node, LIN_KV)
    logs: dict[str, Log] = {}

    def log(key: str) -> Log:
        if key not in logs:
            logs[key] = Log(key, node, kv)
        return logs[key]

    @node.on(Send, at_most_once=AtMostOnce())
    async def send(body: Send) -> Body:
        return {"offset": await log(body.key).append(body.msg)}

    @node.on(Chunk)
    def learn(body: Chunk) -> None:
        log(body.key).learn(body.start, body.messages)

    @node.on(Poll)
    async def poll(body: Poll) -> Body:
        async with trio.open_nursery() as nursery:
            for key, offset in body.offsets.items():
                if offset >= len(log(key).messages):
                    nursery.start_soon(try_to_catch_up, log(key))
        return {"msgs": {key: after(log(key), offset) for key, offset in body.offsets.items()}}

    async def try_to_catch_up(behind: Log) -> None:
        try:
            await behind.catch_up()
        except RpcError:
            return  # then the poll returns what this node has

    def after(known: Log, offset: int) -> list[tuple[int, Any]]:
        return list(enumerate(known.messages[offset:], offset))

    @node.on(CommitOffsets)
    async def commit(body: CommitOffsets) -> Body:
        for key, offset in body.offsets.items():
            await log(key).commit(offset)
        return {}

    @node.on(ListCommittedOffsets)
    async def list_committed(body: ListCommittedOffsets) -> Body:
        for key in body.keys:
            await log(key).find_committed()
        committed = {key: log(key).committed for key in body.keys}
        return {"offsets": {key: offset for key, offset in committed.items() if offset != NOTHING_COMMITTED}}

    return node
