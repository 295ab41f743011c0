"""The standard streams of a process that runs nodes: stdout is for results, whatever nodes write there.

A node in this process can write to descriptor 1 in many ways: by ``os.write``, by a subprocess that inherits it, or
by a ``print`` while its module is imported. None of this may stand among the results. So descriptor 1 leads to stderr
while nodes run, and the results have a descriptor that nothing inherits.
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

    The next file that is opened would take its number. What is written to stdout or stderr would go into that file.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(opened, True)
    os.close(opened)


def take_descriptor_1() -> int:
    """Let descriptor 1 lead where 2 leads; return a new descriptor, not inherited, that leads where 1 led."""
    taken = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return taken


def take_descriptor_0() -> int:
    """Let descriptor 0 lead to ``/dev/null``; return a new descriptor, not inherited, that leads where it led."""
    taken = os.dup(_STDIN)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, _STDIN)
    os.close(empty)
    return taken


@final
class Forgiving(io.TextIOBase):
    """Stderr, for a process whose work goes on when nobody can read it: what cannot be written is dropped.

    Args:
      stream: Where the text goes; None for nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def buffer(self) -> Any:
        """The stream of bytes below."""
        return None if self._stream is None else self._stream.buffer

    def write(self, text: str) -> int:
        """Write *text*, if it can be written."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if it can be flushed."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor."""
        return _STDERR if self._stream is None else self._stream.fileno()

    def _try(self, use: Callable[[TextIO], object]) -> None:
        if self._stream is not None:
            try:
                use(self._stream)
            except (OSError, ValueError):  # it broke, or somebody closed it
                self._stream = None
