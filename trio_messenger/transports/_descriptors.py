"""Standard descriptors, read and written without ever waiting, and without anybody else noticing.

O_NONBLOCK belongs to the open file description, which 0, 1 and 2 may share with each other (on a terminal, under
``2>&1``) and with other processes. Set there, it would make other writers fail. So it is never set on a description
that was handed to this process. What is done instead depends on what the descriptor is:

- a pipe or a terminal is opened anew through ``/proc/self/fd``, which gives a description of our own;
- a socket takes the flag MSG_DONTWAIT with each call;
- a regular file never makes anybody wait, and opened anew it would start from its beginning;
- anything else, and everything where there is no ``/proc``, is asked by poll() before each call. A pipe that poll()
  calls writable takes PIPE_BUF bytes, so no more is written to it at a time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, final

import trio

_FIRST_PRIVATE: Final = 3
"""The least number of a descriptor of ours: 0 to 2, if they were closed, must not become something private."""


def duplicate(fd: int) -> int:
    """Return a new descriptor for what *fd* is, which child processes do not inherit and which is none of 0, 1 and 2.

    Raises:
      OSError: if *fd* is closed.
    """
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE)


def is_open(fd: int) -> bool:
    """Tell whether the descriptor *fd* is open."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def redirect(number: int, target: int | None) -> None:
    """Make the descriptor *number*, for everybody, what *target* is; the null device for None."""
    if target is not None:
        os.dup2(target, number)
        return
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, number)
    if null != number:
        os.close(null)
    os.set_inheritable(number, True)


@final
class Descriptor:
    """What the descriptor *number* is now, to be read or written without waiting, whatever becomes of the number.

    Args:
      number: A descriptor. It is duplicated, and may be closed or redirected afterwards.
      access: `os.O_RDONLY` or `os.O_WRONLY`.

    Raises:
      OSError: if *number* is closed.
    """

    read: Callable[[int], bytes]
    """Read up to so many bytes, none at the end. Raises `BlockingIOError` if it would have to wait, or `OSError`."""
    write: Callable[[bytes | memoryview], int]
    """Write some or all, and return how many bytes. Raises `BlockingIOError` if it would have to wait, or `OSError`."""
    wait_readable: Callable[[], Awaitable[None]]
    """Wait until `read` need not wait. Always a checkpoint."""
    wait_writable: Callable[[], Awaitable[None]]
    """Wait until `write` need not wait. Always a checkpoint."""

    def __init__(self, number: int, access: int) -> None:
        self._own = self._fd = duplicate(number)
        mode = os.fstat(number).st_mode
        self.is_pipe: Final = stat.S_ISFIFO(mode)
        """Whether it is a pipe: one that gives less than it was asked for is empty."""
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(mode):
            self._socket = connection = _socket_of(self._own)
            self.read = lambda size: connection.recv(size, socket.MSG_DONTWAIT)
            self.write = lambda data: connection.send(data, socket.MSG_DONTWAIT)
        elif stat.S_ISREG(mode) or stat.S_ISDIR(mode) or self._open_anew(number, access):
            self.read, self.write = partial(os.read, self._fd), partial(os.write, self._fd)
        else:
            self.read, self.write = self._read_polled, self._write_polled
        self.wait_readable = partial(trio.lowlevel.wait_readable, self._fd)
        self.wait_writable = partial(trio.lowlevel.wait_writable, self._fd)

    def block_until_writable(self, seconds: float) -> bool:
        """Block this thread until `write` need not wait; return False if that takes longer than *seconds*."""
        return _poll(self._fd, select.POLLOUT, seconds)

    def put_back(self, number: int) -> None:
        """Make *number* what it was when this was made."""
        os.dup2(self._own, number)

    def close(self) -> None:
        """Close what was opened here. To be called once."""
        if self._socket is not None:
            self._socket.detach()
        for fd in {self._own, self._fd}:
            os.close(fd)

    def _open_anew(self, number: int, access: int) -> bool:
        try:
            fd = os.open(f"/proc/self/fd/{number}", access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return False  # no /proc, another user's terminal, or a pipe that nobody reads
        self._fd = duplicate(fd)
        os.close(fd)
        return True

    def _read_polled(self, size: int) -> bytes:
        _check(self._fd, select.POLLIN)
        return os.read(self._fd, size)

    def _write_polled(self, data: bytes | memoryview) -> int:
        _check(self._fd, select.POLLOUT)
        return os.write(self._fd, data[: select.PIPE_BUF])


def is_same_channel(one: int, other: int) -> bool:
    """Tell whether two descriptors are the same pipe, socket or terminal, where what one writes may tear the other's.

    Not so the same file, which takes whatever is written as a whole.
    """
    if not (is_open(one) and is_open(other)):
        return False
    a, b = os.fstat(one), os.fstat(other)
    is_channel = stat.S_ISFIFO(a.st_mode) or stat.S_ISSOCK(a.st_mode) or os.isatty(one)
    return is_channel and (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def cut(data: bytes) -> Iterator[bytes]:
    """Cut *data* at the ends of lines into parts of up to PIPE_BUF bytes; a longer line is a part of its own.

    A write of up to PIPE_BUF bytes to a pipe is never torn (POSIX, ``write``).
    """
    start = 0
    while start < len(data):
        end = start + select.PIPE_BUF
        if end < len(data):
            end = data.rfind(b"\n", start, end) + 1 or data.find(b"\n", end) + 1 or len(data)
        yield data[start:end]
        start = end


def _socket_of(fd: int) -> socket.socket:
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)  # with any other, Python would set O_NONBLOCK
    try:
        return socket.socket(fileno=fd)
    finally:
        socket.setdefaulttimeout(timeout)


def _poll(fd: int, event: int, seconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(seconds * 1000))


def _check(fd: int, event: int) -> None:
    if not _poll(fd, event):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
