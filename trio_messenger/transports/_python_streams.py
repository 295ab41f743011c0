"""Python's standard streams while a node runs: the same objects, but they read and write elsewhere.

A program may have kept the objects that `sys.stdin`, `sys.stdout` and `sys.stderr` were at its start, as handlers of
`logging` do. So each object stays, and its buffer is exchanged. That reaches everybody who holds one.
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
    """A text stream that is made to read or write *elsewhere*, until `give_back`."""

    def __init__(self, stream: io.TextIOWrapper, elsewhere: io.RawIOBase) -> None:
        self._stream: Final = stream
        self._own: Final = stream.buffer
        self._errors: Final = stream.errors
        self._is_line_buffering: Final = stream.line_buffering
        self._is_write_through: Final = stream.write_through
        self.flush()
        # What is printed must not raise, whatever characters it has: Python's own stderr is made like that.
        # And it is handed over line by line, even by a Python that does not buffer.
        self._exchange(elsewhere, "backslashreplace", line_buffering=True, write_through=False)

    def flush(self) -> None:
        """Write what was printed there up to now, if anybody takes it."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def give_back(self) -> None:
        """Make the stream what it was. Its descriptor must be what it was already."""
        self.flush()
        self._exchange(
            self._own, self._errors, line_buffering=self._is_line_buffering, write_through=self._is_write_through
        )

    def _exchange(self, buffer: Any, errors: str | None, *, line_buffering: bool, write_through: bool) -> None:
        stream = self._stream
        # To initialise an object again is allowed here, and the only way: detach() makes a stream useless for good.
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
    """Borrow Python's own streams on the descriptor *number*, and no others, such as those that tests put there."""
    found = {
        id(stream): stream
        for stream in (sys.stdin, sys.__stdin__, sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)
        if isinstance(stream, io.TextIOWrapper) and not stream.closed and _number_of(stream) == number
    }
    return [BorrowedStream(stream, elsewhere) for stream in found.values()]


def _number_of(stream: io.TextIOWrapper) -> int | None:
    try:
        return stream.fileno()
    except OSError:  # it is only in memory
        return None


@final
class NoInput(io.RawIOBase):
    """What stdin is for everybody but the node: reading it raises a `RuntimeError` that says what to do instead."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor, which is the null device for child processes."""
        return self._number

    def readable(self) -> bool:
        """Return True, so that there is an error with a remedy at the first read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> NoReturn:  # noqa: ARG002 - it has to take one
        """Raise the error."""
        raise RuntimeError(_REMEDY)


@final
class LogOutput(io.RawIOBase):
    """A file that hands what is written to a `LogWriter`.

    Args:
      writer: Where to.
    """

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self.writer: Final = writer
        """Where to."""

    def fileno(self) -> int:
        """Return the descriptor of stderr, for child processes."""
        return self.writer.number

    def isatty(self) -> bool:
        """Tell whether people read it on a terminal, and may like colours."""
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

    A closed descriptor's number goes to whatever is opened next. So one that was closed when Python started, which
    Python has noted, does not count, though the number may be open by now.
    """
    return sys.__stderr__ is not None


@final
class Stderr:
    """Stderr of this process, written without waiting from here on.

    Attributes:
      writer: What writes it; None if there is none.
    """

    def __init__(self) -> None:
        if not is_open(STDERR):
            redirect(STDERR, None)  # or the number would go to what Trio opens, and child processes would write there
        self.writer: Final = LogWriter(STDERR) if has_stderr() else None
        self._borrowed = [] if self.writer is None else borrow(STDERR, LogOutput(self.writer))

    def give_back(self) -> None:
        """Let Python write stderr as before."""
        for stream in self._borrowed:
            stream.give_back()
        if self.writer is not None:
            self.writer.close()
