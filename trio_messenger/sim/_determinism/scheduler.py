"""Virtual time and a seeded scheduler: the one place that reaches behind Trio's public API.

Trio shuffles the tasks that are ready to run, so that nobody relies on their order. For Hypothesis it keeps a switch
that sorts them first, and a generator of random numbers that can be seeded. With both, and a clock that jumps, a run
depends on nothing but its seed. The names are Trio's private ones; where they are missing, this says so instead of
running on, no longer reproducible.

Switch and generator belong to the whole process, and other threads may run Trio, too. So the generator is replaced by
one that gives the thread of the simulation the seeded numbers, and all others what they would have had. (The switch
does them no harm: it only makes them sort.) Two simulations at once are refused: they would also share ``sys.stdout``
and the handlers of `logging`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from os import getpid  # what touches descriptors stays out of here
from pathlib import PurePath
from random import Random
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple, final

import trio
import trio.testing

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_GENERATOR = "_r"

_running: tuple[int, threading.Thread] | None = None  # the process and the thread of the simulation under way
_entering: Final = threading.Lock()


def run_virtual(
    async_fn: Callable[[*_Ts], Awaitable[_T]],
    *args: *_Ts,
    seed: int,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> _T:
    """Run ``async_fn(*args)`` in virtual time, its tasks in an order that *seed* decides.

    The clock begins at 0 and jumps to the next deadline whenever every task waits. Other threads may run Trio
    meanwhile, but no other simulation.

    Args:
      async_fn: What to run.
      args: Its arguments.
      seed: Of the order of tasks.
      instruments: Look on.

    Raises:
      RuntimeError: if Trio runs already in this thread, if another simulation is under way in this process, or if Trio
        is one whose scheduler cannot be seeded.
      KeyboardInterrupt: if Ctrl-C came; in no group, of which pytest, for one, would think that a test has failed.
    """
    _refuse_to_nest()
    with _alone(), _seeded_scheduler(seed):
        try:
            clock = trio.testing.MockClock(autojump_threshold=0)
            return trio.run(async_fn, *args, clock=clock, instruments=instruments)
        except BaseExceptionGroup as group:
            interrupts = group.subgroup(KeyboardInterrupt)
            if interrupts is None:
                raise
            interrupt = KeyboardInterrupt()
            for note in _notes(interrupts):
                interrupt.add_note(note)
            raise interrupt from group


def _notes(exc: BaseException) -> Iterator[str]:
    """Yield what was noted on *exc*, and, if it is a group, on those in it."""
    yield from getattr(exc, "__notes__", [])
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _notes(each)


def _refuse_to_nest() -> None:
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "a simulation runs Trio itself: call it from a plain function, not from an async one, or in a thread, as in"
            " await trio.to_thread.run_sync(...)"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Be the only simulation of this process; a process that was forked meanwhile is another one."""
    global _running  # noqa: PLW0603 - it is of the process, as Trio's generator is
    with _entering:
        if _running is not None and _running[0] == getpid():
            raise RuntimeError(
                f"another simulation is under way in this process, in thread {_running[1].name!r}, and two at once"
                " cannot be reproduced: make one after the other, or each in a process of its own, as --seeds and"
                " multiprocessing do"
            )
        before, _running = _running, (getpid(), threading.current_thread())
    try:
        yield
    finally:
        _running = before


@contextlib.contextmanager
def _seeded_scheduler(seed: int) -> Iterator[None]:
    module = _scheduler_module()
    generator: Random = getattr(module, _GENERATOR)
    switch = getattr(module, _SWITCH)
    try:
        setattr(module, _GENERATOR, _OneThreads(Random(seed), generator))
        setattr(module, _SWITCH, True)
        yield
    finally:
        setattr(module, _SWITCH, switch)
        setattr(module, _GENERATOR, generator)


@final
class _OneThreads(Random):
    """Draws from *seeded* in the thread that has made it, and from *others* in all others."""

    def __init__(self, seeded: Random, others: Random) -> None:
        super().__init__(0)
        self._seeded = seeded
        self._others = others
        self._thread = threading.get_ident()

    def _drawn_from(self) -> Random:
        return self._seeded if threading.get_ident() == self._thread else self._others

    def random(self) -> float:
        return self._drawn_from().random()

    def getrandbits(self, k: int, /) -> int:
        return self._drawn_from().getrandbits(k)


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


# Tasks, seen from outside


def end_by_force(task: trio.lowlevel.Task) -> None:
    """Let *task* take no further turn, whatever it catches: as SIGKILL ends a process.

    It counts as ended when its next turn comes.
    """
    task.context = _Ended(task)  # type: ignore[assignment]


_never_closed: Final[list[object]] = []
"""Coroutines that went on when they were closed, too. Python would complain of each that it has to throw away."""


@final
class _Ended:
    """Stands in for the context of a task, in which Trio lets it take its next turn."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self._coroutine = task.coro
        self._context = task.context

    def run(self, *_: object) -> NoReturn:
        """Tell Trio that the coroutine has returned."""
        awaited = list(_awaited(self._coroutine))
        with contextlib.suppress(BaseException):  # whatever comes out of it, nobody is left to care
            self._context.run(self._coroutine.close)
        _never_closed.extend(each for each in awaited if _is_open(each))
        raise StopIteration

    def get(self, *_: object) -> None:
        """Return None: the task belongs to nobody any more."""


def _awaited(coroutine: Any) -> Iterator[Any]:
    """Yield *coroutine*, what it awaits, what that awaits, and so on."""
    while coroutine is not None:
        yield coroutine
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _is_open(coroutine: Any) -> bool:
    return (getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)) is not None


def unshield(task: trio.lowlevel.Task) -> None:
    """Let every cancellation around *task* reach it, also through shields."""
    status: Any = task._cancel_status
    while status is not None:
        status._scope.shield = False
        status = status._parent


_LIBRARIES: Final = frozenset({"trio", "trio_messenger", "outcome", "sniffio", *sys.stdlib_module_names})
_NODES: Final = "trio_messenger.nodes"
_LOOP: Final = "trio._core._run"


def place_of(task: trio.lowlevel.Task) -> str:
    """Return which function *task* is in, and where: the innermost one that is of no library, if there is one."""
    return _place([(frame, line) for frame, line in task.iter_await_frames()][::-1]) or task.name


def place_of_error(exc: BaseException) -> str:
    """Return the same of where *exc* was raised."""
    return _place([*traceback.walk_tb(exc.__traceback__)][::-1])


def place_in_thread(thread: int) -> str:
    """Return the same of the task that runs in *thread*; nothing if none does.

    Args:
      thread: Its number, as `threading.get_ident` has it.
    """
    frames: list[tuple[FrameType, int]] = []
    for frame, line in traceback.walk_stack(sys._current_frames().get(thread)):
        if frame.f_globals.get("__name__") == _LOOP:
            return "" if all(map(_is_trios, frames)) else _place(frames)
        frames.append((frame, line))
    return ""


def _place(frames: Sequence[tuple[FrameType, int]]) -> str:
    """Return the first of *frames*, the innermost first, that is of no library, or else the first."""
    for frame, line in [each for each in frames if _is_theirs(each[0])] or frames[:1]:
        return f"{frame.f_code.co_name} ({PurePath(frame.f_code.co_filename).name}:{line})"
    return ""


def _is_trios(place: tuple[FrameType, int]) -> bool:
    module: str = place[0].f_globals.get("__name__", "")
    return module.partition(".")[0] == "trio"


def _is_theirs(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.startswith(_NODES) or module.partition(".")[0] not in _LIBRARIES
