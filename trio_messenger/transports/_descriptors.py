"""Read and write standard descriptors without waiting, and without side effects on other processes.

O_NONBLOCK belongs to the open file description, which 0, 1 and 2 may share with each other (on a terminal, under
``2>&1``) and with other processes. If this module set it there, other writers would fail. So it never sets the flag on
a description that this process inherited. Instead, the method depends on the kind of descriptor:

- The module opens a pipe or a terminal again through ``/proc/self/fd``, which gives a description of its own.
- For a socket, each call has the flag MSG_DONTWAIT.
- A regular file never blocks, and a newly opened one would start from its beginning. It is used as it is. So is a
  descriptor for the other direction, which fails: the end of a pipe that reads, opened again, would be one that writes.
- For anything else, and for everything if there is no ``/proc``, the module calls poll() before each call. If poll()
  says that a pipe is writable, the pipe takes PIPE_BUF bytes, so the module writes no more than that at a time.
"""

from __future__ import annotations

import errno
import importlib
import os
import select
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, final

import trio

_FIRST_PRIVATE: Final = 3
"""The smallest number of a private descriptor: even if 0, 1 or 2 is closed, a private file must not take its number."""


def fcntl() -> Any:
    """Return the module of this name. It is imported late, so that simulations run on systems without it.

    Raises:
      RuntimeError: if this is such a system.
    """
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        raise RuntimeError(
            "a node on stdin and stdout needs the module fcntl, which this system lacks; use Linux, or Node.serve with"
            " another transport"
        ) from None


def duplicate(fd: int) -> int:
    """Return a duplicate of *fd*. Child processes do not inherit it, and its number is not 0, 1 or 2.

    Raises:
      OSError: if *fd* is closed.
    """
    number: int = fcntl().fcntl(fd, fcntl().F_DUPFD_CLOEXEC, _FIRST_PRIVATE)
    return number


def is_open(fd: int) -> bool:
    """Tell whether the descriptor *fd* is open."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def allows(fd: int, access: int) -> bool:
    """Tell whether the descriptor *fd*, which is open, can be used for *access*: `os.O_RDONLY` or `os.O_WRONLY`."""
    flags: int = fcntl().fcntl(fd, fcntl().F_GETFL)
    return flags & os.O_ACCMODE in (access, os.O_RDWR)


def redirect(number: int, target: int | None) -> None:
    """Redirect the descriptor *number*, for all code, to *target*, or to the null device if *target* is None."""
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
    """Reads or writes the file that the descriptor *number* refers to now, without waiting.

    Args:
      number: A descriptor. It is duplicated, so it may be closed or redirected afterwards.
      access: `os.O_RDONLY` or `os.O_WRONLY`.

    Raises:
      OSError: if *number* is closed.
    """

    read: Callable[[int], bytes]
    """Read up to the given number of bytes; no bytes mean the end. Raises `BlockingIOError` if it would have to wait,
    or another `OSError`."""
    write: Callable[[bytes | memoryview], int]
    """Write some or all bytes, and return how many. Raises `BlockingIOError` if it would have to wait, or another
    `OSError`."""
    wait_readable: Callable[[], Awaitable[None]]
    """Wait until `read` need not wait. Always a checkpoint."""
    wait_writable: Callable[[], Awaitable[None]]
    """Wait until `write` need not wait. Always a checkpoint."""

    def __init__(self, number: int, access: int) -> None:
        self._own = self._fd = duplicate(number)
        mode = os.fstat(number).st_mode
        self.is_pipe: Final = stat.S_ISFIFO(mode)
        """True if it is a pipe. A read from a pipe that returns less than was asked for has emptied it."""
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(mode):
            self._socket = connection = _socket_of(self._own)
            self.read = lambda size: connection.recv(size, socket.MSG_DONTWAIT)
            self.write = lambda data: connection.send(data, socket.MSG_DONTWAIT)
        elif stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not allows(number, access) or self._open_anew(number, access):
            self.read, self.write = partial(os.read, self._fd), partial(os.write, self._fd)
        else:
            self.read, self.write = self._read_polled, self._write_polled
        self.wait_readable = partial(trio.lowlevel.wait_readable, self._fd)
        self.wait_writable = partial(trio.lowlevel.wait_writable, self._fd)

    def block_until_writable(self, seconds: float) -> bool:
        """Block this thread until `write` need not wait; return False if that takes longer than *seconds*."""
        return _poll(self._fd, select.POLLOUT, seconds)

    def put_back(self, number: int) -> None:
        """Restore *number* to the file that it referred to when this object was made."""
        os.dup2(self._own, number)

    def close(self) -> None:
        """Close the private descriptors. Call it once."""
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
    """Tell whether two descriptors are the same pipe, socket or terminal, so that writes to one may tear the other's.

    For the same regular file the answer is no: it takes each write as a whole.
    """
    if not (is_open(one) and is_open(other)):
        return False
    a, b = os.fstat(one), os.fstat(other)
    is_channel = stat.S_ISFIFO(a.st_mode) or stat.S_ISSOCK(a.st_mode) or os.isatty(one)
    return is_channel and (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def cut(data: bytes) -> Iterator[bytes]:
    """Cut *data* at the ends of lines into parts of up to PIPE_BUF bytes; a longer line becomes one part.

    A write of up to PIPE_BUF bytes to a pipe is atomic (POSIX, ``write``).
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
    socket.setdefaulttimeout(None)  # with any other timeout, Python would set O_NONBLOCK
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
