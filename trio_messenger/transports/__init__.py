"""Transports carry a node's messages.

A transport receives batches of decoded messages, and sends batches of encoded lines. It works in batches because one
pass of the scheduler costs more than handling one message; a single message is a batch of one. Outgoing messages are
already encoded, so that a message that cannot be encoded raises its error at the call that sends it.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import trio

from .._protocol.messages import Message

Admits: TypeAlias = Callable[[str, str], bool]
"""``admits(dest, msg_type)`` returns False if the network loses this message."""

FirstMsgId: TypeAlias = int | Literal["clock"]
"""The first number of a node; see `Node`."""


class Transport(trio.abc.SendChannel[list[bytes]], trio.abc.ReceiveChannel[list[Message]]):
    """A channel to the network, with one reader and one writer.

    ``receive`` raises `trio.EndOfChannel` when no message can ever come again, and `trio.BrokenResourceError` when
    the input is broken. ``send`` raises `trio.BrokenResourceError` when nobody receives any more. The text of a
    `trio.BrokenResourceError` says what broke.

    Example:
      A transport that prints each line that a node sends, around another transport:

      >>> class Printing(Transport):
      ...     def __init__(self, inner):
      ...         self.inner = inner
      ...
      ...     async def receive(self):
      ...         return await self.inner.receive()
      ...
      ...     async def send(self, value):
      ...         print(*value)
      ...         await self.inner.send(value)
      ...
      ...     async def aclose(self):
      ...         await self.inner.aclose()
      >>> async def main():
      ...     async with running(Node(wrap_transport=Printing)):
      ...         pass
      >>> trio.run(main)
      b'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 0, "msg_id": 0}}'
    """

    admits: Admits | None = None
    """If set, the node calls it with each message that it sends. If it returns False, the message is lost."""

    first_msg_id: FirstMsgId = 0
    """The number of the first message, as for `Node`, which uses the largest of all that it is given. A transport to a
    network that remembers former lives of the node sets it. The node asks the transport that `Node.serve` is given, and
    none that is put around it; the same holds for `size_limit`, `counters` and
    `is_connected`."""

    size_limit: float = math.inf
    """Bytes of the longest line that it carries. The call that sends a longer one raises `LocalProtocolError`."""

    counters: Mapping[str, int] = MappingProxyType({})
    """What the transport counts, such as messages that it dropped. They become a part of `Stats.counters`."""

    @property
    def is_connected(self) -> bool:
        """False while what is sent would be lost, because there is no connection. The default is always True."""
        return True

    def send_now(self, value: list[bytes]) -> list[bytes]:
        """Send as much of *value* as possible without waiting. The node calls it only while no `send` is running.

        Never raises: the next `send` reports a broken transport. This implementation sends nothing.

        Returns:
          The lines that are left, perhaps with only a part of the first; *value* itself if nothing was sent.
        """
        return value

    def wall_time(self) -> float:
        """Return the time of day in the world that the transport leads to, in seconds since the epoch.

        The default is this machine's clock. It is not monotonic: it jumps when somebody sets it, and a simulator may
        skew it on purpose. The node may also call this after the transport is closed. A transport that wraps another
        one must return the other one's time.
        """
        return time.time()

    @abstractmethod
    async def receive(self) -> list[Message]:
        """Wait for messages and return all that have arrived, in their order, `MalformedMessage` included.

        Always a checkpoint. A cancelled call has taken nothing.
        """

    @abstractmethod
    async def send(self, value: list[bytes]) -> None:
        """Send the lines of *value*, which come without newlines, completely and in their order.

        Checks for cancellation, but lets other tasks run only if it has to wait. There is one writer, and it waits for
        lines between calls. A pass of the scheduler for each call would cost a fifth of the time of a single message. A
        cancelled call may have sent some, all or none of the lines, and only a part of the last one.
        """
