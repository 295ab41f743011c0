"""The transport over NATS, a message server: for nodes on several machines.

It needs ``trio-messenger[nats]``, and nothing else imports it. NATS delivers each message at most once, in order from
one node to another while neither loses its connection, and keeps nothing for a node that is not connected. That is what
nodes expect of a network. `transports.subjects` has the names under which messages travel; the payload is the line of
the message, so a capture reads like the input and output of nodes on stdio.

Not every message arrives, but none arrives late: what a lost connection has not sent is discarded, and what is sent
without a connection is dropped and counted. RPCs end at their deadlines.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, final

import msgspec
import trio
import trio_asyncio

from .._protocol.messages import Message
from .._protocol.stats import worth_a_line
from . import FirstMsgId, Transport
from ._nats_link import (
    Credentials as Credentials,
    LinkOptions,
    NatsLink,
    check_servers,
    connect_to_any,
)
from ._nats_payloads import INIT_SRC, PayloadDecoder, dest_of
from ._nats_refusals import ServerRefusedError, UnreachableError
from .subjects import ANY, SUBJECT_PREFIX, subject_part, subject_prefix

_log = logging.getLogger("trio_messenger")

UNREAD_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of messages that wait until the node reads them. Further ones are dropped and counted."""

_SIZE_OF_ENTRY: Final = 400
"""Bytes of memory of a waiting message besides its payload."""

_BATCH_SIZE: Final = 32 * 1024
"""Bytes of messages that the node gets at once, as from a pipe."""

HEARTBEAT: Final = 5.0
"""Seconds between two signs of life of the server, and seconds that it has for each."""

FIRST_WAIT: Final = 0.1
"""Seconds until the second attempt to connect. Each further delay is twice as long, up to `LONGEST_WAIT`, and half of
it is random, so that nodes that lost the same server do not all come back at the same moment."""

LONGEST_WAIT: Final = 5.0
"""Seconds of the longest delay between attempts to connect."""

_COUNTED: Final = "connections unsent oversized unaddressable forged blank overflowed denied"

_POLL: Final = 0.001
"""Seconds between looks at a congested connection."""


def open_nats(
    servers: str | Iterable[str],
    cluster: str,
    node_id: str,
    node_ids: Collection[str],
    *,
    prefix: str = SUBJECT_PREFIX,
    credentials: Credentials | None = None,
    first_msg_id: FirstMsgId = "clock",
    heartbeat: float = HEARTBEAT,
    connect_timeout: float = HEARTBEAT,
    queue: str = "",
) -> AbstractAsyncContextManager[NatsTransport]:
    """Connect to NATS, and return the transport of a node; for ``async with``.

    The node needs no ``init`` message: the transport begins with one, from *node_id* and *node_ids*. If the connection
    is lost, the transport tries again, forever, with growing delays. If the server then refuses the node, for example
    because its credentials have expired, the node ends with `trio.BrokenResourceError`.

    Args:
      servers: The URLs of the servers of one NATS cluster, such as ``nats://10.0.0.1:4222``. ``tls://`` demands TLS.
      cluster: The name of the cluster of nodes. Clusters with different names do not see each other.
      node_id: The id of the node. No other process may have it.
      node_ids: The ids of all nodes of the cluster, this one included.
      prefix: The first part of all subjects, or several with dots between them.
      credentials: Who the node is for the server, and which servers it trusts.
      first_msg_id: The number of the node's first message. Others may remember messages of a former life, so the
        default is the clock; see `.Node`.
      heartbeat: Seconds between two signs of life of the server, and seconds that it has for each and for a connection.
      connect_timeout: Seconds for which the first connection is tried, if no server can be reached.
      queue: A name, if several processes have this id, and each message is for one of them: services without state.

    Raises:
      ValueError: at once, if an argument is not valid; the text says why.
      trio.BrokenResourceError: if no server can be reached in time, or one refuses the node; the text says why.

    Leaving the block closes the transport. Tasks that use the transport must be started inside the block.

    Example:
      Serve a ready-made node. No server listens at this address:

      >>> from trio_messenger.nodes import echo
      >>> from trio_messenger.transports.nats import open_nats
      >>> async def main():
      ...     try:
      ...         async with open_nats("127.0.0.1:9", "demo", "n1", ["n1", "n2"], connect_timeout=0) as transport:
      ...             await echo.build().serve(transport)
      ...     except trio.BrokenResourceError as error:
      ...         print(error)
      >>> trio.run(main)
      nats://127.0.0.1:9 cannot be reached: connection refused
    """
    own_ids = tuple(node_ids)
    if node_id not in own_ids:
        raise ValueError(f"{node_id!r:.80} is not among the nodes {', '.join(own_ids):.80}; add it to them")
    if INIT_SRC in own_ids:
        raise ValueError(f"{INIT_SRC!r} is the id of the configuration; give the node another one")
    for each in own_ids:
        subject_part(each)
    subjects = subject_prefix(prefix, cluster)
    options = LinkOptions(
        servers=check_servers(servers),
        credentials=credentials or Credentials(),
        name=f"{cluster}/{node_id}",
        listen_to=f"{subjects}{subject_part(node_id)}.{ANY}",
        heartbeat=heartbeat,
        queue=queue,
    )
    return _opened(NatsTransport(options, subjects, node_id, own_ids, first_msg_id), connect_timeout)


@asynccontextmanager
async def _opened(transport: NatsTransport, seconds: float) -> AsyncIterator[NatsTransport]:
    """Connect *transport*, for at most *seconds*, and close it after the block."""
    failure: Exception | None = None
    async with trio_asyncio.open_loop() as loop, trio.open_nursery() as nursery:
        try:
            transport._loop = loop
            loop.set_exception_handler(transport._note_loop_error)
            await transport._connect_first(seconds)
            nursery.start_soon(transport._keep_connected)
            try:
                yield transport
            finally:
                await transport.aclose()
                nursery.cancel_scope.cancel()
        except Exception as exc:  # noqa: BLE001 - raised below, outside of the nurseries, which would wrap it
            failure = exc
    if failure is not None:
        raise failure


@final
class NatsTransport(Transport):
    """The transport of one node; made by `open_nats`.

    Its ``counters`` become a part of `.Stats.counters`. The page of the reference on NATS has a table of them.
    """

    def __init__(
        self,
        options: LinkOptions,
        subjects: str,
        node_id: str,
        node_ids: tuple[str, ...],
        first_msg_id: FirstMsgId,
    ) -> None:
        self.counters: Counter[str] = Counter({f"nats_{what}": 0 for what in _COUNTED.split()})
        self.first_msg_id: FirstMsgId = first_msg_id
        self.size_limit: float = math.inf  # what the server takes, when there is a connection
        self._options = options
        self._loop: asyncio.AbstractEventLoop  # set when it is opened
        self._subjects = subjects
        self._own_part = subject_part(node_id)
        self._link: NatsLink | None = None  # None while there is no connection
        self._is_closed = False
        self._failure = ""  # why there will never be a connection again
        self._decoder = PayloadDecoder(node_id, self._count)
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._inbox_size = 0
        self._wakeup = trio.lowlevel.ParkingLot()  # of the reader
        body = {"type": "init", "msg_id": 1, "node_id": node_id, "node_ids": list(node_ids)}
        self._init: list[Message] = [Message(INIT_SRC, node_id, body)]

    @property
    def is_connected(self) -> bool:
        """True while there is a connection to a server."""
        return self._live_link is not None

    @property
    def _live_link(self) -> NatsLink | None:
        return None if self._link is None or self._link.lost.is_set() else self._link

    async def receive(self) -> list[Message]:
        """Wait for messages. Always a checkpoint; a cancelled call has taken nothing.

        Raises:
          trio.BrokenResourceError: if there will never be a connection again; the text says why.
          trio.ClosedResourceError: if the transport is closed.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError("the transport is closed")
            messages, self._init = self._init or self._take(), []
            if messages:
                return messages
            if self._failure:
                raise trio.BrokenResourceError(self._failure)
            if self._inbox:  # all messages of the batch were dropped
                await trio.lowlevel.checkpoint()
            else:
                await self._wakeup.park()

    def _take(self) -> list[Message]:
        """Decode what has arrived, up to a batch, without messages that lie about where they come from or go to."""
        arrived: list[tuple[str, bytes]] = []
        size = 0
        while self._inbox and size < _BATCH_SIZE:
            arrived.append(self._inbox.popleft())
            size += len(arrived[-1][1])
        self._inbox_size -= size + _SIZE_OF_ENTRY * len(arrived)
        return self._decoder.decode(arrived)

    def _on_message(self, subject: str, payload: bytes) -> None:
        size = len(payload) + _SIZE_OF_ENTRY
        if self._inbox_size + size > UNREAD_LIMIT:
            self._count("nats_overflowed", "dropped a message, because the node does not read them fast enough")
            return
        self._inbox.append((subject, payload))
        self._inbox_size += size
        self._wakeup.unpark()

    async def send(self, value: list[bytes]) -> None:
        """Send the lines of *value*, and wait while the connection is congested.

        Checks for cancellation. A cancelled call has sent all lines, or none.

        Raises:
          trio.BrokenResourceError: if there will never be a connection again; the text says why.
          trio.ClosedResourceError: if the transport is closed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._send(value)
        while self._link is not None and self._link.is_congested:  # noqa: ASYNC110 - nats-py has no event for it
            await trio.sleep(_POLL)

    def send_now(self, value: list[bytes]) -> list[bytes]:
        """Send all lines, if the connection is not congested; see `.Transport.send_now`."""
        if self._is_closed or self._failure or (self._link is not None and self._link.is_congested):
            return value
        self._send(value)
        return []

    async def request(self, subject: str, payload: bytes, headers: Mapping[str, str], *, timeout: float) -> bytes:
        """Send a request that is no message of nodes, such as one to JetStream, and return the payload of the reply.

        Args:
          subject: Where to send it.
          payload: The request.
          headers: Headers of NATS, or none.
          timeout: Seconds to wait for the reply.

        Raises:
          trio.TooSlowError: if no reply came in time. The request may have had an effect.
          trio.BrokenResourceError: if there is no connection, or nobody listens; the request had no effect.

        Always a checkpoint. A cancelled call may have had an effect.

        Example:
          >>> from trio_messenger.transports.nats import NatsTransport
          >>> async def bucket_info(transport: NatsTransport) -> bytes:
          ...     return await transport.request("$JS.API.STREAM.INFO.KV_demo", b"", {}, timeout=2)
        """
        await trio.lowlevel.checkpoint()
        link = self._live_link
        if link is None:
            raise trio.BrokenResourceError(self._failure or "there is no connection to NATS")
        return await link.request(subject, payload, headers, timeout)

    def _send(self, lines: list[bytes]) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("the transport is closed")
        if self._failure:
            raise trio.BrokenResourceError(self._failure)
        messages = [message for line in lines for message in self._addressed(line)]
        link = self._live_link
        if link is not None:
            link.publish(messages)
        else:
            self._count("nats_unsent", "dropped a message, because there is no connection to NATS", len(messages))

    def _addressed(self, line: bytes) -> list[tuple[str, bytes]]:
        """Return the subject of *line* and the line, or nothing if it is not for the network."""
        dest = dest_of(line)
        if dest == INIT_SRC:
            self._note_init(line)
            return []
        if len(line) > self.size_limit:
            self._count("nats_oversized", f"dropped a message of {len(line)} bytes to {dest!r:.80}: it is too large")
            return []
        try:
            return [(f"{self._subjects}{subject_part(dest)}.{self._own_part}", line)]
        except ValueError as exc:
            self._count("nats_unaddressable", f"dropped a message: {exc}")
            return []

    def _note_init(self, line: bytes) -> None:
        """End the transport if the node could not be initialised."""
        body = msgspec.json.decode(line)["body"]
        if body["type"] == "error":
            self._fail(f"the node cannot serve, since its init failed: {body.get('text')}")

    async def _connect_first(self, seconds: float) -> None:
        """Connect, for at most *seconds* if no server can be reached.

        Raises:
          trio.BrokenResourceError: if it fails; the text says why.
        """
        give_up_at = trio.current_time() + seconds
        delay = FIRST_WAIT
        while True:
            try:
                return await self._connect()
            except ServerRefusedError as exc:
                raise trio.BrokenResourceError(f"{exc}") from None
            except UnreachableError as exc:
                if trio.current_time() + delay > give_up_at:
                    raise trio.BrokenResourceError(f"{exc}") from None
            await trio.sleep(delay)
            delay *= 2

    async def _keep_connected(self) -> None:
        """Connect again whenever the connection is lost, until the server refuses or the transport is closed."""
        try:
            while self._link is not None:
                link = self._link
                await link.watch(self._options.heartbeat)
                if self._is_closed:
                    return
                self._link = None
                _log.warning("lost the connection to %s: %s; connecting again", link.server, link.reason)
                await link.aclose()
                await self._reconnect()
        except ServerRefusedError as exc:
            self._fail(f"{exc}")

    async def _reconnect(self) -> None:
        delay, lost_at, attempts = FIRST_WAIT, trio.current_time(), 0
        while True:
            await trio.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, LONGEST_WAIT)
            attempts += 1
            try:
                await self._connect()
            except UnreachableError as exc:
                if worth_a_line(attempts):
                    _log.warning("%s; trying again", exc)
            else:
                seconds = trio.current_time() - lost_at
                return _log.warning("connected again after %g s; messages of that time are lost", round(seconds, 1))

    async def _connect(self) -> None:
        self._link = await connect_to_any(self._options, self._loop, self._on_message, self._count)
        self.size_limit = self._link.max_payload
        self.counters["nats_connections"] += 1

    async def aclose(self) -> None:
        """Send what waits for the socket, and close. Always a checkpoint; if cancelled, the rest is discarded."""
        link, self._link, self._is_closed = self._link, None, True
        self._wakeup.unpark_all()
        if link is not None:
            await link.aclose()
        await trio.lowlevel.checkpoint()

    def _note_loop_error(self, _: object, context: dict[str, Any]) -> None:
        """Take an error of the client that nobody else takes, as a loss of the connection."""
        if self._link is not None:
            self._link.lose(f"{context.get('exception') or context.get('message')}")

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._wakeup.unpark_all()

    def _count(self, counter: str, text: str, times: int = 1) -> None:
        before = self.counters[counter]
        self.counters[counter] += times
        if any(map(worth_a_line, range(before + 1, min(before + times, before + 20) + 1))):
            _log.warning("%s; %s=%d", text, counter, self.counters[counter])
