"""Signals that ask a process to end. They can be held back while an operation must not be interrupted."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, final

import attrs

_TERMINATING: Final[tuple[signal.Signals, ...]] = (
    signal.SIGTERM,
    *(number for number in signal.Signals if number.name == "SIGHUP"),  # Windows lacks it
)


@final
class EndedBySignal(SystemExit):
    """A signal asked this process to end. The exit status is 128 plus the signal number, as in shells."""


@final
@attrs.define(eq=False)
class HeldSignals:
    """The signals that `held_signals` holds back."""

    caught: list[int] = attrs.field(factory=list)
    """The numbers of the signals that have come, in order."""
    notice: Callable[[], object] = attrs.field(default=lambda: None)
    """Called in the signal handler whenever another signal has come."""


@contextlib.contextmanager
def held_signals() -> Iterator[HeldSignals]:
    """While inside, hold back SIGINT, SIGTERM and SIGHUP, however often they come.

    As exceptions, they could interrupt any two steps, for example between creating a folder and recording its name.
    Outside of the main thread this does nothing, because other threads get no signals.

    Raises:
      KeyboardInterrupt: on leaving, if SIGINT came and the body raised nothing.
      EndedBySignal: on leaving, if only other signals came and the body raised nothing.
    """
    held = HeldSignals()

    def handle(number: int, _: FrameType | None) -> None:
        held.caught.append(number)
        held.notice()

    with _handled((signal.SIGINT, *_TERMINATING), handle):
        yield held
    if signal.SIGINT in held.caught:
        raise KeyboardInterrupt
    if held.caught:
        raise EndedBySignal(128 + held.caught[0])


@contextlib.contextmanager
def raised_signals() -> Iterator[None]:
    """While inside, let SIGTERM and SIGHUP raise `EndedBySignal`, so that ``finally`` clauses can clean up."""

    def handle(number: int, _: FrameType | None) -> None:
        raise EndedBySignal(128 + number)

    with _handled(_TERMINATING, handle):
        yield


@contextlib.contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python allows signal handlers only there
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:  # respect nohup
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
