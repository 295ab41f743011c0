"""Clients: members of the network that send one request at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final, final

import msgspec
import trio

from trio_messenger import Body, RpcError, RpcTimeout

from .._network.network import Delivery, SimulatedNetwork

INIT_TIMEOUT: Final = 10.0
"""Seconds that a node has to answer ``init``."""

SETUP_TIMEOUT: Final = 5.0
"""Seconds that a node has to acknowledge the request with which a workload sets it up."""

_encode = msgspec.json.Encoder().encode


class _Error(msgspec.Struct):
    """The required fields of an ``error``. Without this check, the library would read a missing code as a crash."""

    code: int
    text: str | None = None


@final
class Client:
    """One client with its own id. It stays in the network until `close`."""

    def __init__(self, client_id: str, network: SimulatedNetwork) -> None:
        self.id: Final = client_id
        """The client's id in the network."""
        self._network = network
        self._next_msg_id = 1
        self._waits_for: int | None = None
        self._reply: Body | None = None
        self._came = trio.Event()
        network.attach(client_id, "clients", self._receive)

    async def rpc(self, dest: str, body: Body, timeout: float) -> Body:
        """Send *body* to *dest* and wait for the reply.

        The client drops late replies to earlier requests, as in Maelstrom.

        Raises:
          RpcTimeout: if no reply came within *timeout* seconds.
          RpcError: if the reply is an error.
          msgspec.ValidationError: if the reply is an error without an integer code.
        """
        msg_id = self._next_msg_id
        self._next_msg_id += 1
        self._waits_for, self._reply, self._came = msg_id, None, trio.Event()
        self._network.send(_encode({"src": self.id, "dest": dest, "body": {**body, "msg_id": msg_id}}))
        with trio.move_on_after(timeout):
            await self._came.wait()
        return _read(self._reply, lambda: RpcTimeout(dest, msg_id, timeout))

    async def linger(self, timeout: float) -> Body | None:
        """Continue to wait for the reply after `rpc` was cancelled; return None if none came in *timeout* seconds."""
        with trio.move_on_after(timeout):
            await self._came.wait()
        return self._reply

    def close(self) -> None:
        """Leave the network."""
        self._network.detach(self.id)

    def _receive(self, delivery: Delivery) -> None:
        body = delivery.message.body
        number = body.get("in_reply_to")
        if type(number) is int and number == self._waits_for:  # true and 1.0 are equal to 1, but no ids
            self._waits_for = None  # a copy of the reply is late
            self._reply = body
            self._came.set()


def _read(reply: Body | None, timeout: Callable[[], RpcTimeout]) -> Body:
    if reply is None:
        raise timeout()  # created here: an error passed as an argument would form a reference cycle with this frame
    if reply.get("type") == "error":
        msgspec.convert(reply, _Error)
        raise RpcError.from_body(reply)
    return reply


@final
class Clients:
    """Creates the clients of a run, with the ids ``c0``, ``c1`` and so on."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network
        self._numbers: Iterator[int] = itertools.count()

    def open(self) -> Client:
        """Return a new client."""
        return Client(f"c{next(self._numbers)}", self._network)
