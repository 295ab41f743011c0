"""Escape text from outside, so that it stays on one line and cannot control a terminal.

Peers choose names, types and error texts. Printed unchanged, a newline in them would forge a log line, and an escape
sequence or a bidirectional override would change what a terminal shows.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeAlias, final

from .excerpts import bounded
from .stats import worth_a_line

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def printable(text: str) -> str:
    r"""Return *text* on one line; each control character becomes its escape in a Python string, such as ``\n``.

    This includes newlines, terminal escapes, invisible and bidirectional formatting, and lone surrogates. Spaces and
    letters of any language stay. Use it to print text that a peer has sent.

    Example:
      >>> print(printable("two\nlines, \x1b[31mred"))
      two\nlines, \x1b[31mred
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@final
class OneLineFormatter(logging.Formatter):
    """Formats each record as one `printable` line. A traceback has several lines, but each exception's text has one.

    Texts of more than `TEXT_LIMIT` characters are cut, here and in `JsonFormatter`.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Format the line."""
        return printable(bounded(super().formatMessage(record)))

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """Format the traceback."""
        return "" if ei[1] is None else format_exception(ei[1])


@final
class JsonFormatter(logging.Formatter):
    """Formats each record as one JSON object: time (seconds since 1970), level, logger, message, and any exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record. JSON escapes newlines and control characters, so it is one line."""
        entry: dict[str, object] = {
            "time": round(record.created, 6),
            "level": record.levelname,
            "logger": record.name,
            "message": bounded(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = format_exception(record.exc_info[1])
        return json.dumps(entry)


_METHOD: Final = "format_exception_only"


def format_exception(exc: BaseException) -> str:
    """Return the traceback of *exc*; the text and the notes of each exception in it are `printable`, and cut."""
    shown = traceback.TracebackException(type(exc), exc, exc.__traceback__, compact=True)
    found = [shown]
    for each in found:  # the list grows during the loop
        found.extend(filter(None, (each.__cause__, each.__context__, *(each.exceptions or ()))))
    for each in found:
        if isinstance(each.__notes__, list):
            each.__notes__ = [printable(bounded(str(note))) for note in each.__notes__]
        vars(each)[_METHOD] = partial(_one_line_each, each.format_exception_only)
    text = "".join(shown.format()).removesuffix("\n")
    for each in found:
        del vars(each)[_METHOD]  # it would keep a reference cycle alive
    return text


def _one_line_each(texts: Callable[..., Iterator[str]], *args: Any, **kwargs: Any) -> Iterator[str]:
    for text in texts(*args, **kwargs):
        yield printable(bounded(text.removesuffix("\n"))) + "\n"


@final
class _OneLine(logging.Filter):
    """Makes the library's own log records printable and cuts them, for all handlers and formatters of the program."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        shown = printable(bounded(message))
        if shown is not message:
            record.msg, record.args = shown, None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = format_exception(record.exc_info[1])
        return True


@final
class _Guard:
    """Replaces ``handle`` of *logger*: a handler or filter of the program that raises must not end the node."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._failures = 0

    def __call__(self, record: logging.LogRecord) -> None:
        try:
            type(self._logger).handle(self._logger, record)
        except Exception as exc:  # noqa: BLE001 - the handlers are not ours
            self._failures += 1
            if worth_a_line(self._failures):
                _say_on_stderr(
                    f"a handler or filter of logging raised, so a line is lost ({self._failures} so far)", exc
                )


def _say_on_stderr(text: str, exc: Exception) -> None:
    """Write a line and a traceback to stderr, without the handlers of the program."""
    handler = logging.StreamHandler()  # to what stderr is now
    handler.setFormatter(OneLineFormatter("%(levelname)s: %(message)s"))
    info = type(exc), exc, exc.__traceback__
    handler.emit(logging.makeLogRecord({"levelname": "ERROR", "msg": text, "exc_info": info}))


_logger = logging.getLogger("trio_messenger")
_logger.addFilter(_OneLine())
_logger.handle = _Guard(_logger)  # type: ignore[method-assign]
