"""A transport in memory, for tests and for clusters in one process."""

from __future__ import annotations

from typing import Final, final

import trio

from .._protocol.lines import LINE_LIMIT, LineDecoder
from .._protocol.messages import Message
from . import Transport

BATCHES: Final = 16
"""Batches that one direction holds before its sender waits: bounded like a pipe, with few task switches."""


def memory_transport_pair(
    *, batches: float = BATCHES, line_limit: int = LINE_LIMIT
) -> tuple[MemoryTransport, MemoryTransport]:
    r"""Return two transports that are connected: each receives what the other one sends.

    Messages are encoded and decoded as on a pipe, so the two sides never share an object.

    Args:
      batches: How many batches each direction holds before ``send`` waits; ``math.inf`` for no limit.
      line_limit: Bytes of the longest accepted line.

    Example:
      >>> async def main():
      ...     here, there = memory_transport_pair()
      ...     async with here, there:
      ...         await here.send([b'{"src": "c1", "dest": "n1", "body": {"type": "ping"}}'])
      ...         await here.send_bytes(b"garbage\n")
      ...         here.send_eof()
      ...         async for messages in there:
      ...             print([type(message).__name__ for message in messages])
      >>> trio.run(main)
      ['Message']
      ['MalformedMessage']
    """
    there_send, there_receive = trio.open_memory_channel[bytes](batches)
    back_send, back_receive = trio.open_memory_channel[bytes](batches)
    return (
        MemoryTransport(there_send, back_receive, line_limit),
        MemoryTransport(back_send, there_receive, line_limit),
    )


@final
class MemoryTransport(Transport):
    """One end of a pair; made by `memory_transport_pair`."""

    def __init__(
        self,
        send_channel: trio.MemorySendChannel[bytes],
        receive_channel: trio.MemoryReceiveChannel[bytes],
        line_limit: int,
    ) -> None:
        self._send_channel = send_channel
        self._receive_channel = receive_channel
        self._decoder = LineDecoder(line_limit)
        self._at_eof = False

    async def receive(self) -> list[Message]:
        """Wait for the next batch. Always a checkpoint; a cancelled call has taken nothing.

        Raises:
          trio.EndOfChannel: when the other end is closed, and all that it sent has been received.
        """
        while not self._at_eof:
            try:
                data = await self._receive_channel.receive()
            except trio.EndOfChannel:
                self._at_eof = True
                messages = self._decoder.receive_eof()
            else:
                messages = self._decoder.receive_data(data)
            if messages:
                return messages
        await trio.lowlevel.checkpoint()
        raise trio.EndOfChannel

    async def send(self, value: list[bytes]) -> None:
        """Send whole lines; wait while the other end has ``batches`` batches to receive.

        Always a checkpoint. A cancelled call has sent nothing.

        Raises:
          trio.BrokenResourceError: if the other end is closed.
        """
        await self.send_bytes(b"\n".join([*value, b""]))

    async def send_bytes(self, data: bytes) -> None:
        """Send any bytes: half a line, many lines, or garbage. The other end splits and decodes them as from a pipe.

        Waits and raises as `send` does; the same holds after cancellation.
        """
        try:
            await self._send_channel.send(data)
        except trio.BrokenResourceError:
            raise trio.BrokenResourceError("the other end of the memory transport is closed") from None

    def send_eof(self) -> None:
        """End the outgoing direction; this end can still receive."""
        self._send_channel.close()

    async def aclose(self) -> None:
        """Close both directions. Always a checkpoint."""
        self._send_channel.close()
        self._receive_channel.close()
        await trio.lowlevel.checkpoint()
