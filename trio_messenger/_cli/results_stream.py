"""The streams of a command that runs nodes. Output of nodes never mixes with its results, and never ends it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO

from ..sim._for_cli import Forgiving, fill_standard_descriptors, take_descriptor_1
from .output import ResultsStream, results_to


@contextlib.contextmanager
def results_apart() -> Iterator[ResultsStream]:
    """While inside, only `put` writes to the original stdout; all other output goes to stderr.

    If stdout is the process's own, descriptor 1 leads to stderr for the rest of the process, since processes that nodes
    have started may outlive this block. Output that stderr does not accept is dropped.
    """
    stdout, stderr = sys.stdout, Forgiving(sys.stderr)
    if stdout is sys.__stdout__:
        fill_standard_descriptors()
        stdout = _take(stdout)
    with contextlib.redirect_stdout(stderr), contextlib.redirect_stderr(stderr), results_to(stdout) as results:
        yield results


def _take(stdout: TextIO | None) -> TextIO | None:
    """Return a stream to the original destination of descriptor 1, and make descriptor 1 lead to stderr."""
    taken = take_descriptor_1()
    if stdout is None:  # it was closed when this process began
        return None
    return open(taken, "w", encoding=stdout.encoding, errors="surrogateescape")  # lives as long as the process
