"""Helpers for tests of nodes: a network in memory with one node. The test plays all other nodes and clients.

To test whole clusters, use the simulator, ``trio_messenger.sim``, and ``trio_messenger.testing.fixtures``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, final

import msgspec
import trio
import trio.testing

from trio_messenger import Body, MalformedMessage, Message, Node, RpcError
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair

_encode: Final = msgspec.json.Encoder().encode


@final
class Network:
    r"""The network around one node; made by `running`.

    Each async method is a checkpoint. A cancelled send has sent nothing, and a cancelled receive has taken nothing. A
    send after `send_eof`, or after the node has closed, raises `trio.ClosedResourceError` or
    `trio.BrokenResourceError`.

    Example:
      A test of a node that asks another node before it replies:

      >>> node = Node()
      >>> @node.on("ask")
      ... async def ask():
      ...     reply = await node.rpc("n2", {"type": "question"})
      ...     return {"answer": reply["answer"]}
      >>> async def main():
      ...     async with running(node) as network:
      ...         await network.send("c1", {"type": "ask", "msg_id": 1})
      ...         question = await network.receive()
      ...         await network.receive_nothing()
      ...         await network.reply(question, {"type": "question_ok", "answer": 42})
      ...         print((await network.receive()).body)
      ...         await network.send_bytes(b'{"src": "c1", "dest": "n1", "body": {}}\n')
      ...         network.send_eof()
      >>> trio.run(main)
      {'type': 'ask_ok', 'answer': 42, 'in_reply_to': 1, 'msg_id': 2}
    """

    def __init__(self, node: Node, transport: MemoryTransport, node_id: str) -> None:
        self.node: Final = node
        """The node."""
        self._node_id = node_id
        self._transport = transport
        self._sent_by_node, self._received = trio.open_memory_channel[Message](math.inf)
        self._next_msg_id = 1

    async def send(self, src: str, body: Body, dest: str | None = None) -> None:
        """Send *body* to the node as *src*. With another *dest*, it is a message that the network misdirected."""
        await self.send_bytes(_encode({"src": src, "dest": dest or self._node_id, "body": body}) + b"\n")

    async def send_bytes(self, data: bytes) -> None:
        """Send any bytes to the node: half a line, many lines, or garbage."""
        await self._transport.send_bytes(data)

    async def receive(self) -> Message:
        """Wait for the next message that the node sends.

        Raises:
          AssertionError: if the node sent a line that is not a message.
          trio.EndOfChannel: if the node has closed.
        """
        message = await self._received.receive()
        if isinstance(message, MalformedMessage):
            raise AssertionError(f"the node sent a line that is not a message: {message.reason}: {message.excerpt}")
        return message

    async def request(self, type_: str | Body, *, src: str = "c1", **fields: Any) -> Body:
        """Send a request and return the body of the reply, which may be an ``error`` body.

        Args:
          type_: The type of the request, or its whole body. Give a body if it has a field called ``src``.
          src: The id of its sender: a client, or another node.
          fields: The other fields of the body. The ``msg_id`` is chosen here.

        Raises:
          AssertionError: if the next message that the node sends is not the reply. If the node must ask others first,
            use `send` and `receive`.
        """
        msg_id = self._next_msg_id
        self._next_msg_id += 1
        body = {"type": type_} if isinstance(type_, str) else type_
        await self.send(src, {**body, **fields, "msg_id": msg_id})
        reply = await self.receive()
        if (reply.src, reply.dest, reply.body.get("in_reply_to")) != (self._node_id, src, msg_id):
            kind = body.get("type")
            raise AssertionError(f"{reply!r} is not the reply to the {kind!r} request with msg_id {msg_id} of {src!r}")
        return reply.body

    async def reply(self, request: Message, body: Body | RpcError) -> None:
        """Answer *request*, which the node sent, in the name of its receiver."""
        answer = body.to_body() if isinstance(body, RpcError) else body
        await self.send(request.dest, {**answer, "in_reply_to": request.body["msg_id"]})

    async def receive_nothing(self) -> None:
        """Wait until every task waits, and check that the node has sent nothing more.

        Raises:
          AssertionError: if it has sent something.
        """
        await trio.testing.wait_all_tasks_blocked()
        if self._received.statistics().current_buffer_used:
            raise AssertionError(f"the node must send nothing, but it sent {self._received.receive_nowait()!r}")

    def send_eof(self) -> None:
        """End the input of the node: no more messages come."""
        self._transport.send_eof()

    async def _collect(self) -> None:
        """Take all messages that the node sends, until it closes."""
        with self._sent_by_node:
            async for batch in self._transport:
                for message in batch:
                    self._sent_by_node.send_nowait(message)

    def _close(self) -> None:
        self._sent_by_node.close()
        self._received.close()


@asynccontextmanager
async def running(
    node: Node,
    *,
    node_id: str = "n1",
    node_ids: Sequence[str] = ("n1", "n2", "n3"),
    init: bool = True,
    line_limit: int | None = None,
) -> AsyncIterator[Network]:
    """Serve *node* while inside. On leaving, end its input and wait until it has ended.

    An exception or a cancellation inside cancels the node. In every case, everything that was opened is closed at the
    end. An exception that is raised inside, such as that of a failed assertion, leaves as it is, without exception
    groups around it, unless the node has failed as well.

    Args:
      node: A node that has not served yet.
      node_id: The node's id.
      node_ids: The ids of all nodes in the ``init`` message, this one included.
      init: Whether to send ``init``, as ``c0``, and to wait for ``init_ok``.
      line_limit: Bytes of the longest accepted line, in both directions; by default the limit of a node on stdin.

    Raises:
      AssertionError: if the answer to ``init`` is not ``init_ok``.

    Example:
      >>> node = Node()
      >>> @node.on("ping")
      ... def ping():
      ...     return {}
      >>> async def main():
      ...     async with running(node, node_id="n2", node_ids=["n1", "n2"]) as network:
      ...         print(node.id, node.peers)
      ...         print(await network.request("ping"))
      >>> trio.run(main)
      n2 ('n1',)
      {'type': 'ping_ok', 'in_reply_to': 1, 'msg_id': 1}
    """
    there, here = memory_transport_pair() if line_limit is None else memory_transport_pair(line_limit=line_limit)
    network = Network(node, here, node_id)
    failures: list[BaseException] = []
    try:
        async with there, here, trio.open_nursery() as nursery:
            nursery.start_soon(node.serve, there)
            nursery.start_soon(network._collect)
            if init:
                identity = {"node_id": node_id, "node_ids": list(node_ids)}
                await network.send("c0", {"type": "init", "msg_id": 0, **identity})
                answer = (await network.receive()).body
                if {**answer, "msg_id": 0} != {"type": "init_ok", "in_reply_to": 0, "msg_id": 0}:
                    raise AssertionError(f"the node answered 'init' with {answer!r}")
            try:
                yield network
            except BaseException as exc:
                failures.append(exc)
                raise
            network.send_eof()
    except BaseExceptionGroup as group:
        if failures and _is_all_of(failures[0], group):
            raise failures[0] from None
        raise
    finally:
        failures.clear()  # otherwise the exception and its frames would be in a cycle
        network._close()


def _is_all_of(error: BaseException, group: BaseException) -> bool:
    """Tell whether *group* contains nothing but *error*, or its parts if it is a group, which nurseries make anew."""
    parts, all_parts = _parts(error), _parts(group)
    return len(parts) == len(all_parts) and all(any(one is part for part in parts) for one in all_parts)


def _parts(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [part for member in error.exceptions for part in _parts(member)]


def assert_no_rpc_leaked(node: Node) -> None:
    """Check that no RPC of *node* is pending, and that the counters count the end of each RPC once.

    Raises:
      AssertionError: if an RPC is pending, or the counters do not add up.

    Example:
      >>> async def main():
      ...     node = Node()
      ...     async with running(node):
      ...         node.rpc_callback("n2", {"type": "ping"}, print)
      ...         try:
      ...             assert_no_rpc_leaked(node)
      ...         except AssertionError as error:
      ...             print(error)
      ...     assert_no_rpc_leaked(node)  # the node has closed
      >>> trio.run(main)
      1 RPCs are pending; 1 began, 0 ended: statistics: received=1 sent=2 rpcs=1
      the node closed before 'n2' replied to msg_id 1
    """
    stats = node.stats
    ended = stats.answered + stats.reaped + stats.abandoned + stats.closed
    if node.pending or stats.rpcs != ended:
        raise AssertionError(f"{len(node.pending)} RPCs are pending; {stats.rpcs} began, {ended} ended: {stats.line()}")
