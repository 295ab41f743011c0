"""Redirect Python's standard streams while a node runs: the objects stay the same, but they read and write elsewhere.

A program may have kept references to `sys.stdin`, `sys.stdout` and `sys.stderr` from its start, as handlers of
`logging` do. So this module keeps each object and exchanges its buffer. That affects all code that holds a reference.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from ._descriptors import is_open, redirect
from ._stderr import LogWriter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

STDERR: Final = 2

_REMEDY: Final = (
    "stdin carries the node's messages, so nothing else can read it; take input from requests or files, and give a "
    "debugger its own terminal: pdb.Pdb(stdin=open('/dev/tty'), stdout=open('/dev/tty', 'w')).set_trace()"
)


@final
class BorrowedStream:
    """A text stream that reads or writes *elsewhere* until `give_back`."""

    def __init__(self, stream: io.TextIOWrapper, elsewhere: io.RawIOBase) -> None:
        self._stream: Final = stream
        self._own: Final = stream.buffer
        self._errors: Final = stream.errors
        self._is_line_buffering: Final = stream.line_buffering
        self._is_write_through: Final = stream.write_through
        self.flush()
        # print() must not raise, whatever the characters are; Python's own stderr does the same. Each line is passed
        # on as a whole, even if Python runs unbuffered.
        self._exchange(elsewhere, "backslashreplace", line_buffering=True, write_through=False)

    def flush(self) -> None:
        """Write the text printed so far, if the other side accepts it."""
        with contextlib.suppress(OSError, ValueError):  # a handler may have closed or detached the stream
            self._stream.flush()

    def give_back(self) -> None:
        """Restore the stream. Its descriptor must be restored already."""
        self.flush()
        self._exchange(
            self._own, self._errors, line_buffering=self._is_line_buffering, write_through=self._is_write_through
        )

    def _exchange(self, buffer: Any, errors: str | None, *, line_buffering: bool, write_through: bool) -> None:
        stream = self._stream
        # It is allowed to initialise the object again, and there is no other way: after detach() a stream is unusable.
        io.TextIOWrapper.__init__(
            stream,
            buffer,
            stream.encoding,
            errors,
            newline="\n",
            line_buffering=line_buffering,
            write_through=write_through,
        )


def borrow(number: int, elsewhere: io.RawIOBase) -> list[BorrowedStream]:
    """Borrow Python's own streams on the descriptor *number*, but not other objects, such as those of tests."""
    found = {
        id(stream): stream
        for stream in (sys.stdin, sys.__stdin__, sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)
        if isinstance(stream, io.TextIOWrapper) and _number_of(stream) == number
    }
    return [BorrowedStream(stream, elsewhere) for stream in found.values()]


def _number_of(stream: io.TextIOWrapper) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # the stream is in memory only; or the program has closed or detached it
        return None


@final
class NoInput(io.RawIOBase):
    """Replaces stdin for all code except the node: reading raises a `RuntimeError` that says what to do instead."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor, which is the null device for child processes."""
        return self._number

    def readable(self) -> bool:
        """Return True, so that the first read raises the error with the remedy."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> NoReturn:  # noqa: ARG002 - the interface requires it
        """Raise the error."""
        raise RuntimeError(_REMEDY)


@final
class LogOutput(io.RawIOBase):
    """A file that passes its data to a `LogWriter`.

    Args:
      writer: Writes the data.
    """

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self.writer: Final = writer
        """Writes the data."""

    def fileno(self) -> int:
        """Return the descriptor of stderr, for child processes."""
        return self.writer.number

    def isatty(self) -> bool:
        """Tell whether stderr is a terminal, so that programs can use colours."""
        return os.isatty(self.writer.number)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of *data*; see `LogWriter.write`."""
        copy = bytes(data)
        self.writer.write(copy)
        return len(copy)


def has_stderr() -> bool:
    """Tell whether this process has a stderr.

    The next open file takes the number of a closed descriptor. So if stderr was closed when Python started, as Python
    has noted, the answer is no, even if the number is open by now.
    """
    return sys.__stderr__ is not None


@final
class Stderr:
    """Makes writing to this process's stderr never wait.

    Attributes:
      writer: Writes to stderr; None if the process has no stderr.
    """

    def __init__(self) -> None:
        if not is_open(STDERR):
            redirect(STDERR, None)  # or a file that Trio opens takes the number, and child processes write to it
        self.writer: Final = LogWriter(STDERR) if has_stderr() else None
        self._borrowed = [] if self.writer is None else borrow(STDERR, LogOutput(self.writer))

    def give_back(self) -> None:
        """Let Python write to stderr directly again."""
        for stream in self._borrowed:
            stream.give_back()
        if self.writer is not None:
            self.writer.close()
