"""The watchdog: warns on stderr while something in a simulation blocks and never yields.

No limit in virtual time ends a handler such as ``while True: pass``, or one that waits for the real world, because
nothing else can run meanwhile. Only Ctrl-C ends it. So a thread checks in real time whether any task has taken a turn.
If not, it reports which node blocks, and where in its code. It changes nothing in the run.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from .._determinism.scheduler import place_in_thread
from .guard import StuckGuard, owner_in_words

WATCHDOG_PATIENCE: Final = 5.0
"""Seconds of real time without a turn before the first warning. The time doubles for each further warning."""

LOOKS_EVERY: Final = 1.0
"""Seconds of real time between two checks."""


@contextlib.contextmanager
def watching(
    guard: StuckGuard,
    seed: int,
    *,
    checking: Callable[[], str | None] = lambda: None,
    patience: float = WATCHDOG_PATIENCE,
) -> Iterator[None]:
    """While inside, warn on stderr when no task of the run in this thread has taken a turn for *patience* seconds.

    Args:
      guard: Counts the turns.
      seed: The seed of the run, which identifies the run in warnings.
      checking: Returns the name of the invariant that is being checked; None if none is. Any thread may call it.
      patience: See `WATCHDOG_PATIENCE`.
    """
    over = threading.Event()
    watchdog = threading.Thread(
        target=_watch,
        args=(guard, seed, partial(_in_words, guard, threading.get_ident(), checking), patience, over),
        name="trio-messenger-watchdog",
        daemon=True,
    )
    watchdog.start()
    try:
        yield
    finally:
        over.set()
        watchdog.join()


def _watch(guard: StuckGuard, seed: int, describe: Callable[[], str], patience: float, over: threading.Event) -> None:
    turns, since, next_at = guard.turns, time.monotonic(), patience
    while not over.wait(min(patience, LOOKS_EVERY)):
        elapsed = time.monotonic() - since
        if guard.turns != turns:
            turns, since, next_at = guard.turns, time.monotonic(), patience
        elif elapsed >= next_at:
            next_at *= 2
            sys.stderr.write(f"seed {seed}: for {elapsed:.0f} s {describe()}; Ctrl-C ends the run\n")
            sys.stderr.flush()


def _in_words(guard: StuckGuard, thread: int, checking: Callable[[], str | None]) -> str:
    place, invariant = place_in_thread(thread), checking()
    if place and guard.task is not None:
        who = owner_in_words(guard.task) if invariant is None else f"invariant {invariant}"
        return f"{who} has been in {place}, and nothing else can run"
    return "no task has run: they wait for something outside the simulation, such as a thread or a file"
