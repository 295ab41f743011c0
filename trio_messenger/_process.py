"""The life of a node as a process: signals, logs and exit status around a service on stdin and stdout."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from .transports import Transport
from .transports.stdio import StdioTransport

_CLOSING_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def run_on_stdio(
    serve: Callable[[Transport], Awaitable[object]], shutdown: Callable[[], object], log_level: int | str
) -> None:
    """Run *serve* on stdin and stdout until it returns; the first SIGTERM or SIGINT calls *shutdown*.

    Raises:
      SystemExit: with status 1, after a line on stderr, if stdin or stdout is closed or breaks.
    """
    logging.basicConfig(level=log_level, format="%(levelname)s: %(message)s")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a print() in a handler must not stand among the messages
            trio.run(_serve_until_signal, serve, shutdown)
    except trio.BrokenResourceError as exc:
        sys.exit(f"error: {exc}")


async def _serve_until_signal(serve: Callable[[Transport], Awaitable[object]], shutdown: Callable[[], object]) -> None:
    broken: trio.BrokenResourceError | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(_call_on_signal, shutdown)
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
