"""What the commands say: results on stdout; on stderr what happens meanwhile, and on a terminal how far it is."""

from __future__ import annotations

import contextlib
import contextvars
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from os import environ  # a terminal's wishes; what touches descriptors stays out of here
from typing import Final, TextIO, final

REDRAWN_EVERY: Final = 0.1
"""Seconds between two states of the changing line: faster than that nobody reads."""

TOLD_EVERY: Final = 10.0
"""Seconds between two lines where there is no terminal; most runs are over by then."""

_ERASE_LINE: Final = "\r\x1b[K"

_COLOURS: Final = {"green": 32, "red": 31, "yellow": 33}


@final
class Results:
    """Where results go, as long as they can be written there.

    Args:
      stream: The stream; None if there is none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.failure: OSError | None = None
        """Why the results could not be written; None if they could be, or if their reader has gone, as with ``| head``.
        """
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        """Whether they go to a terminal."""
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
        except UnicodeEncodeError:  # its encoding lacks a character, or a name has bytes that are no text
            encoding = stream.encoding
            print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _discard(stream: TextIO) -> None:
    """Let go of what a broken *stream* still holds: Python would try to write it when the stream is collected."""
    if stream is not sys.stdout:  # which others may still print to; see `settled`
        with contextlib.suppress(OSError):
            stream.close()


_results: Final[contextvars.ContextVar[Results | None]] = contextvars.ContextVar("results", default=None)


def results() -> Results:
    """Return where results go: to stdout, if `results_to` says nothing else."""
    return _results.get() or Results(sys.stdout)


@contextlib.contextmanager
def results_to(stream: TextIO | None) -> Iterator[Results]:
    """While inside, let results go to *stream*."""
    token = _results.set(Results(stream))
    try:
        yield results()
    finally:
        _results.reset(token)


def put(text: str) -> bool:
    """Print *text* as a result; return False if it could not be written."""
    return results().put(text)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """On leaving, let go of stdout and stderr if they cannot be flushed.

    Python would try that once more at its end, and exit with status 120.
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
    """Return *text* in *colour*, if it goes to a terminal of somebody who likes colours."""
    if not is_terminal or environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


@final
class Console:
    """Says things on stderr: lines, and on a terminal one more below them, which keeps changing.

    Args:
      stream: Where to; by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream: Final = sys.stderr if stream is None else stream
        self.is_terminal: Final = self._stream.isatty()
        """Whether there is a changing line."""
        self._status = ""

    def say(self, text: str) -> None:
        """Say *text*, of one or more lines, which stays."""
        self._write(f"{_ERASE_LINE}{text}\n{self._status}" if self._status else f"{text}\n")

    def show(self, text: str) -> None:
        """Let *text* be the changing line, as far as it fits; an empty one takes it away. Only on a terminal."""
        text = text[: shutil.get_terminal_size().columns - 1]  # one that is wrapped could not be erased
        if text != self._status:
            self._status = text
            self._write(f"{_ERASE_LINE}{text}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@final
class Ticker:
    """Tells how far something is, from time to time: in the changing line, or where there is none in lines that stay.

    Args:
      console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._interval = REDRAWN_EVERY if console.is_terminal else TOLD_EVERY
        self._next = time.monotonic() + (0 if console.is_terminal else TOLD_EVERY)

    def tick(self, text: Callable[[], str]) -> None:
        """Tell what *text* returns, if it is time to."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            (self._console.show if self._console.is_terminal else self._console.say)(text())

    def close(self) -> None:
        """Take the changing line away."""
        self._console.show("")
