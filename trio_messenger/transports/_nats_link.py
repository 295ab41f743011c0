"""One connection to a NATS server, which is never used again after it was lost.

nats-py can reconnect by itself. Then it sends, after the reconnection, what was published before. To others, such a
message arrives from the past, perhaps after its sender has given up waiting and tried again. So each `NatsLink` has a
client of its own, which does not reconnect, and a lost link takes all that it has not sent with it. Its socket is
reset, not closed, so that the system does not deliver the rest later either.

nats-py is quiet about some ways to lose a connection: an exception in its reading task, or a peer that does not answer.
So a link asks the server for a sign of life regularly, and counts as lost if none comes.

Functions whose name begins with ``aio`` are for asyncio: they run in the loop of trio-asyncio.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, final
from urllib.parse import urlsplit

import attrs
import trio
from nats import errors
from trio_asyncio import aio_as_trio

from ._nats_client import StrictClient
from ._nats_refusals import ServerRefusedError, UnreachableError, explained, why

OnMessage: TypeAlias = Callable[[str, bytes], object]
"""Takes the subject and the payload of a message."""

OnTrouble: TypeAlias = Callable[[str, str, int], object]
"""Takes the counter of something that was dropped or refused, its text, and how often it happened."""

PENDING_LIMIT: Final = 256 * 1024
"""Bytes that may wait for the socket before senders wait, as they do for a full pipe."""

_NO_FLUSH: Final = 1 << 62
"""The size at which nats-py itself would wait for the socket. It never does: it cannot be cancelled there."""

_CLOSING_TIME: Final = 1.0
"""Seconds that a client has to write its last lines and to close."""

_RESET_TIME: Final = 0.05
"""Seconds that a client has to end its tasks after its connection was reset."""

_DEFAULT_PORT: Final = 4222


def check_creds(path: str | Path) -> Path:
    """Return *path* if it is a file with credentials. nats-py would read forever in a file without them.

    Raises:
      ValueError: if it cannot be read or has no credentials; the text says which.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise ValueError(f"{str(path)!r}: {reason}; give a file that 'nsc generate creds' made") from None
    if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:
        raise ValueError(f"{str(path)!r} has no credentials; give a file that 'nsc generate creds' made")
    return path


@final
@attrs.frozen(kw_only=True)
class Credentials:
    """Who a node is for a NATS server, and which servers it trusts.

    Raises:
      ValueError: if ``creds`` is not a file with credentials; the text says why.

    Example:
      >>> from trio_messenger.transports.nats import Credentials
      >>> Credentials(user="n1", password="secret")
      Credentials(tls=None, user='n1', creds=None)
    """

    tls: ssl.SSLContext | None = None
    """Demands TLS, and says which certificates to trust and to show."""
    user: str | None = None
    """The user's name."""
    password: str | None = attrs.field(default=None, repr=False)
    """The user's password."""
    creds: Path | None = attrs.field(default=None, converter=attrs.converters.optional(check_creds))
    """A file with a user's JWT and its key, as ``nsc generate creds`` makes it."""


@final
@attrs.frozen(kw_only=True)
class LinkOptions:
    """How to connect; see `open_nats`."""

    servers: tuple[str, ...]
    credentials: Credentials
    name: str
    listen_to: str
    heartbeat: float
    queue: str = ""


def check_servers(servers: str | Iterable[str]) -> tuple[str, ...]:
    """Return *servers* as a tuple of URLs, each with a scheme and a port.

    Raises:
      ValueError: if there is none, or one is not the URL of a NATS server; the text says why.
    """
    given = [servers] if isinstance(servers, str) else list(servers)
    if not given:
        raise ValueError("there are no servers; give at least one, such as nats://127.0.0.1:4222")
    return tuple(map(_check_server, given))


def _check_server(server: str) -> str:
    wanted = "give one such as nats://127.0.0.1:4222 or tls://nats.example.com:4222"
    try:
        url = urlsplit(server if "://" in server else f"nats://{server}")
        port = url.port or _DEFAULT_PORT
    except ValueError:
        raise ValueError(f"{server!r:.80} is not the URL of a server; {wanted}") from None
    if url.username is not None:
        raise ValueError(
            f"the URL of {url.hostname!r:.80} contains a user or a password, which others on this machine can see; give"
            " them as options of their own"
        )
    if url.scheme not in ("nats", "tls") or not url.hostname or url.path or url.query:
        raise ValueError(f"{server!r:.80} is not the URL of a server; {wanted}")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}:{port}"


@final
class NatsLink:
    """A connection; made by `connect_to_any`."""

    def __init__(
        self,
        client: StrictClient,
        loop: asyncio.AbstractEventLoop,
        server: str,
        lost: trio.Event,
        reasons: list[str],
        on_trouble: OnTrouble,
    ) -> None:
        self.server: Final = server
        """The URL of the server."""
        self.lost: Final = lost
        """Set when the connection is lost."""
        self._client = client
        self._loop = loop
        self._reasons = reasons
        self._on_trouble = on_trouble
        self._waiting: list[tuple[str, bytes]] = []  # for their turn in the loop
        self._waiting_size = 0  # bytes of their payloads

    @property
    def reason(self) -> str:
        """Why it was lost."""
        return self._reasons[-1] if self._reasons else "the server closed the connection"

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that the server takes."""
        return self._client.max_payload

    @property
    def is_congested(self) -> bool:
        """True while so much waits for the socket that senders should wait."""
        return self._waiting_size + self._client.pending_data_size > PENDING_LIMIT and not self.lost.is_set()

    def lose(self, reason: str) -> None:
        """Count the connection as lost."""
        self._reasons.append(reason)
        self.lost.set()

    def publish(self, messages: list[tuple[str, bytes]]) -> None:
        """Send *messages*, pairs of a subject and a payload, in their order."""
        if not self._waiting:
            self._loop.call_soon(self._aio_publish)
        self._waiting += messages
        self._waiting_size += sum(len(payload) for _, payload in messages)

    def _aio_publish(self) -> None:
        messages, self._waiting, self._waiting_size = self._waiting, [], 0
        if not self.lost.is_set():
            try:
                self._client.publish_now(messages)
            except errors.Error as exc:
                self.lose(why(exc))
        if self.lost.is_set():
            self._on_trouble("nats_unsent", "dropped a message, because the connection was lost", len(messages))

    async def request(self, subject: str, payload: bytes, headers: Mapping[str, str], seconds: float) -> bytes:
        """Send a request, and return the payload of the reply; see `NatsTransport.request`. Always a checkpoint."""
        given = dict(headers) or None
        try:
            reply = await aio_as_trio(self._client.request)(subject, payload, timeout=seconds, headers=given)
        except TimeoutError:
            raise trio.TooSlowError(f"no reply from {subject} within {seconds:g} s") from None
        except errors.NoRespondersError:
            raise trio.BrokenResourceError(f"nobody serves {subject}") from None
        except errors.Error as exc:
            raise trio.BrokenResourceError(f"the request was not sent: {why(exc)}") from None
        return bytes(reply.data)

    async def watch(self, heartbeat: float) -> None:
        """Return when the connection is lost. Asks the server for a sign of life every *heartbeat* seconds.

        Always a checkpoint; a cancelled call changes nothing.
        """
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask_for_signs_of_life, heartbeat)
                await self.lost.wait()
                scope.cancel()

    async def _ask_for_signs_of_life(self, heartbeat: float) -> None:
        while True:
            await trio.sleep(heartbeat)
            before = self._client.signs_of_life
            try:
                await aio_as_trio(self._client.rtt)(heartbeat)
            except Exception as exc:  # noqa: BLE001 - a client that cannot ask is not connected
                if self._client.signs_of_life == before:  # else the answer is behind a flood of messages
                    self.lose(why(exc))

    async def aclose(self) -> None:
        """Write what waits for the socket, and close. Discard it if it takes too long, was lost, or is cancelled."""
        if self.lost.is_set():
            self._client.reset()
        while self._waiting and not self.lost.is_set():
            await trio.lowlevel.checkpoint()  # the loop publishes it
        await _close(self._client, _RESET_TIME if self.lost.is_set() else _CLOSING_TIME)


async def _close(client: StrictClient, seconds: float) -> None:
    try:
        with suppress(errors.Error, OSError), trio.move_on_after(seconds):
            await aio_as_trio(client.close)()
    finally:
        client.reset()
        client.forget()


async def connect_to_any(
    options: LinkOptions, loop: asyncio.AbstractEventLoop, on_message: OnMessage, on_trouble: OnTrouble
) -> NatsLink:
    """Connect to any of the servers, and listen.

    Raises:
      ServerRefusedError: if one refuses this client, or cannot be trusted, and no other takes it.
      UnreachableError: if there is no answer.
    """
    servers = list(options.servers)
    random.shuffle(servers)
    failures: list[ServerRefusedError | UnreachableError] = []
    for server in servers:
        try:
            return await _connect(options, server, loop, on_message, on_trouble)
        except (ServerRefusedError, UnreachableError) as exc:
            failures.append(exc)
    raise next((exc for exc in failures if isinstance(exc, ServerRefusedError)), failures[0])


async def _connect(
    options: LinkOptions,
    server: str,
    loop: asyncio.AbstractEventLoop,
    on_message: OnMessage,
    on_trouble: OnTrouble,
) -> NatsLink:
    client = StrictClient(on_message)
    lost, reasons = trio.Event(), list[str]()
    link = NatsLink(client, loop, server, lost, reasons, on_trouble)
    denied: list[str] = []

    async def on_error(exc: Exception) -> None:
        text = why(exc)
        if "permissions violation" in text:
            denied.append(text)
            on_trouble("nats_denied", f"the server says: {text}", 1)
        else:
            reasons.append(text)

    async def on_closed() -> None:
        lost.set()

    try:
        await _guarded(client.connect, options, server, on_error, on_closed)
        await aio_as_trio(client.subscribe)(options.listen_to, queue=options.queue)
        await aio_as_trio(client.rtt)(options.heartbeat)
        if denied:
            raise ServerRefusedError(f"{server} refuses this node: {denied[0]}")
    except BaseException as exc:
        client.reset()
        await _close(client, _RESET_TIME)
        if isinstance(exc, errors.Error | OSError | asyncio.TimeoutError):
            raise explained(exc, server, reasons, has_tls="tls" in client.options) from exc
        raise
    return link


async def _guarded(
    aio_connect: Callable[..., Awaitable[None]],
    options: LinkOptions,
    server: str,
    on_error: Callable[[Exception], Awaitable[None]],
    on_closed: Callable[[], Awaitable[None]],
) -> None:
    credentials = options.credentials
    given: dict[str, Any] = {
        "tls": credentials.tls or (ssl.create_default_context() if server.startswith("tls:") else None),
        "user": credentials.user,
        "password": credentials.password,
        "user_credentials": credentials.creds,
    }
    await aio_as_trio(aio_connect)(
        servers=[server],
        name=options.name,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=options.heartbeat,
        ping_interval=options.heartbeat * 1000,  # `watch` asks instead
        pending_size=_NO_FLUSH,
        error_cb=on_error,
        closed_cb=on_closed,
        **{name: value for name, value in given.items() if value is not None},
    )
