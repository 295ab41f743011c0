"""nats-py's client, changed: no password in the clear, a protocol that knows of TLS, resets, and a shorter path.

nats-py passes each message on through a queue to a task, and publishes each by a coroutine. This costs more than the
message itself, and a link does not need it: it limits by itself what waits. So `StrictClient` hands a message over when
nats-py has parsed it, and adds what is published to nats-py's buffer, which nats-py's task then writes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, final

from nats import errors
from nats.aio.client import Client

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing the socket discards what was not sent."""


@final
class StrictClient(Client):
    """A client that hands over each message of a subscription with a callback at once.

    Args:
      on_message: Takes the subject and the payload of each message.
    """

    def __init__(self, on_message: Callable[[str, bytes], object]) -> None:
        super().__init__()
        self.signs_of_life = 0
        """How often the server has shown that it is there: answers to PING, and messages."""
        self._on_message = on_message

    def _connect_command(self) -> bytes:
        """Send no password without TLS if TLS is wanted: a server, or anybody before it, may say that it has none."""
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise errors.SecureConnWantedError
        self._tell_the_protocol_of_tls()
        return super()._connect_command()

    def _tell_the_protocol_of_tls(self) -> None:
        """Give the protocol that reads the transport with TLS, if there is one, which nats-py does not do.

        Otherwise nothing would limit what it reads ahead, and asyncio would warn about it at the end of the connection.
        """
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None and writer is not getattr(self._transport, "_bare_io_writer", None):
            writer.transport.get_protocol().connection_made(writer.transport)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """Hand a message over. Anybody may choose a subject, also one that is not text. Replies take nats-py's way."""
        self.signs_of_life += 1
        if self._resp_sub_prefix is not None and subject.startswith(self._resp_sub_prefix):
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            self._on_message(subject.decode(errors="replace"), data)

    async def _process_pong(self) -> None:
        """Take an answer to PING. nats-py itself would stop reading if it comes after the time for it."""
        self.signs_of_life += 1
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
        else:
            await super()._process_pong()

    def publish_now(self, messages: list[tuple[str, bytes]]) -> None:
        """Publish *messages*, pairs of a subject and a payload, in their order. Never waits. Call it in the loop.

        Raises:
          nats.errors.ConnectionClosedError: if the client is not connected; nothing was published.
        """
        if not self.is_connected:
            raise errors.ConnectionClosedError
        assert self._flush_queue is not None  # since it was connected
        commands = [b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(line), line) for subject, line in messages]
        self._pending += commands
        self._pending_data_size += sum(map(len, commands))
        if self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def reset(self) -> None:
        """Break the connection, and discard what waits to be sent, in the client and in the system."""
        writer = getattr(self._transport, "_bare_io_writer", None)  # of the TCP connection below TLS
        if writer is not None:
            connection = writer.get_extra_info("socket")
            if connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def forget(self) -> None:
        """Let go of what waits, when the client is closed.

        The client is in cycles of its own. Until Python looks for those, which may take long, it would keep megabytes.
        """
        self._pending.clear()
        self._ps.reset()
        self._transport = None
