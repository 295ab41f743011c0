"""Nodes that run elsewhere: the clients of a run reach them over a transport, such as the one over NATS.

Another program starts these nodes, connects them, and tells them who they are. So the run sees only the messages
between its clients and the nodes, and it can neither kill nor delay anything.

A transport has one id, which its permissions protect. So there, all clients of a run are one client. The gateway gives
each of their requests a number that no other has, and passes each reply on to the client that asked.
"""

from __future__ import annotations

from typing import Any, Final, final

import msgspec
import trio

from trio_messenger import Body, MalformedMessage, Message, Transport

from .._network.network import Delivery, SimulatedNetwork
from .._records.cut_texts import cut_json
from .clients import INIT_TIMEOUT
from .hosts import Host, NoAnswerError, NodeLog

KNOCK_INTERVAL: Final = 0.5
"""Seconds between two attempts to reach a node that has not answered yet. A node that is starting misses some."""

_NOBODY: Final = ""
"""The client of a request of the gateway itself, whose reply only shows that the node is there."""

_encode = msgspec.json.Encoder().encode


@final
class Gateway:
    """Connects the clients of a run with nodes that run elsewhere.

    Args:
      client_id: The id that all clients have there.
      first_msg_id: The number of the first request. An earlier run may have used the same id, so it should be random.
    """

    def __init__(self, client_id: str, first_msg_id: int) -> None:
        self.client_id: Final = client_id
        """The id that all clients have there."""
        self.failure: str | None = None
        """Why the connection ended; None if it did not."""
        self._next_msg_id = first_msg_id
        self._asked: dict[int, tuple[str, str, int]] = {}  # by number: the client, the node, and the client's number
        self._hosts: dict[str, RemoteHost] = {}
        self._to_send, self._outbox = trio.open_memory_channel[bytes](float("inf"))

    def make_host(self, node_id: str, network: SimulatedNetwork, log: NodeLog, *_: Any) -> Host:
        """Return the host of a node; see `MakeHost`."""
        host = self._hosts[node_id] = RemoteHost(node_id, network, log, self)
        return host

    def ask(self, message: Message) -> None:
        """Send *message*, a request of a client, to its node."""
        self._send(message.src, message.dest, message.body, message.body["msg_id"])

    def knock(self, node_id: str) -> None:
        """Ask a node, in the name of no client, whether it is there. A node answers a repeated ``init``."""
        self._send(_NOBODY, node_id, {"type": "init", "node_id": node_id, "node_ids": list(self._hosts)}, 0)

    def _send(self, client: str, node_id: str, body: Body, number: int) -> None:
        self._asked[self._next_msg_id] = client, node_id, number
        body = {**body, "msg_id": self._next_msg_id}
        self._next_msg_id += 1
        self._to_send.send_nowait(_encode({"src": self.client_id, "dest": node_id, "body": body}))

    async def serve(self, transport: Transport, cut: trio.CancelScope) -> None:
        """Carry messages until cancelled; if *transport* breaks, set `failure` and cancel *cut*."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_all, transport)
                async for messages in transport:
                    for message in messages:
                        self._pass_on(message)
        except* trio.BrokenResourceError as group:
            self.failure = f"{group.exceptions[0]}"
            cut.cancel()

    async def _send_all(self, transport: Transport) -> None:
        async for line in self._outbox:
            await transport.send([line])

    def _pass_on(self, message: Message) -> None:
        """Pass a message of a node on to the client that asked. Messages of others than the run's nodes are ignored."""
        host = self._hosts.get(message.src)
        if host is None:
            return
        host.heard.set()
        if isinstance(message, MalformedMessage):
            host.note_malformed(message)
            return
        number = message.body.get("in_reply_to")
        asked = self._asked.get(number) if type(number) is int else None  # true and 1.0 are equal to 1, but no ids
        if asked is None or asked[1] != message.src:
            host.note_stray(message)
        elif asked[0] != _NOBODY:
            client, _, number = asked
            host.take(_encode({"src": message.src, "dest": client, "body": {**message.body, "in_reply_to": number}}))


@final
class RemoteHost(Host):
    """Stands for a node that runs elsewhere. *gateway* carries its messages."""

    is_here = False
    advice = "is it connected?"

    def __init__(self, node_id: str, network: SimulatedNetwork, log: NodeLog, gateway: Gateway) -> None:
        super().__init__(node_id, network, log)
        self.heard: Final = trio.Event()
        """Set when a message of the node has come."""
        self._gateway = gateway
        self._strays = 0
        self._first_stray = ""

    async def start(self) -> None:
        """Wait until the node answers; see `Host.start`.

        Raises:
          NoAnswerError: if it does not answer within `INIT_TIMEOUT`.
        """
        with trio.move_on_after(INIT_TIMEOUT) as scope:
            while not self.heard.is_set():
                self._gateway.knock(self.node_id)
                with trio.move_on_after(KNOCK_INTERVAL):
                    await self.heard.wait()
        if scope.cancelled_caught:
            raise NoAnswerError(
                f"does not answer, for {INIT_TIMEOUT:g} s: check that it runs, with this id, the same --cluster and"
                " --prefix, and servers of the same NATS cluster"
            )
        self._begin_life()

    def kill(self) -> None:
        """End the observation of the node, which continues to run; see `Host.kill`."""
        if not self.is_alive:
            return
        if self._strays:
            self.remarks.append(
                f"node {self.node_id!r} sent {self._strays} message{'s' * (self._strays > 1)} to"
                f" {self._gateway.client_id!r} that reply to no request of this run, the first: {self._first_stray}"
            )
        self._end_life()

    def take(self, line: bytes) -> None:
        """Take a message of the node for a client."""
        self._send(line)

    def note_malformed(self, message: MalformedMessage) -> None:
        """Record that the node sent a line that is not a message. Only the first one is shown."""
        if self.trouble is None:
            self._note_problem(f"sent a line that is not a message: {message.excerpt} ({message.reason})")

    def note_stray(self, message: Message) -> None:
        """Record that the node sent a message for which no client waits. Replies to an earlier run may be late."""
        self._first_stray = self._first_stray or cut_json(message.body)
        self._strays += 1

    def _hand_over(self, delivery: Delivery) -> None:
        self._gateway.ask(delivery.message)
