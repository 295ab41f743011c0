"""A server of a few small pages over HTTP/1.1, for those who watch a node.

What is asked for comes from strangers, so all of it is bounded: how many connections there are, how long each lives,
how large a request is. A connection serves one request and ends. If there are too many, the oldest ends: one that
sends its request at once is answered before others can push it out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final, TypeAlias, final
from urllib.parse import urlsplit

import attrs
import h11
import trio

_log = logging.getLogger("trio_messenger")

MOST_CONNECTIONS: Final = 32
"""Connections at a time. Prometheus and a supervisor need two."""

CONNECTION_TIME: Final = 5.0
"""Seconds that a connection lives at most: to send a request, and to take the answer."""

LONGEST_HEAD: Final = 8 * 1024
"""Bytes of the longest request, without a body; others get an error."""

_UNREAD: Final = 64 * 1024
"""Bytes after a request that are read and thrown away, so that the answer is not lost with them."""

_AT_ONCE: Final = 4096

_READING: Final = (b"GET", b"HEAD")


@final
@attrs.frozen
class HttpReply:
    """What a page answers."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Pages: TypeAlias = Mapping[str, Callable[[], HttpReply]]
"""What answers for each path."""


@final
class HttpServer:
    """Serves *pages* on TCP."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._open: dict[trio.CancelScope, None] = {}  # one for each connection, the oldest first

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Serve until it is cancelled; then close *listeners* and all connections."""
        await trio.serve_listeners(self.serve_connection, listeners)

    async def serve_connection(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Serve one request on *stream*, and close it."""
        if len(self._open) >= MOST_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        with trio.move_on_after(CONNECTION_TIME) as scope:
            self._open[scope] = None
            try:
                async with stream:
                    with suppress(trio.BrokenResourceError):
                        await self._serve_request(stream)
            finally:
                self._open.pop(scope, None)

    async def _serve_request(self, stream: trio.abc.HalfCloseableStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        try:
            request = await _receive_request(connection, stream)
        except h11.RemoteProtocolError as exc:
            answer, is_head = _error(exc.error_status_hint), False
        else:
            if request is None:
                return
            answer, is_head = self._answer(request), request.method == b"HEAD"
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", f"{len(answer.body)}"),
            ("Connection", "close"),
            *([("Allow", "GET, HEAD")] if answer.status == HTTPStatus.METHOD_NOT_ALLOWED else []),
        ]
        reason = HTTPStatus(answer.status).phrase
        head = connection.send(h11.Response(status_code=answer.status, headers=headers, reason=reason))
        assert head is not None
        await stream.send_all(head if is_head else head + answer.body)
        await _end(stream)

    def _answer(self, request: h11.Request) -> HttpReply:
        """Return the answer to *request*; an error if there is no such page, or if the page fails."""
        try:
            path = urlsplit(request.target.decode("ascii")).path
        except ValueError:
            path = ""
        page = self._pages.get(path)
        if page is None:
            return _error(HTTPStatus.NOT_FOUND, f"there are: {', '.join(self._pages)}")
        if request.method not in _READING:
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return page()
        except Exception:  # noqa: BLE001 - a transport may have counted anything
            _log.exception("the page %s failed", path)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR)


def _error(status: int, more: str = "") -> HttpReply:
    """Return an answer that says what *status* is, and *more*."""
    text = f"{status} {HTTPStatus(status).phrase}" + (f"; {more}" if more else "")
    return HttpReply(int(status), f"{text}\n".encode())


async def _receive_request(connection: h11.Connection, stream: trio.abc.HalfCloseableStream) -> h11.Request | None:
    """Return the request, without its body; None if the client closes the connection before one.

    Raises:
      h11.RemoteProtocolError: if the client sent something else, or too much.
    """
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_AT_ONCE)))
        else:
            return event if isinstance(event, h11.Request) else None


async def _end(stream: trio.abc.HalfCloseableStream) -> None:
    """Say that this was all, and wait until the client has it.

    If a socket is closed with unread data, the system discards what the client has not received yet.
    """
    await stream.send_eof()
    unread = 0
    while unread < _UNREAD and (data := await stream.receive_some(_AT_ONCE)):
        unread += len(data)
