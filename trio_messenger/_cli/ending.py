"""How the commands of the simulator end: their exit statuses (the same as Maelstrom's) and their error messages.

Status 1 is a verdict and nothing else. So every exception becomes another status here; Python itself would exit with 1.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import Final

from ..sim._for_cli import EndedBySignal, SetUpError, Valid, WorkloadError
from .parsing import Parser, UsageError
from .results_stream import results_apart

STATUSES: Final[dict[Valid, int]] = {True: 0, False: 1, "unknown": 2}
"""The exit status of each verdict."""

BAD_ARGUMENTS: Final = 254
"""The exit status for wrong arguments."""

CRASH: Final = 255
"""The exit status of a run without a verdict, or of a run whose results or files could not be written."""

INTERRUPTED: Final = 130
"""The exit status of a run that Ctrl-C ended, as in shells."""


class Crash(Exception):
    """A run has no verdict; the text says why."""


def concluding(run: Callable[[argparse.Namespace], int], parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Return a function that calls *run*, prints its errors on stderr, and turns them into an exit status.

    The errors of *parser* get an exit status as well. Only text from `put` goes to stdout; see `results_apart`.
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
    """Return the exit status after *exc*, and the message for it."""
    interrupts = exc.subgroup(KeyboardInterrupt) if isinstance(exc, BaseExceptionGroup) else None  # Trio groups them
    if isinstance(exc, KeyboardInterrupt) or interrupts is not None:
        return INTERRUPTED, "; ".join(["interrupted", *getattr(exc, "__notes__", [])])
    if isinstance(exc, UsageError):
        return BAD_ARGUMENTS, f"error: {exc}"
    if isinstance(exc, (Crash, SetUpError, WorkloadError)):
        return CRASH, f"error: {exc}"
    system_error = _system_error(exc)
    if system_error is not None:
        return CRASH, f"error: the system refused a resource that the run needs: {system_error!r}"
    traceback.print_exception(exc)
    return CRASH, "error: this is a bug in trio-messenger, and not in the nodes; please report it"


def _system_error(exc: BaseException) -> BaseException | None:
    """Return the error of the system, which refused a process or a file for example, if *exc* contains nothing else."""
    while isinstance(exc, BaseExceptionGroup):
        if exc.split((OSError, MemoryError))[1] is not None:
            return None
        exc = exc.exceptions[0]
    return exc if isinstance(exc, (OSError, MemoryError)) else None
