"""The signals of a node's process, from the start of a node until the process ends.

Whoever sends a signal cannot know whether the node serves at that moment. So a signal has the same effect before Trio
runs and between the end of stdin and the exit: the handlers stay when the node has ended. The first closing signal
closes the node, if it has not closed yet. The second one ends the process, whatever state it is in. In its last moments
Python gives every handler up, and the next signal would end the process; so those that may still come are ignored then.

Not `trio.open_signal_receiver`: its signals wait for a task, and a handler that blocks keeps tasks from running.
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

REPORT: Final = signal.SIGUSR1
"""This one asks how things stand."""


@final
class Signals:
    """Catches the signals of this process and passes them on to the node that runs in it."""

    def __init__(self) -> None:
        self.has_served = False
        """Whether a node has served since `catch`."""
        self._report: Callable[[], object] = _do_nothing
        self._shutdown: Callable[[], object] | None = None  # set while a node serves
        self._is_closing = False  # a closing signal came before the node that it is for served
        self._before: dict[signal.Signals, Any] = {}  # the handlers that `catch` replaced
        self._has_hooks = False

    def catch(self, report: Callable[[], object]) -> None:
        """Catch signals from here on. Call it in the main thread.

        Args:
          report: Called when a signal asks how things stand; from the signal handler, except while a node serves.
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
        """While inside, in a task of Trio, call *shutdown* between two tasks at a closing signal, and so the report."""
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
        """Give back the signals that the program handled itself before; others are caught until the process ends."""
        for number, handler in list(self._before.items()):
            if callable(handler) and handler != signal.default_int_handler:
                signal.signal(number, handler)
                del self._before[number]

    def put_back(self) -> None:
        """Catch no signals any more, as before `catch`."""
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
        """At the exit, ignore what did not come yet: Python is about to give up its handlers."""
        for number in (*CLOSING, REPORT):
            if self._catches(number):
                signal.signal(number, signal.SIG_IGN)


def _do_nothing() -> None:
    """Stand for the report of a node that is not there yet."""
