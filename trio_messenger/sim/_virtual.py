"""Virtual time and a seeded scheduler: the one place that reaches behind Trio's public API.

Trio shuffles the tasks that are ready to run, so that nobody relies on their order. For Hypothesis it keeps a switch
that sorts them first, and a generator of its own that may be seeded. With both, and a clock that jumps, a run depends
on nothing but its seed. The names are Trio's private ones; where they are missing, this says so instead of running on,
no longer reproducible.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any, TypeVar, TypeVarTuple

import trio
import trio.testing

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_GENERATOR = "_r"


def run_virtual(async_fn: Callable[[*_Ts], Awaitable[_T]], *args: *_Ts, seed: int) -> _T:
    """Run ``async_fn(*args)`` in virtual time, its tasks in an order that *seed* decides.

    The clock begins at 0 and jumps to the next deadline whenever every task waits.

    Raises:
      RuntimeError: if Trio runs already in this thread, or is one whose scheduler cannot be seeded.
      KeyboardInterrupt: if Ctrl-C came; in no group, of which pytest, for one, would think that a test has failed.
    """
    _refuse_to_nest()
    with _seeded_scheduler(seed):
        try:
            return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            if group.subgroup(KeyboardInterrupt) is None:
                raise
            raise KeyboardInterrupt from group


def _refuse_to_nest() -> None:
    try:
        trio.lowlevel.current_trio_token()
    except RuntimeError:
        return
    raise RuntimeError("a simulation runs Trio itself: call it from a plain function, not from an async one")


@contextlib.contextmanager
def _seeded_scheduler(seed: int) -> Iterator[None]:
    module = _scheduler_module()
    generator: Random = getattr(module, _GENERATOR)
    switch, state = getattr(module, _SWITCH), generator.getstate()
    setattr(module, _SWITCH, True)
    generator.seed(seed)
    try:
        yield
    finally:
        setattr(module, _SWITCH, switch)
        generator.setstate(state)


def _scheduler_module() -> Any:
    module = getattr(getattr(trio, "_core", None), "_run", None)
    if not isinstance(getattr(module, _SWITCH, None), bool) or not isinstance(
        getattr(module, _GENERATOR, None), Random
    ):
        raise RuntimeError(
            f"trio {trio.__version__} keeps no {_SWITCH} and {_GENERATOR} in trio._core._run, by which a simulation"
            " seeds its scheduler; use a release of Trio that does"
        )
    return module
