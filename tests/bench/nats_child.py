"""A node under measurement on NATS: a process that talks to a server, which talks to the benchmark."""

from __future__ import annotations

import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.child import READ_SIZE, SILENCE, Child

SERVER = shutil.which("nats-server", path="/usr/sbin:/usr/local/bin:/usr/bin") or shutil.which("nats-server")
"""The program of the server, if it is installed."""

PREFIX = b"messenger.bench."

OPENING = b'CONNECT {"verbose":false}\r\nSUB %bc1.* 1\r\n' % PREFIX

_HEAD = re.compile(rb"(?:MSG \S+ 1 \d+|INFO .*|PING|PONG|\+OK)\r\n")


@contextmanager
def server(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server with *arguments*; give its port and its process."""
    assert SERVER is not None
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    process = subprocess.Popen(
        [SERVER, "-a", "127.0.0.1", "-p", str(port), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        give_up_at = time.monotonic() + SILENCE
        while time.monotonic() < give_up_at:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield port, process
    finally:
        process.kill()
        process.wait()


class NatsChild(Child):
    """A node on NATS, as n1; what is written and read are lines, as of a node between two pipes."""

    def __init__(self, name: str, command: Sequence[str], folder: Path | None, port: int) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._stderr, cwd=folder)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(OPENING)
        self._rest = b""

    def __enter__(self) -> NatsChild:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._stderr.close()

    @property
    def pid(self) -> int:
        """The id of the node's process."""
        return self._process.pid

    def publish(self, *messages: tuple[bytes, bytes]) -> None:
        """Publish messages, pairs of the sender in the subject and the payload, to the node."""
        self._socket.sendall(
            b"".join(b"PUB %bn1.%b %d\r\n%b\r\n" % (PREFIX, src, len(each), each) for src, each in messages)
        )

    def read_for(self, seconds: float) -> bytes:
        """Return the lines that arrive until none has come for *seconds*."""
        lines = b""
        while select.select([self._socket], [], [], seconds)[0]:
            lines += self.read()
        return lines

    def end(self) -> tuple[int, str]:
        """End the node by SIGTERM; return its exit status and what it has written to stderr."""
        self._process.terminate()
        status = self._process.wait(SILENCE)
        self._stderr.seek(0)
        return status, self._stderr.read().decode(errors="replace")

    def write(self, data: bytes) -> None:
        """Publish each line of *data*."""
        self._socket.sendall(
            b"".join(b"PUB %bn1.c1 %d\r\n%b\r\n" % (PREFIX, len(line), line) for line in data.splitlines())
        )

    def read(self) -> bytes:
        """Return the lines that have arrived; wait for one."""
        lines = b""
        while not lines:
            ready, _, _ = select.select([self._socket], [], [], SILENCE)
            if not ready:
                self.fail(f"sent nothing for {SILENCE:g} s")
            data = self._socket.recv(READ_SIZE)
            if not data:
                self.fail("lost its server")
            # No payload has a line break in it, so a line that begins like one of the protocol is one.
            whole, end, self._rest = (self._rest + data).rpartition(b"\r\n")
            lines = _HEAD.sub(b"", whole + end).replace(b"\r\n", b"\n")
            if b"PING\r\n" in whole + end:
                self._socket.sendall(b"PONG\r\n")
        return lines

    def init(self) -> None:
        """Wait until the node answers."""
        request = b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":1,"echo":"hello"}}\n'
        give_up_at = time.monotonic() + SILENCE
        while time.monotonic() < give_up_at:
            self.write(request)
            if select.select([self._socket], [], [], 0.2)[0] and b"echo_ok" in self._read_some():
                break
        time.sleep(0.5)  # more of them may be answered
        while select.select([self._socket], [], [], 0.2)[0]:
            self._read_some()

    def _read_some(self) -> bytes:
        return self._socket.recv(READ_SIZE)
