"""The transport on file descriptors 0 and 1, for nodes that are executables.

While it is open, the node owns stdin and stdout. It reads and writes duplicates that no child process inherits. For
all other code, child processes and C code included, descriptor 0 is the null device and descriptor 1 is stderr. So no
other code can take a message away from the node, or put a line between its messages.

epoll refuses regular files, so every call reads or writes first, and waits only if that would block.

Stderr may be the same pipe, socket or terminal as stdout. Then log lines and messages go through one writer. A log line
waits until the current message is written, and messages go first. The transport writes at most PIPE_BUF bytes at a
time, cut at the ends of lines, so that other processes cannot tear lines either, unless a line is longer.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Final, NoReturn, final

import trio

from .._protocol.lines import LINE_LIMIT, LineDecoder
from .._protocol.messages import Message
from . import Transport
from ._descriptors import Descriptor, allows, cut, is_open, is_same_channel, redirect
from ._python_streams import STDERR, LogOutput, NoInput, borrow, has_stderr
from ._stderr import LogWriter

PIPE_SIZE: Final = 64 * 1024
"""Bytes written at once: the default capacity of a pipe on Linux."""

READ_SIZE: Final = PIPE_SIZE // 2
"""Bytes read at once. A larger size gains nothing (measured up to 1 MiB) and needs more memory."""

_STDIN, _STDOUT, _STDERR = 0, 1, STDERR


def check_open() -> None:
    """Check that this process can read stdin and write stdout. The check may come too late in a run of Trio; see below.

    Raises:
      trio.BrokenResourceError: if not, such as if one of them is closed; the text says which.
    """
    # The next open file, perhaps one of Trio's, takes the number of a closed descriptor. What Python noted when it
    # started does not change.
    is_lacking = sys.stdin is None or sys.__stdin__ is None
    state = _why_unusable(_STDIN, os.O_RDONLY, is_lacking, "writing")
    if state is not None:
        raise trio.BrokenResourceError(f"stdin is {state}; give the node its input on descriptor 0, or </dev/null")
    state = _why_unusable(_STDOUT, os.O_WRONLY, sys.__stdout__ is None, "reading")
    if state is not None:
        raise trio.BrokenResourceError(f"stdout is {state}; give the node a descriptor 1 to write to, or >/dev/null")


def _why_unusable(number: int, access: int, is_lacking: bool, other: str) -> str | None:
    if is_lacking or not is_open(number):
        return "closed"
    return None if allows(number, access) else f"open for {other} only"


@final
class StdioTransport(Transport):
    """Reads JSON lines from descriptor 0 and writes them to descriptor 1. It owns both until it is closed.

    Closing it restores both. It never sets a flag on the files that it was given.

    Args:
      line_limit: Bytes of the longest accepted line.
      logs: The writer of stderr, if Python does not write to it directly. With it, log lines and messages cannot tear
        each other.

    Raises:
      trio.BrokenResourceError: if stdin or stdout is closed at the start; the text says which.
    """

    def __init__(self, *, line_limit: int = LINE_LIMIT, logs: LogWriter | None = None) -> None:
        check_open()
        self._decoder = LineDecoder(line_limit)
        self._is_drained = False
        self._at_eof = False
        self._is_shared = has_stderr() and is_same_channel(_STDOUT, _STDERR)
        self._logs = logs if logs is not None and logs.is_shared_with(_STDOUT) else None
        self._stdin = Descriptor(_STDIN, os.O_RDONLY)
        self._stdout = Descriptor(_STDOUT, os.O_WRONLY)
        self._write_now = self._stdout.write
        elsewhere = io.FileIO(_STDOUT, "w", closefd=False) if logs is None else LogOutput(logs)
        self._borrowed = borrow(_STDIN, NoInput(_STDIN)) + borrow(_STDOUT, elsewhere)
        redirect(_STDIN, None)
        redirect(_STDOUT, _STDERR if has_stderr() else None)
        self._is_open = True
        os.register_at_fork(after_in_child=partial(_disown_in_child, weakref.ref(self)))

    def _disown(self) -> None:
        """Let this process, a child of the one that opened the transport, end when it reads or writes."""
        self._stdin.read = self._write_now = _end_child

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
        with contextlib.nullcontext() if self._logs is None else self._logs.held():
            while self._logs is not None and not self._logs.finish_line():
                await self._stdout.wait_writable()
            try:
                for part in _pipefuls(value):
                    for piece in cut(part) if self._is_shared else [part]:
                        await self._write(piece)
            except OSError as exc:
                raise trio.BrokenResourceError(f"stdout is broken: {exc.strerror}") from exc

    def send_now(self, value: list[bytes]) -> list[bytes]:
        """Write what the pipe takes at once; see `.Transport.send_now`."""
        if self._is_shared:
            return value
        data = b"\n".join([*value, b""])
        try:
            written = self._write_now(data)
        except OSError:
            return value
        return [data[written:-1]] if written < len(data) else []

    async def aclose(self) -> None:
        """Restore the descriptors. Always a checkpoint."""
        if self._is_open:
            self._is_open = False
            for stream in self._borrowed:
                stream.flush()
            for number, descriptor in ((_STDIN, self._stdin), (_STDOUT, self._stdout)):
                descriptor.put_back(number)
                descriptor.close()
            for stream in self._borrowed:
                stream.give_back()
        await trio.lowlevel.checkpoint()

    async def _read(self) -> bytes:
        """Read once, and wait only if there is nothing to read. Always a checkpoint."""
        await trio.lowlevel.checkpoint_if_cancelled()
        data = None if self._is_drained else self._read_now()
        if data is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
        while data is None:
            await self._stdin.wait_readable()
            data = self._read_now()
        # A read from a pipe that returns less than was asked for has emptied it, so the next read waits first.
        self._is_drained = self._stdin.is_pipe and len(data) < READ_SIZE
        return data

    def _read_now(self) -> bytes | None:
        try:
            return self._stdin.read(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise trio.BrokenResourceError(f"stdin is broken: {exc.strerror}") from exc

    async def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._write_now(rest) :]
            except BlockingIOError:
                await self._stdout.wait_writable()


def _disown_in_child(transport: weakref.ref[StdioTransport]) -> None:
    found = transport()
    if found is not None:
        found._disown()


def _end_child(*_: object) -> NoReturn:
    """End this process at once. Its event loop shares the selector of its parent, so closing it would harm that."""
    with contextlib.suppress(OSError):
        os.write(_STDERR, _OWN_CHILD)
    os._exit(1)


_OWN_CHILD: Final = (
    b"error: a child of fork() went on as the node, whose messages belong to its parent; end the child with os._exit(),"
    b" or use subprocess\n"
)


def _pipefuls(lines: list[bytes]) -> Iterator[bytes]:
    """Join *lines* into parts of about `PIPE_SIZE`, one after another.

    A full outbox in one piece is a megabyte; the allocator would take it from its heap and leave a gap there.
    """
    size = sum(map(len, lines)) + len(lines)
    step = max(1, len(lines) * PIPE_SIZE // max(1, size))
    for start in range(0, len(lines), step):
        yield b"\n".join([*lines[start : start + step], b""])
