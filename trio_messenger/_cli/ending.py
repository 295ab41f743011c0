"""How the commands of the simulator end: their exit statuses, which are Maelstrom's, and what they say of errors.

Status 1 is a verdict and nothing else. So whatever is raised here becomes a status: left to Python, it would be 1.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import Final

from .parsing import Parser, UsageError
from .results_stream import results_apart
from .simulator import EndedBySignal, SetUpError, Valid

STATUSES: Final[dict[Valid, int]] = {True: 0, False: 1, "unknown": 2}
"""The exit status of each verdict."""

BAD_ARGUMENTS: Final = 254
"""That of arguments that are wrong."""

CRASH: Final = 255
"""That of a run that came to no verdict, or whose results or files could not be written."""

INTERRUPTED: Final = 130
"""That of a run that was ended by Ctrl-C, as shells have it."""


class Crash(Exception):
    """A run came to no verdict; the text says why."""


def concluding(run: Callable[[argparse.Namespace], int], parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Return *run*, whose errors are told on stderr and made into an exit status; so are those of *parser*.

    Only what it says by `put` goes to stdout; see `results_apart`.
    """
    parser.error_status = BAD_ARGUMENTS

    def conclude(arguments: argparse.Namespace) -> int:
        with results_apart() as results:
            try:
                status = run(arguments)
            except EndedBySignal:
                raise
            except BaseException as exc:  # noqa: BLE001 - it becomes a status
                status, text = _end_by(exc)
                print(f"{parser.prog}: {text}", file=sys.stderr)
            if results.failure is not None:
                print(f"{parser.prog}: error: stdout cannot be written: {results.failure}", file=sys.stderr)
                return CRASH
            return status

    return conclude


def _end_by(exc: BaseException) -> tuple[int, str]:
    """Return the exit status after *exc*, and what to say of it."""
    interrupts = exc.subgroup(KeyboardInterrupt) if isinstance(exc, BaseExceptionGroup) else None  # Trio groups them
    if isinstance(exc, KeyboardInterrupt) or interrupts is not None:
        return INTERRUPTED, "; ".join(["interrupted", *getattr(exc, "__notes__", [])])
    if isinstance(exc, UsageError):
        return BAD_ARGUMENTS, f"error: {exc}"
    if isinstance(exc, (Crash, SetUpError)):
        return CRASH, f"error: {exc}"
    system_error = _system_error(exc)
    if system_error is not None:
        return CRASH, f"error: the system refused what the run needs: {system_error!r}"
    traceback.print_exception(exc)
    return CRASH, "error: this is a defect of trio-messenger, and says nothing of the nodes: please report it"


def _system_error(exc: BaseException) -> BaseException | None:
    """Return what the system refused, such as another process or another file, if *exc* is nothing else."""
    while isinstance(exc, BaseExceptionGroup):
        if exc.split((OSError, MemoryError))[1] is not None:
            return None
        exc = exc.exceptions[0]
    return exc if isinstance(exc, (OSError, MemoryError)) else None
