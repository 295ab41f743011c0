"""The output of the commands: results on stdout, events on stderr, and progress if stderr is a terminal."""

from __future__ import annotations

import contextlib
import contextvars
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from os import environ  # for the terminal's settings; this module must not touch descriptors
from typing import Final, TextIO, final

REDRAWN_EVERY: Final = 0.1
"""Seconds between two states of the status line; nobody reads faster."""

TOLD_EVERY: Final = 10.0
"""Seconds between two progress lines if there is no terminal; most runs are over by then."""

_ERASE_LINE: Final = "\r\x1b[K"

_COLOURS: Final = {"green": 32, "red": 31, "yellow": 33}


@final
class ResultsStream:
    """The destination of results, while they can be written there.

    Args:
      stream: The stream; None if there is none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.failure: OSError | None = None
        """The error of the write that failed; None if all succeeded, or if the reader has gone, as with ``| head``."""
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        """True if the results go to a terminal."""
        return self._stream is not None and self._stream.isatty()

    def put(self, text: str) -> bool:
        """Write *text* and a newline; return False if it could not be written."""
        if self._stream is None:
            return False
        try:
            self._print(text, self._stream)
        except OSError as exc:
            if not isinstance(exc, BrokenPipeError):
                self.failure = exc
            _discard(self._stream)
            self._stream = None
            return False
        return True

    def _print(self, text: str, stream: TextIO) -> None:
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:  # the encoding lacks a character, or a name contains bytes that are not text
            encoding = stream.encoding
            print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _discard(stream: TextIO) -> None:
    """Discard the buffer of a broken *stream*; Python would try to write it when the stream is collected."""
    if stream is not sys.stdout:  # other code may still print to stdout; see `settled`
        with contextlib.suppress(OSError):
            stream.close()


_results: Final[contextvars.ContextVar[ResultsStream | None]] = contextvars.ContextVar("results", default=None)


def results() -> ResultsStream:
    """Return the destination of results: the stream of `results_to`, or stdout."""
    return _results.get() or ResultsStream(sys.stdout)


@contextlib.contextmanager
def results_to(stream: TextIO | None) -> Iterator[ResultsStream]:
    """While inside, send results to *stream*."""
    token = _results.set(ResultsStream(stream))
    try:
        yield results()
    finally:
        _results.reset(token)


def put(text: str) -> bool:
    """Print *text* as a result; return False if it could not be written."""
    return results().put(text)


def print_only(text: str) -> int:
    """Print *text*, which is all that a command is for; return its exit status.

    It is 1 if *text* could not be written. A line on stderr says why, unless the reader of stdout has gone.
    """
    stream = results()
    if stream.put(text):
        return 0
    if sys.stdout is None:
        complain("trio-messenger: error: stdout is closed; give an open one, such as a file")
    elif stream.failure is not None:
        complain(f"trio-messenger: error: stdout cannot be written: {stream.failure}")
    return 1


def complain(text: str) -> None:
    """Write *text*, an error, to stderr, if that can be written."""
    if sys.stderr is not None:  # print() would take stdout
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """On leaving, drop stdout and stderr if they cannot be flushed.

    Otherwise Python would try to flush them again when it ends, and exit with status 120.
    """
    try:
        yield
    finally:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None:
                try:
                    stream.flush()
                except (OSError, ValueError):
                    setattr(sys, name, None)


def coloured(text: str, colour: str, *, is_terminal: bool) -> str:
    """Return *text* in *colour* if it goes to a terminal with colours turned on."""
    if not is_terminal or environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


@final
class Console:
    """Writes lines to stderr and, on a terminal, a status line below them.

    Args:
      stream: The stream to write to; by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream: Final = sys.stderr if stream is None else stream
        self.is_terminal: Final = self._stream.isatty()
        """True if there is a status line."""
        self._status = ""

    def say(self, text: str) -> None:
        """Write *text*, one or more lines, permanently."""
        self._write(f"{_ERASE_LINE}{text}\n{self._status}" if self._status else f"{text}\n")

    def show(self, text: str) -> None:
        """Set the status line to *text*, cut to the width of the terminal; an empty text removes it.

        Call it only on a terminal.
        """
        text = text[: shutil.get_terminal_size().columns - 1]  # a wrapped line cannot be erased
        if text != self._status:
            self._status = text
            self._write(f"{_ERASE_LINE}{text}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@final
class Ticker:
    """Reports progress from time to time: in the status line or, without a terminal, in permanent lines.

    Args:
      console: Where to report.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._interval = REDRAWN_EVERY if console.is_terminal else TOLD_EVERY
        self._next = time.monotonic() + (0 if console.is_terminal else TOLD_EVERY)

    def tick(self, text: Callable[[], str]) -> None:
        """Report the result of *text*, if it is time."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            (self._console.show if self._console.is_terminal else self._console.say)(text())

    def close(self) -> None:
        """Remove the status line."""
        self._console.show("")
