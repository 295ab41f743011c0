"""Transports: what carries a node's messages.

Coming in, a transport gives batches of decoded messages; going out, it takes batches of encoded lines. Batches,
because one pass of the scheduler costs more than handling one message does; a lone message is a batch of one.
Encoded, because what cannot be encoded is to fail where it was sent.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import trio

from .._protocol.messages import Message

Admits: TypeAlias = Callable[[str, str], bool]
"""``admits(dest, msg_type)``: whether the network takes a message that is being sent."""


class Transport(trio.abc.SendChannel[list[bytes]], trio.abc.ReceiveChannel[list[Message]]):
    """A channel to the network, with one reader and one writer.

    ``receive`` raises `trio.EndOfChannel` when no message can ever come again, and
    `trio.BrokenResourceError` when the way in broke. ``send`` raises `trio.BrokenResourceError` when nobody
    receives any more; the text of either says what broke.
    """

    admits: Admits | None = None
    """Called, where it is set, with each message at the moment it is sent; one that it refuses is lost."""

    def send_now(self, value: list[bytes]) -> list[bytes]:
        """Send as much of *value* as can be sent without waiting; called only while no `send` is under way.

        Never raises: what is broken, the next `send` will find.

        Returns:
          The lines that are left, the first perhaps in part; *value* itself, if nothing was sent, as always here.
        """
        return value

    def wall_time(self) -> float:
        """Return the time of day in the world that the transport leads to, in seconds since the epoch.

        By default this machine's. Not monotonic: it jumps when somebody sets the clock, and a simulator may have it
        wrong on purpose. Asked also after the transport is closed. One that is around another passes the question on.
        """
        return time.time()

    @abstractmethod
    async def receive(self) -> list[Message]:
        """Wait for messages and return those there are, in their order; `MalformedMessage` ones among them.

        Always a checkpoint. A cancelled call has taken nothing.
        """

    @abstractmethod
    async def send(self, value: list[bytes]) -> None:
        """Send the lines of *value*, each without its newline, whole and in their order.

        Sees a cancellation, but lets other tasks run only if it has to wait: the one writer waits for lines between
        calls, and a pass of the scheduler for each would be a fifth of what a lone message takes. A cancelled call may
        have sent some, all or none of them, the last one in part.
        """
