"""Signals that ask a process to end, held back while something must not be left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, final

import attrs

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class EndedBySignal(SystemExit):
    """A signal asked this process to end; the status is 128 and its number, as shells have it."""


@final
@attrs.define(eq=False)
class HeldSignals:
    """The signals that `held_signals` holds back."""

    caught: list[int] = attrs.field(factory=list)
    """Those that have come, in their order."""
    notice: Callable[[], object] = attrs.field(default=lambda: None)
    """Called in the signal handler whenever another one has come."""


@contextlib.contextmanager
def held_signals() -> Iterator[HeldSignals]:
    """While inside, hold back SIGINT, SIGTERM and SIGHUP, however often they come.

    They are not exceptions there, which could come between any two steps, such as making a folder and taking note of
    it. In a thread other than the main one, which gets no signals, this does nothing.

    Raises:
      KeyboardInterrupt: on leaving, if SIGINT came, and nothing else is raised.
      EndedBySignal: likewise, if another one of them came.
    """
    held = HeldSignals()

    def handle(number: int, _: FrameType | None) -> None:
        held.caught.append(number)
        held.notice()

    with _handled(_ENDING, handle):
        yield held
    if signal.SIGINT in held.caught:
        raise KeyboardInterrupt
    if held.caught:
        raise EndedBySignal(128 + held.caught[0])


@contextlib.contextmanager
def raised_signals() -> Iterator[None]:
    """While inside, let SIGTERM and SIGHUP raise `EndedBySignal`, so that what is begun can be undone."""

    def handle(number: int, _: FrameType | None) -> None:
        raise EndedBySignal(128 + number)

    with _handled((signal.SIGTERM, signal.SIGHUP), handle):
        yield


@contextlib.contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # others may not ask for signals
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
