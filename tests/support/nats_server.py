"""NATS servers for tests: Debian's, where it is installed, and one that speaks what tests need, and misbehaves."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import pytest
import trio

from support.fake_jetstream import FakeJetStream

PROGRAM = shutil.which("nats-server", path="/usr/sbin:/usr/local/bin:/usr/bin") or shutil.which("nats-server")

needs_nats_server = pytest.mark.skipif(
    PROGRAM is None, reason="nats-server is not installed; on Debian: apt-get install nats-server"
)


def free_port() -> int:
    """Return a port on the loopback interface that nobody uses at the moment."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


@contextmanager
def nats_server(*arguments: str | Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run Debian's server; yield its URL and its process, which may be killed."""
    assert PROGRAM is not None
    port = port or free_port()
    command = [PROGRAM, "-a", "127.0.0.1", "-p", str(port), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(1000):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None, "nats-server ended"
                time.sleep(0.01)
            yield f"nats://127.0.0.1:{port}", process
        finally:
            process.kill()


@attrs.define(eq=False)
class FakeServer:
    """A server with one account, on a free port, which can misbehave."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    max_payload: int = 1024 * 1024
    refuses: str = ""
    """The error that answers CONNECT."""
    denied: set[str] = attrs.field(factory=set)
    """What is not permitted, such as ``PUB a.b``."""
    is_silent: bool = False
    """Do not answer PING."""
    is_deaf: bool = False
    """Accept connections, and say nothing."""
    connects: list[dict[str, object]] = attrs.field(factory=list)
    """The options of each CONNECT."""
    published: list[tuple[str, bytes]] = attrs.field(factory=list)
    """All messages that arrived."""
    subscribed: list[list[str]] = attrs.field(factory=list)
    """What was subscribed to: the subject, and the queue if there is one."""
    jetstream: FakeJetStream | None = None
    """Answers requests to JetStream; None if nobody does."""
    _streams: dict[trio.abc.Stream, dict[str, str]] = attrs.field(factory=dict)  # each with its subscriptions
    _listeners: list[trio.SocketListener] = attrs.field(factory=list)
    _delivering: trio.Lock = attrs.field(factory=trio.Lock)
    _sending: dict[trio.abc.Stream, trio.Lock] = attrs.field(factory=dict)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"nats://127.0.0.1:{self.port}"

    async def send_raw(self, data: bytes) -> None:
        """Send *data* to all clients."""
        for stream in list(self._streams):
            await self._send(stream, data)

    async def drop_clients(self) -> None:
        """Close all connections."""
        for stream in list(self._streams):
            await trio.aclose_forcefully(stream)

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        for listener in self._listeners:
            await listener.aclose()
        await self.drop_clients()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve, on the same port after the first time."""
        self._listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = self._listeners[0].socket.getsockname()[1]
        task_status.started()
        async with self._listeners[0], trio.open_nursery() as nursery:
            with contextlib.suppress(trio.ClosedResourceError):
                while True:
                    nursery.start_soon(self._serve_client, await self._listeners[0].accept())

    async def _send(self, stream: trio.abc.Stream, data: bytes) -> None:
        """Send *data*, after what another task sends to this client just now."""
        async with self._sending.setdefault(stream, trio.Lock()):
            await stream.send_all(data)

    async def _serve_client(self, stream: trio.abc.Stream) -> None:
        try:
            if self.is_deaf:
                await trio.sleep_forever()
            info = {"max_payload": self.max_payload, "version": "2.9.10", "tls_required": self.tls is not None}
            await stream.send_all(b"INFO %b\r\n" % json.dumps(info).encode())
            if self.tls is not None:
                stream = trio.SSLStream(stream, self.tls, server_side=True)
            self._streams[stream] = {}
            await self._read(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._streams.pop(stream, None)
            with trio.move_on_after(1, shield=True):
                await trio.aclose_forcefully(stream)

    async def _read(self, stream: trio.abc.Stream) -> None:
        held = bytearray()
        async for chunk in stream:
            held += chunk
            while b"\r\n" in held:
                line, _, rest = bytes(held).partition(b"\r\n")
                verb, *words = line.decode().split(" ")
                if verb in ("PUB", "HPUB"):
                    size = int(words[-1])
                    if len(rest) < size + 2:
                        break
                    head = int(words[-2]) if verb == "HPUB" else 0
                    if words[0].startswith("$"):
                        await self._answer(words[0], words[1], rest[:head], rest[head:size])
                    else:
                        await self._route(stream, words[0], rest[:size])
                    rest = rest[size + 2 :]
                else:
                    await self._obey(stream, verb, words)
                held[:] = rest

    async def _obey(self, stream: trio.abc.Stream, verb: str, words: list[str]) -> None:
        if verb == "CONNECT":
            self.connects.append(json.loads(" ".join(words)))
            if self.refuses:
                await self._send(stream, f"-ERR '{self.refuses}'\r\n".encode())
                await stream.aclose()
        elif verb == "PING" and not self.is_silent:
            await self._send(stream, b"PONG\r\n")
        elif verb == "SUB":
            self.subscribed.append(words[:-1])
            if f"SUB {words[0]}" in self.denied:
                error = f"-ERR 'Permissions Violation for Subscription to \"{words[0]}\"'\r\n"
                await self._send(stream, error.encode())
            else:
                self._streams[stream][words[0]] = words[-1]

    async def _route(self, stream: trio.abc.Stream, subject: str, payload: bytes) -> None:
        if f"PUB {subject}" in self.denied:
            await self._send(stream, f"-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n".encode())
            return
        self.published.append((subject, payload))
        await self.deliver(subject, payload)

    async def _answer(self, subject: str, reply: str, head: bytes, payload: bytes) -> None:
        """Answer a request to JetStream, or say that nobody serves it."""
        if self.jetstream is None:
            head = b"NATS/1.0 503\r\n\r\n"
            await self.deliver(reply, head, head_size=len(head))
            return
        headers = dict(line.split(": ") for line in head.decode().splitlines()[1:] if line)
        with contextlib.suppress(trio.TooSlowError):
            await self.deliver(reply, await self.jetstream.request(subject, payload, headers, timeout=0))

    async def deliver(self, subject: str, payload: bytes, *, head_size: int = 0) -> None:
        """Send a message to all that listen to its subject."""
        verb, sizes = (b"HMSG", b"%d %d" % (head_size, len(payload))) if head_size else (b"MSG", b"%d" % len(payload))
        parts = subject.split(".")
        async with self._delivering:
            for stream, listened in list(self._streams.items()):
                for pattern, number in listened.items():
                    wanted = pattern.split(".")
                    if len(wanted) == len(parts) and all(map(_fits, wanted, parts)):
                        await self._send(
                            stream, b"%b %b %b %b\r\n%b\r\n" % (verb, subject.encode(), number.encode(), sizes, payload)
                        )


def _fits(pattern: str, part: str) -> bool:
    return pattern in ("*", part)


@asynccontextmanager
async def fake_server(**options: object) -> AsyncIterator[FakeServer]:
    """Run a `FakeServer` with *options*."""
    server = FakeServer(**options)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        yield server
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait until *holds* returns something true; fail after *seconds*."""
    give_up_at = trio.current_time() + seconds
    while not holds():
        assert trio.current_time() < give_up_at, "it never held"
        await trio.sleep(0.005)
