"""The life of a node as a process: signals, logs and exit status around a service on stdin and stdout."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import FrameType
from typing import Final

import trio

from .transports import Transport
from .transports.stdio import StdioTransport

_log = logging.getLogger("trio_messenger")

_CLOSING_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_GC_THRESHOLD: Final = 20_000
"""New objects between collections. With Python's 700 there are several in each batch of messages, for objects that
counting references frees anyway; cycles, of which exceptions make some, wait a little longer."""

_REPORT_SIGNAL: Final = signal.SIGUSR1


def run_on_stdio(
    serve: Callable[[Transport], Awaitable[object]],
    shutdown: Callable[[], object],
    report: Callable[[], str],
    log_level: int | str,
) -> None:
    """Run a service on stdin and stdout until it ends.

    Args:
      serve: The service.
      shutdown: Called at the first SIGTERM or SIGINT; the second ends the process.
      report: Says in one line how things stand; printed on stderr at SIGUSR1, and at the end at log level INFO.
      log_level: The least level to log, where logging is not configured otherwise.

    Raises:
      SystemExit: with status 1, after a line on stderr, if stdin or stdout is closed or breaks.
    """
    level = log_level.upper() if isinstance(log_level, str) else log_level
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    gc.freeze()  # what was imported stays: collections need not look at it
    gc.set_threshold(_GC_THRESHOLD)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a print() in a handler must not stand among the messages
            trio.run(_serve_with_signals, serve, shutdown, report)
    except trio.BrokenResourceError as exc:
        sys.exit(f"error: {exc}")
    finally:
        _log.info("%s", report())


async def _serve_with_signals(
    serve: Callable[[Transport], Awaitable[object]], shutdown: Callable[[], object], report: Callable[[], str]
) -> None:
    def print_report() -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):  # nobody reads it any more
                sys.stderr.write(report() + "\n")

    with _closing_on_signal(shutdown), _on_signal([_REPORT_SIGNAL], print_report):
        await serve(StdioTransport())


@contextlib.contextmanager
def _closing_on_signal(shutdown: Callable[[], object]) -> Iterator[None]:
    """Call *shutdown* at the first of the closing signals; the second ends the process, whatever state it is in.

    Not `trio.open_signal_receiver`: its signals wait for a task, and a handler that blocks keeps tasks from running.
    """

    def die_next_time() -> None:
        for number in _CLOSING_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    with _on_signal(_CLOSING_SIGNALS, shutdown, at_once=die_next_time):
        yield


@contextlib.contextmanager
def _on_signal(
    numbers: Iterable[signal.Signals], function: Callable[[], object], at_once: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Call *at_once* in the signal handler, between any two steps of Python, and *function* between Trio's tasks."""
    token = trio.lowlevel.current_trio_token()

    def handle(_: int, __: FrameType | None) -> None:
        at_once()
        token.run_sync_soon(function)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
