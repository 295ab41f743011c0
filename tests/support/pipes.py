"""Pipes that a test has instead of standard descriptors, in its own process."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from support.processes import LIMIT

_open = os.open  # which a test may have replaced by `refuse_proc`


@attrs.frozen
class Pipes:
    """The ends of two pipes that stand for stdin and stdout, or stderr."""

    given_read: int
    given_write: int
    output_read: int
    output_write: int

    def close(self, *ends: int) -> None:
        """Close *ends*, by default all that are open."""
        for fd in ends or attrs.astuple(self):
            try:
                os.close(fd)
            except OSError as exc:
                if exc.errno != errno.EBADF:
                    raise

    def fill_output(self) -> int:
        """Fill the output, whatever `output_write` is at the moment, and return how many bytes that took."""
        writer = _open(f"/proc/self/fd/{self.output_read}", os.O_WRONLY | os.O_NONBLOCK)
        count = 0
        try:
            while True:
                count += os.write(writer, b"\n" * 4096)
        except BlockingIOError:
            return count
        finally:
            os.close(writer)

    def read_output(self, size: int) -> bytes:
        """Read *size* bytes of the output; blocks."""
        data = b""
        while len(data) < size:
            data += os.read(self.output_read, size - len(data))
        return data

    def output_size(self) -> int:
        """Return how many bytes of output nobody has read yet."""
        count = array.array("i", [0])
        fcntl.ioctl(self.output_read, termios.FIONREAD, count)
        return count[0]

    def output(self) -> bytes:
        """Return what the output holds at the moment."""
        return self.read_output(self.output_size())


@contextmanager
def open_pipes() -> Iterator[Pipes]:
    """Make the pipes and close them afterwards; no call inside blocks on them forever."""

    def interrupt(*_: object) -> None:
        raise TimeoutError(f"blocked for {LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    it = Pipes(*os.pipe(), *os.pipe())
    try:
        yield it
    finally:
        it.close()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refuse_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no descriptor be opened anew, as where there is no /proc."""

    def refuse(path: str, *args: Any) -> int:
        if path.startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return _open(path, *args)

    monkeypatch.setattr(os, "open", refuse)
