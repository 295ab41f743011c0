"""The life of a node as a process: signals, logs and exit status around a service on stdin and stdout."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
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
    logging.basicConfig(level=log_level, format="%(levelname)s: %(message)s")
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
    broken: trio.BrokenResourceError | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(_call_on_signal, shutdown)
        await nursery.start(_report_on_signal, report)
        try:
            await serve(StdioTransport())
        except trio.BrokenResourceError as exc:
            broken = exc
        nursery.cancel_scope.cancel()
    if broken is not None:
        raise broken


async def _call_on_signal(shutdown: Callable[[], object], task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(*_CLOSING_SIGNALS) as signals:
        task_status.started()
        await anext(signals)
    for number in _CLOSING_SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # the second one ends the process, whatever state it is in
    shutdown()


async def _report_on_signal(report: Callable[[], str], task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(_REPORT_SIGNAL) as signals:
        task_status.started()
        async for _ in signals:
            if sys.stderr is not None:
                with contextlib.suppress(OSError):  # nobody reads it any more
                    sys.stderr.write(report() + "\n")
