"""The transport on file descriptors 0 and 1: what makes a node an executable.

Three facts about descriptors shape it:

- epoll refuses regular files, so every call reads or writes first and waits only when the kernel says EAGAIN.
- O_NONBLOCK belongs to the open file description, which 0, 1 and 2 share on a terminal and under ``2>&1``. Set
  there, it would make other writers fail. So pipes and terminals are opened anew through ``/proc/self/fd``, where
  that exists; elsewhere the flag is set and put back at the end.
- A write of up to PIPE_BUF bytes to a pipe is never torn (POSIX, ``write``). Where stderr is the same pipe as stdout,
  no more is written at a time, cut at the ends of lines, so that no log line ever stands inside a message.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Iterator
from typing import Final, final

import trio

from .._message import Message
from .._wire import LINE_LIMIT, LineDecoder
from . import Transport

PIPE_SIZE: Final = 64 * 1024
"""Bytes written at once: what a pipe holds by default on Linux."""

READ_SIZE: Final = PIPE_SIZE // 2
"""Bytes read at once. Larger gains nothing (measured up to 1 MiB), and less of them is in memory at a time."""


@final
class StdioTransport(Transport):
    """JSON lines in on descriptor 0, out on descriptor 1.

    Closing it puts back every flag that was changed; it leaves descriptors 0, 1 and 2 open.

    Raises:
      trio.BrokenResourceError: if stdin or stdout is closed to begin with; the text says which.
    """

    def __init__(self, *, line_limit: int = LINE_LIMIT) -> None:
        # A closed descriptor's number goes to whatever is opened next; only what Python noted at start can be trusted.
        if sys.stdin is None or sys.__stdin__ is None:
            raise trio.BrokenResourceError("stdin is closed; give the node its input on descriptor 0, or </dev/null")
        if sys.__stdout__ is None:
            raise trio.BrokenResourceError("stdout is closed; give the node a descriptor 1 to write to, or >/dev/null")
        self._decoder = LineDecoder(line_limit)
        self._stdin = _Descriptor(0, os.O_RDONLY)
        self._stdout = _Descriptor(1, os.O_WRONLY)
        self._shares_pipe_with_stderr = _is_same_pipe(1, 2)
        self._is_drained = False
        self._at_eof = False

    async def receive(self) -> list[Message]:
        """Wait for whole lines. Always a checkpoint; a cancelled call has taken nothing.

        Raises:
          trio.EndOfChannel: when stdin has ended.
          trio.BrokenResourceError: if it cannot be read; the text says why.
        """
        while not self._at_eof:
            data = await self._read()
            if data:
                messages = self._decoder.receive_data(data)
            else:
                self._at_eof = True
                messages = self._decoder.receive_eof()
            if messages:
                return messages
        await trio.lowlevel.checkpoint()
        raise trio.EndOfChannel

    async def send(self, value: list[bytes]) -> None:
        """Write whole lines. A cancelled call may have written some, all or none of them, the last one in part.

        Raises:
          trio.BrokenResourceError: if nobody reads stdout any more, or it cannot be written; the text says why.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            for part in _untearable_parts(value) if self._shares_pipe_with_stderr else _pipefuls(value):
                await self._write(part)
        except OSError as exc:
            raise trio.BrokenResourceError(f"stdout is broken: {exc.strerror}") from exc

    def send_now(self, value: list[bytes]) -> list[bytes]:
        """Write what the pipe takes at once; see `.Transport.send_now`."""
        if self._shares_pipe_with_stderr:
            return value
        data = b"\n".join([*value, b""])
        try:
            written = os.write(self._stdout.fd, data)
        except OSError:
            return value
        return [data[written:-1]] if written < len(data) else []

    async def aclose(self) -> None:
        """Put the descriptors back as they were. Always a checkpoint."""
        self._stdin.restore()
        self._stdout.restore()
        await trio.lowlevel.checkpoint()

    async def _read(self) -> bytes:
        """Read once, waiting only if there is nothing to read; a checkpoint in either case."""
        await trio.lowlevel.checkpoint_if_cancelled()
        data = None if self._is_drained else self._read_now()
        if data is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
        while data is None:
            await trio.lowlevel.wait_readable(self._stdin.fd)
            data = self._read_now()
        # A pipe that gave less than it was asked for is empty: the next read need not try before it waits.
        self._is_drained = self._stdin.is_pipe and len(data) < READ_SIZE
        return data

    def _read_now(self) -> bytes | None:
        try:
            return os.read(self._stdin.fd, READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise trio.BrokenResourceError(f"stdin is broken: {exc.strerror}") from exc

    async def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        whole_or_nothing = self._shares_pipe_with_stderr and len(data) > select.PIPE_BUF
        while rest:
            try:
                rest = rest[os.write(self._stdout.fd, rest) :]
            except BlockingIOError:
                if whole_or_nothing and len(rest) < len(data):
                    # In the middle of a line too long to be written in one piece: a log line now would tear it.
                    select.select([], [self._stdout.fd], [])
                else:
                    await trio.lowlevel.wait_writable(self._stdout.fd)


@final
class _Descriptor:
    """A standard descriptor made non-blocking, so that nobody else who uses it notices, where that can be."""

    def __init__(self, number: int, access: int) -> None:
        self.fd = number
        self._opened = False
        self._was_blocking = False
        mode = os.fstat(number).st_mode
        self.is_pipe = stat.S_ISFIFO(mode)
        if stat.S_ISREG(mode):
            return  # never says EAGAIN, and opened anew it would start from its beginning
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            try:
                self.fd = os.open(f"/proc/self/fd/{number}", access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError:
                pass  # no /proc, another user's terminal, or a pipe that nobody reads: use the description itself
            else:
                self._opened = True
                return
        self._was_blocking = os.get_blocking(number)
        os.set_blocking(number, False)

    def restore(self) -> None:
        if self._opened:
            self._opened = False
            os.close(self.fd)
        elif self._was_blocking:
            self._was_blocking = False
            os.set_blocking(self.fd, True)


def _pipefuls(lines: list[bytes]) -> Iterator[bytes]:
    """Join *lines*, by and by, into parts of about what a pipe takes at once.

    A full outbox in one piece is a megabyte, which the allocator takes from its heap and leaves as a gap there.
    """
    size = sum(map(len, lines)) + len(lines)
    step = max(1, len(lines) * PIPE_SIZE // max(1, size))
    for start in range(0, len(lines), step):
        yield b"\n".join([*lines[start : start + step], b""])


def _is_same_pipe(one: int, other: int) -> bool:
    try:
        a, b = os.fstat(one), os.fstat(other)
    except OSError as exc:
        if exc.errno != errno.EBADF:
            raise
        return False  # one of them is closed
    return stat.S_ISFIFO(a.st_mode) and (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _untearable_parts(lines: list[bytes]) -> list[bytes]:
    """Join *lines* into parts of up to PIPE_BUF bytes, each of whole lines; a longer line is a part of its own."""
    parts: list[bytes] = []
    size = select.PIPE_BUF + 1
    for line in lines:
        size += len(line) + 1
        if size > select.PIPE_BUF:
            size = len(line) + 1
            parts.append(b"")
        parts[-1] += line + b"\n"
    return parts
