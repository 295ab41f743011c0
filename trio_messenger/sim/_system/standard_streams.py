"""The standard streams of a process that runs nodes. They keep the output of nodes out of the results on stdout.

A node in this process can write to descriptor 1 in many ways: by ``os.write``, by a subprocess that inherits the
descriptor, or by a ``print`` while its module is imported. This output must not mix with the results. So descriptor 1
leads to stderr while nodes run, and the results go to a new descriptor that child processes do not inherit.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Final, TextIO, final

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


def fill_standard_descriptors() -> None:
    """Open ``/dev/null`` as each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file to be opened would get the number, and output for stdout or stderr would go into that file.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(opened, True)
    os.close(opened)


def take_descriptor_1() -> int:
    """Point descriptor 1 to the target of 2; return a new, non-inheritable descriptor for the old target of 1."""
    taken = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return taken


def take_descriptor_0() -> int:
    """Point descriptor 0 to ``/dev/null``; return a new, non-inheritable descriptor for its old target."""
    taken = os.dup(_STDIN)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, _STDIN)
    os.close(empty)
    return taken


@final
class Forgiving(io.TextIOBase):
    """Stderr for a process that continues when nothing can read its stderr. It drops text that it cannot write.

    Args:
      stream: The stream to write to; None drops all text.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def buffer(self) -> Any:
        """The underlying byte stream."""
        return None if self._stream is None else self._stream.buffer

    def write(self, text: str) -> int:
        """Write *text*, or drop it if the stream is broken or closed."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if it is neither broken nor closed."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Tell whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream; 2 if there is none."""
        return _STDERR if self._stream is None else self._stream.fileno()

    def _try(self, use: Callable[[TextIO], object]) -> None:
        if self._stream is not None:
            try:
                use(self._stream)
            except (OSError, ValueError):  # the stream is broken or closed
                self._stream = None
