"""Periodic work: call a function at regular times while the node lives."""

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
"""The shortest period in seconds, about the time of one call. A much shorter one would get lost in the rounding of the
clock."""


async def every(
    seconds: float,
    call: Callable[[], Awaitable[object] | object],
    function: object,
    jitter: float,
    random: Random,
    stats: Stats,
) -> NoReturn:
    """Call *call* at start + *seconds*, start + 2 * *seconds*, ..., each up to *jitter* seconds later.

    The log names it *function*. The times do not drift: they count from the start, regardless of the duration of calls.
    Calls do not overlap: times that pass during a call are skipped, and not made up for.
    """
    start = trio.current_time()
    turn = 1
    with Enclosure(stats, lambda: f"the periodic function {function!r}") as enclosure:
        while True:
            await trio.sleep_until(start + turn * seconds + random.uniform(0, jitter))
            result = call()
            if inspect.isawaitable(result):
                await result
            enclosure.mend()  # an open scope would cancel the next call, or keep the node from ending
            turn = max(turn, math.floor((trio.current_time() - start) / seconds)) + 1


def check_period(seconds: float, jitter: float) -> None:
    """Raise ValueError, with a text that says what to give, if *seconds* or *jitter* is out of range."""
    if not SHORTEST_PERIOD <= seconds < math.inf:
        raise ValueError(f"the period is {seconds} s; give a finite number of {SHORTEST_PERIOD} s or more")
    if not 0 <= jitter < seconds:
        raise ValueError(f"the jitter is {jitter} s; give 0 or more, and less than the period of {seconds} s")
