"""The signals of a node's process, from the start of a node until the process ends.

The sender of a signal cannot know whether the node serves at that moment. So a signal has the same effect before Trio
runs and between the end of stdin and the exit: the signal handlers stay when the node has ended. The first closing
signal closes the node, if it is not closed yet. The second one ends the process in any state. Shortly before it exits,
Python removes all signal handlers, and the next signal would end the process. So the process ignores signals then.

This module does not use `trio.open_signal_receiver`: there, signals wait for a task, and a handler that blocks keeps
tasks from running.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, final

import trio

CLOSING: Final = (signal.SIGTERM, signal.SIGINT)
"""The first of these closes the node."""

REPORT: Final = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows lacks it; no node runs as a process there
"""This signal asks for statistics."""


@final
class Signals:
    """Catches the signals of this process and passes them on to the node that runs in it."""

    def __init__(self) -> None:
        self.has_served = False
        """True if a node has served since `catch`."""
        self._report: Callable[[], object] = _do_nothing
        self._shutdown: Callable[[], object] | None = None  # set while a node serves
        self._is_closing = False  # True if a closing signal came before its node served
        self._before: dict[signal.Signals, Any] = {}  # the handlers that `catch` replaced
        self._has_hooks = False

    def catch(self, report: Callable[[], object]) -> None:
        """Catch signals from now on. Call it in the main thread.

        Args:
          report: Called when a signal asks for statistics. The signal handler calls it directly, or, while a node
            serves, Trio calls it between two tasks.
        """
        self._report = report
        for number in (*CLOSING, REPORT):
            if not self._catches(number):
                before = signal.signal(number, self._print if number == REPORT else self._close)
                self._before.setdefault(number, signal.SIG_DFL if before is None else before)
        if not self._has_hooks:
            self._has_hooks = True
            atexit.register(self._ignore)
            os.register_at_fork(after_in_child=self.put_back)

    @contextlib.contextmanager
    def serving(self, shutdown: Callable[[], object]) -> Iterator[None]:
        """While inside, a closing signal calls *shutdown*, between two tasks; the same holds for the report.

        Call it in a Trio task.
        """
        run_sync_soon = trio.lowlevel.current_trio_token().run_sync_soon
        self.has_served = True
        report = self._report
        self._report = lambda: run_sync_soon(report)
        self._shutdown = lambda: run_sync_soon(shutdown)
        if self._is_closing:
            self._is_closing = False
            shutdown()
        try:
            yield
        finally:
            self._shutdown = None
            self._report = report

    def end(self) -> None:
        """Restore the signal handlers of the program itself; other signals stay caught until the process ends."""
        for number, handler in list(self._before.items()):
            if callable(handler) and handler != signal.default_int_handler:
                signal.signal(number, handler)
                del self._before[number]

    def put_back(self) -> None:
        """Restore all signal handlers from before `catch`."""
        for number, handler in self._before.items():
            if self._catches(number):
                signal.signal(number, handler)
        self._before.clear()

    def _catches(self, number: signal.Signals) -> bool:
        return signal.getsignal(number) in (self._close, self._print)

    def _close(self, _: int, __: FrameType | None) -> None:
        for number in CLOSING:
            signal.signal(number, signal.SIG_DFL)
        if self._shutdown is None:
            self._is_closing = True
        else:
            self._shutdown()

    def _print(self, _: int, __: FrameType | None) -> None:
        self._report()

    def _ignore(self) -> None:
        """Ignore further signals at the exit, because Python is about to remove its handlers."""
        for number in (*CLOSING, REPORT):
            if self._catches(number):
                signal.signal(number, signal.SIG_IGN)


def _do_nothing() -> None:
    """Replace the report before there is a node."""
