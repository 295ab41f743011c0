"""The streams of a command that runs nodes: nothing that nodes write stands among its results, or ends it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO

from .output import Results, results_to
from .simulator import Forgiving, fill_standard_descriptors, take_descriptor_1


@contextlib.contextmanager
def results_apart() -> Iterator[Results]:
    """While inside, let `put` alone write to what was stdout, and whatever else is printed go to stderr.

    Where stdout is the process's own, descriptor 1 leads to stderr for the rest of the process: what nodes have started
    may outlive this block. What cannot be written to stderr is dropped.
    """
    stdout, stderr = sys.stdout, Forgiving(sys.stderr)
    if stdout is sys.__stdout__:
        fill_standard_descriptors()
        stdout = _take(stdout)
    with contextlib.redirect_stdout(stderr), contextlib.redirect_stderr(stderr), results_to(stdout) as results:
        yield results


def _take(stdout: TextIO | None) -> TextIO | None:
    """Return a stream that leads where descriptor 1 led, which leads to stderr now."""
    taken = take_descriptor_1()
    if stdout is None:  # it was closed when this process began
        return None
    return open(taken, "w", encoding=stdout.encoding, errors="surrogateescape")  # lives as long as the process
