"""Periodic work: something done every so many seconds, for as long as the node lives."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, NoReturn

import trio

from .._protocol.stats import Stats
from .._user_code.enclosure import Enclosure

SHORTEST_PERIOD: Final = 1e-6
"""Seconds; about as long as a call takes. A much shorter period disappears in the rounding of the clock."""


async def every(
    seconds: float, function: Callable[[], Awaitable[object] | object], jitter: float, random: Random, stats: Stats
) -> NoReturn:
    """Call *function* at start + *seconds*, start + 2 * *seconds*, ..., each up to *jitter* seconds later.

    Drift-free: times are counted from the start, whatever a call takes. Never overlapping: while a call runs no
    other begins, and times that pass meanwhile are skipped, not made up for.
    """
    start = trio.current_time()
    turn = 1
    with Enclosure(stats, lambda: f"the periodic function {function!r}") as enclosure:
        while True:
            await trio.sleep_until(start + turn * seconds + random.uniform(0, jitter))
            result = function()
            if inspect.isawaitable(result):
                await result
            enclosure.mend()  # or what it left open would cancel the next call, or keep the node from its end
            turn = max(turn, math.floor((trio.current_time() - start) / seconds)) + 1


def check_period(seconds: float, jitter: float) -> None:
    """Raise ValueError, with a text that says what to give, unless *seconds* and *jitter* make sense."""
    if not SHORTEST_PERIOD <= seconds < math.inf:
        raise ValueError(f"the period is {seconds} s; give a finite number of {SHORTEST_PERIOD} s or more")
    if not 0 <= jitter < seconds:
        raise ValueError(f"the jitter is {jitter} s; give 0 or more, and less than the period of {seconds} s")
