"""A node under measurement: a process between two pipes, whose CPU time and memory are read from outside."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from bench import load

READ_SIZE = 1 << 20
SILENCE = 60.0
"""Seconds without output after which a child counts as hung."""


class ChildError(Exception):
    """A child died, hung or answered wrongly."""


class Child:
    """A node in a process of its own, between two pipes."""

    def __init__(self, name: str, command: Sequence[str], folder: Path | None) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, bufsize=0, cwd=folder
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for file in (self._stdin, self._stdout, self._stderr):
            file.close()

    def cpu(self) -> float:
        """Return the seconds of CPU time that the process has used; while it is a zombie, too."""
        return time.clock_gettime(~self._process.pid << 3 | 2)  # Linux: the clock id that clock_getcpuclockid(3) gives

    def memory(self, field: str) -> float:
        """Return a field of /proc/PID/status, such as VmRSS, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)
        if found is None:
            self.fail("ended before its memory could be read")
        return int(found[1]) * 1024 / 1e6

    def write(self, data: bytes) -> None:
        """Write all of *data*."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
        except BrokenPipeError:
            self.fail("closed its stdin")

    def read(self) -> bytes:
        """Read what there is, or wait for it."""
        ready, _, _ = select.select([self._stdout], [], [], SILENCE)
        if not ready:
            self.fail(f"sent nothing for {SILENCE:g} s")
        data = os.read(self._stdout.fileno(), READ_SIZE)
        if not data:
            self.fail("closed its stdout too early")
        return data

    @contextmanager
    def watched(self) -> Iterator[tuple[int, int]]:
        """Give the ends of both pipes, for a load that has no time to watch for a hung child itself."""
        watchdog = threading.Timer(SILENCE, self._process.kill)
        watchdog.start()
        try:
            yield self._stdin.fileno(), self._stdout.fileno()
        except BrokenPipeError:
            self.fail("closed its stdin, or was killed after a minute")
        finally:
            watchdog.cancel()

    def init(self) -> None:
        """Send ``init`` and wait for ``init_ok``."""
        self.write(load.INIT)
        reply = self.read()
        while not reply.endswith(b"\n"):
            reply += self.read()
        if b"init_ok" not in reply:
            self.fail(f"answered init with {reply!r:.300}")

    def send(self, kind: str, **fields: object) -> None:
        """Send one request and do not wait for its reply."""
        body = {"type": kind, "msg_id": 1, **fields}
        self.write(json.dumps({"src": "c2", "dest": "n1", "body": body}).encode() + b"\n")

    def request(self, kind: str, **fields: object) -> dict[str, Any]:
        """Send one request and return the body of its reply; throw away whatever else comes."""
        self.send(kind, **fields)
        rest = b""
        while True:
            rest += self.read()
            found = rest.find(b'"in_reply_to"')
            if found >= 0 and (end := rest.find(b"\n", found)) >= 0:
                reply: dict[str, Any] = json.loads(rest[rest.rfind(b"\n", 0, found) + 1 : end])["body"]
                if reply["type"] != kind + "_ok":
                    self.fail(f"answered {kind!r} with {reply}")
                return reply
            if found < 0:
                rest = rest[rest.rfind(b"\n") + 1 :]

    def close_stdin(self) -> None:
        """Tell the child that no more comes."""
        self._stdin.close()

    def wait(self) -> None:
        """Wait until the child has ended well."""
        while os.read(self._stdout.fileno(), READ_SIZE):
            pass
        try:
            status = self._process.wait(SILENCE)
        except subprocess.TimeoutExpired:
            self.fail(f"did not end within {SILENCE:g} s of the end of its input")
        if status != 0:
            self.fail(f"ended with status {status}")

    def fail(self, reason: str) -> NoReturn:
        """Raise `ChildError` with the child's stderr."""
        self._process.kill()
        status = self._process.wait()
        self._stderr.seek(0)
        stderr = self._stderr.read().decode(errors="replace").strip() or "(nothing)"
        raise ChildError(f"{self.name} {reason} (status {status}); its stderr:\n{stderr[-4000:]}")
