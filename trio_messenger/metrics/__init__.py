"""Metrics of a node for Prometheus, and whether it is alive and ready, over HTTP.

It needs ``trio-messenger[metrics]``, and nothing else imports it. A node counts in any case, so metrics cost it nothing
but the requests of those who read them. Tasks of the node's own event loop answer these, and there is no other thread:
if the loop stands still, nobody gets an answer, and ``/live`` fails, as it should.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from trio_messenger import Node

from ._collector import metrics_of
from ._http import HttpReply, HttpServer

_log = logging.getLogger("trio_messenger")

METRICS_PORT: Final = 9464
"""The port that is usual for metrics of programs that export their own."""

_OK: Final = 200
_UNAVAILABLE: Final = 503


@asynccontextmanager
async def open_metrics(
    node: Node, host: str = "127.0.0.1", port: int = METRICS_PORT
) -> AsyncIterator[list[tuple[str, int]]]:
    r"""Serve the metrics of *node* over HTTP while the block runs; for ``async with``, or `trio_messenger.Node.run`.

    There are three pages: ``/metrics`` for Prometheus, ``/ready`` and ``/live``. A page is served without password or
    encryption, so listen only where those who may see it are alone.

    Args:
      node: The node; it may serve already, or later.
      host: The address to listen on, or a name; ``0.0.0.0`` or ``::`` for all.
      port: The port; 0 for one that is free.

    Returns:
      On entering, the addresses on which it listens, as pairs of a host and a port.

    Raises:
      ValueError: if *port* is not from 0 to 65535.
      trio.BrokenResourceError: if it cannot listen there; the text says why.

    Entering and leaving are checkpoints. If cancelled, the port is closed.

    Example:
      >>> from trio_messenger.metrics import open_metrics
      >>> node = Node()
      >>> async def main():
      ...     async with open_metrics(node, port=0) as [(host, port)]:
      ...         async with await trio.open_tcp_stream(host, port) as stream:
      ...             await stream.send_all(b"GET /ready HTTP/1.0\r\n\r\n")
      ...             print((await stream.receive_some()).split(b"\r\n")[0].decode())
      >>> trio.run(main)
      HTTP/1.1 503 Service Unavailable
    """
    listeners = await _listen(host, port)
    addresses = [listener.socket.getsockname()[:2] for listener in listeners]
    for each in addresses:
        _log.info("serving metrics on %s, port %d", *each)
    pages = {"/metrics": metrics_of(node), "/ready": lambda: _ready(node), "/live": lambda: HttpReply(_OK, b"alive\n")}
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(pages).serve, listeners)
        try:
            yield addresses
        except Exception as exc:  # noqa: BLE001 - raised below, outside of the nursery, which would wrap it
            failure = exc
        nursery.cancel_scope.cancel()
    try:
        if failure is not None:
            raise failure
    finally:
        del failure  # otherwise its traceback and this frame would be in a cycle


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    if port not in range(1 << 16):
        raise ValueError(f"port is {port}; give one from 0 to 65535")
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or f"{exc}"
        raise trio.BrokenResourceError(
            f"no metrics on {host!r:.80}, port {port}: {reason.lower()}; give another address"
        ) from None


def _ready(node: Node) -> HttpReply:
    obstacle = node.obstacle
    return HttpReply(_UNAVAILABLE, f"not ready: {obstacle}\n".encode()) if obstacle else HttpReply(_OK, b"ready\n")
