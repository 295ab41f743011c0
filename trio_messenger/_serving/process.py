"""A node as a process: signals, logs and exit status around a service."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, final

import trio

from .._protocol.printable import JsonFormatter, OneLineFormatter, format_exception
from .._protocol.stats import Stats
from ..transports import Transport
from ..transports._descriptors import fcntl
from ..transports._python_streams import Stderr
from ..transports._stderr import LogWriter
from ..transports.stdio import StdioTransport, check_open
from .signals import Signals

_log = logging.getLogger("trio_messenger")

_GC_THRESHOLD: Final = 20_000
"""New objects between garbage collections. With Python's 700, each batch of messages causes several collections, for
objects that reference counting frees anyway. With this value, cycles (some exceptions make them) wait a little
longer."""


_signals: Final = Signals()

_stderr: Final[list[Stderr]] = []  # the one of this process, while writing to it never waits


@contextlib.contextmanager
def prepared(report: Callable[[], str] = lambda: Stats().line()) -> Iterator[LogWriter | None]:
    """Catch signals and write to stderr without waiting; if a node serves inside, until the process ends.

    May be nested. If no node has served inside, everything is restored at the end.

    Args:
      report: Returns the statistics in one line, which SIGUSR1 prints.

    Yields:
      The writer of stderr; None if stderr is closed.

    Raises:
      RuntimeError: if the system lacks what a process on stdin and stdout needs.
    """
    fcntl()  # raises, before anything has changed, if the system lacks it
    _signals.catch(lambda: _say(report()))
    if not _stderr:
        _stderr.append(Stderr())
    try:
        yield _stderr[0].writer
    finally:
        if not _signals.has_served:
            _signals.put_back()
            while _stderr:
                _stderr.pop().give_back()


LogFormat: TypeAlias = Literal["text", "json"]
"""The format of lines on stderr."""

_AsLine: TypeAlias = Callable[[str, str], str]
"""Makes a line of a level and a text."""

OpenTransport: TypeAlias = Callable[[], AbstractAsyncContextManager[Transport]]
"""Opens a transport for a block."""


def run_service(
    serve: Callable[[Transport], Awaitable[object]],
    shutdown: Callable[[], object],
    report: Callable[[], str],
    log_level: int | str,
    open_transport: OpenTransport | None,
    log_format: LogFormat,
    within: Callable[[], AbstractAsyncContextManager[object]] = contextlib.nullcontext,
) -> None:
    """Run a service as the process, until it ends.

    Args:
      serve: The service.
      shutdown: Called at the first SIGTERM or SIGINT; the second ends the process.
      report: Returns the statistics in one line, which goes to stderr at SIGUSR1 and, at log level INFO, at the end.
      log_level: The lowest level to log, unless logging is configured already.
      open_transport: Opens the transport of the service; None for stdin and stdout.
      log_format: The format of all lines on stderr.
      within: Opens what is there before the transport and as long.

    Raises:
      RuntimeError: in a run of Trio, or in another thread than the main one.
      SystemExit: with status 1, after a line on stderr, if the transport cannot be opened or breaks.
    """
    if trio.lowlevel.in_trio_run():  # Trio's own check comes too late, after signals and streams have changed
        raise RuntimeError("Attempted to call run() from inside a run()")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "run() catches signals, which only the main thread can; call it there, or use trio.run(node.serve, ...)"
        )
    as_line = _AS_LINE[log_format]
    with prepared(lambda: as_line("INFO", report())) as logs:
        _configure_logging(log_level, log_format)
        gc.freeze()  # imported modules stay, so collections need not look at them
        gc.set_threshold(_GC_THRESHOLD)
        broken = None
        try:
            if open_transport is None:
                check_open()
            with contextlib.redirect_stdout(sys.stderr):  # a print() in a handler must not mix with the messages
                trio.run(_serve, serve, shutdown, logs, open_transport, as_line, within)
        except trio.BrokenResourceError as exc:
            broken = f"error: {exc}"
        finally:
            _log.info("%s", report())
            _signals.end()
            if logs is not None:
                logs.end()
        if broken is not None:
            _say(as_line("ERROR", broken))
            sys.exit(1)


async def _serve(
    serve: Callable[[Transport], Awaitable[object]],
    shutdown: Callable[[], object],
    logs: LogWriter | None,
    open_transport: OpenTransport | None,
    as_line: _AsLine,
    within: Callable[[], AbstractAsyncContextManager[object]],
) -> None:
    if logs is not None:
        logs.begin()
        trio.lowlevel.spawn_system_task(logs.run)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = partial(_print_uncaught, as_line)  # until the process ends
    with _signals.serving(shutdown):
        async with within(), StdioTransport(logs=logs) if open_transport is None else open_transport() as transport:
            await serve(transport)


def _as_json(level: str, text: str) -> str:
    """Return *text* in the form of a line of the log."""
    return _JSON.format(logging.makeLogRecord({"name": _log.name, "levelname": level, "msg": text}))


_JSON: Final = JsonFormatter()

_AS_LINE: Final[Mapping[LogFormat, _AsLine]] = {"text": lambda _, text: text, "json": _as_json}
"""What makes the lines that are not from the log, such as the statistics, by the format of the log."""


def _configure_logging(log_level: int | str, log_format: LogFormat) -> None:
    handler = _LogHandler()
    handler.setFormatter(_JSON if log_format == "json" else OneLineFormatter("%(levelname)s: %(message)s"))
    level = log_level.upper() if isinstance(log_level, str) else log_level
    logging.basicConfig(level=level, handlers=[handler])


@final
class _LogHandler(logging.StreamHandler[Any]):
    """Writes log lines to stderr, and never raises: the program may have closed `sys.stderr`."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report an error of logging itself."""
        with contextlib.suppress(ValueError):
            super().handleError(record)


def _print_uncaught(
    as_line: _AsLine, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of an exception that ends the process; a peer may have chosen its text."""
    if issubclass(kind, Exception | BaseExceptionGroup):
        _say(as_line("CRITICAL", format_exception(error)))
    else:
        sys.__excepthook__(kind, error, trace)


def _say(line: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads stderr any more, or the program has closed it
            sys.stderr.write(line + "\n")
