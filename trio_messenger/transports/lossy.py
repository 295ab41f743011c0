"""A transport that loses some of the messages that a node sends."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import final

from .._protocol.messages import Message
from . import Transport


@final
class MessageLoss:
    """Loses a fraction of the messages that a node sends, while it is turned on. At first it is off.

    Give `wrap` to a `Node` as its ``wrap_transport``. A lost message counts as sent and uses its ``msg_id``, like a
    message that a network loses.

    Args:
      exempt: Types of messages that are never lost and not counted.

    Example:
      >>> loss = MessageLoss(exempt=["init_ok"])
      >>> node = Node(wrap_transport=loss.wrap)
      >>> async def main():
      ...     async with running(node) as network:
      ...         loss.turn_on(0.5, Random(1))
      ...         for number in range(4):
      ...             await node.send("n2", {"type": "count", "number": number})
      ...         loss.turn_off()
      ...         await node.send("n2", {"type": "end"})
      ...         while (body := (await network.receive()).body)["type"] != "end":
      ...             print(body["number"])
      >>> trio.run(main)
      1
      2
      >>> loss.total_sent, loss.total_dropped
      (5, 2)
    """

    def __init__(self, exempt: Collection[str] = ()) -> None:
        self.is_on: bool = False
        """True while messages get lost."""
        self.drop_rate: float = 0.0
        """The fraction of messages to lose while it is on."""
        self.total_sent: int = 0
        """The number of messages sent so far, lost ones included."""
        self.total_dropped: int = 0
        """The number of messages lost so far."""
        self._exempt = frozenset(exempt)
        self._random = Random()

    def turn_on(self, drop_rate: float, random: Random) -> None:
        """From now on, lose each message for which ``random.random() < drop_rate``.

        Raises:
          ValueError: if *drop_rate* is not from 0 to 1.
        """
        if not 0 <= drop_rate <= 1:
            raise ValueError(f"drop_rate is {drop_rate}; give a fraction from 0 (lose none) to 1 (lose all)")
        self.is_on = True
        self.drop_rate = drop_rate
        self._random = random

    def turn_off(self) -> None:
        """Lose no more messages."""
        self.is_on = False

    def wrap(self, transport: Transport) -> Transport:
        """Return a transport that sends through *transport* and loses messages. Closing it closes *transport*."""
        return _LossyTransport(transport, self)

    def admits(self, dest: str, msg_type: str) -> bool:  # noqa: ARG002 - the form of Transport.admits
        """Return True if the message gets through, and count it."""
        if msg_type in self._exempt:
            return True
        self.total_sent += 1
        if self.is_on and self._random.random() < self.drop_rate:
            self.total_dropped += 1
            return False
        return True


@final
class _LossyTransport(Transport):
    def __init__(self, inner: Transport, loss: MessageLoss) -> None:
        self._inner = inner
        inside = inner.admits
        self.admits = (
            loss.admits if inside is None else lambda dest, kind: loss.admits(dest, kind) and inside(dest, kind)
        )

    async def receive(self) -> list[Message]:
        return await self._inner.receive()

    async def send(self, value: list[bytes]) -> None:
        await self._inner.send(value)

    def send_now(self, value: list[bytes]) -> list[bytes]:
        return self._inner.send_now(value)

    def wall_time(self) -> float:
        return self._inner.wall_time()

    async def aclose(self) -> None:
        await self._inner.aclose()
