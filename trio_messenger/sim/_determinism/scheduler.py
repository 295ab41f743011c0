"""Virtual time and a seeded scheduler. In the simulator, only this module uses private names of Trio.

Trio shuffles the tasks that are ready to run, so that programs do not rely on their order. For Hypothesis it has a
switch that sorts the tasks first, and a random generator that can be seeded. With both, and a clock that jumps, a run
depends only on its seed. The switch and the generator have private names. If a release of Trio lacks them,
`run_virtual` raises an error, because its runs would not be reproducible.

Switch and generator belong to the whole process, and other threads may run Trio too. So this module replaces the
generator. Its replacement returns the seeded numbers in the thread of the simulation, and the original generator's
numbers in all other threads. The switch only makes other threads sort their tasks. A second simulation at the same
time raises an error, because two simulations would also share ``sys.stdout`` and the handlers of `logging`.

The clock is public in `trio.testing`. But that imports pytest wherever it is installed, which takes longer than many a
run, so it is the last resort.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import import_module
from os import getpid  # not all of os: this layer does not use descriptors
from pathlib import PurePath
from random import Random
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple, final

import trio

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_GENERATOR = "_r"
_CLOCK = "MockClock"

_running: tuple[int, threading.Thread] | None = None  # the process and thread of the running simulation
_entering: Final = threading.Lock()


def run_virtual(
    async_fn: Callable[[*_Ts], Awaitable[_T]],
    *args: *_Ts,
    seed: int,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> _T:
    """Run ``async_fn(*args)`` in virtual time, with an order of tasks that *seed* determines.

    The clock begins at 0 and jumps to the next deadline whenever every task waits. Other threads may run Trio at the
    same time, but not another simulation.

    Args:
      async_fn: The async function to run.
      args: Its arguments.
      seed: The seed for the order of tasks.
      instruments: Trio instruments for the run.

    Raises:
      RuntimeError: if Trio already runs in this thread, if another simulation runs in this process, or if the
        scheduler of this release of Trio cannot be seeded.
      KeyboardInterrupt: if the user pressed Ctrl-C. It is never inside a group, because pytest, for example, would
        report a group as a failed test.
    """
    _refuse_to_nest()
    with _alone(), _seeded_scheduler(seed):
        try:
            return trio.run(async_fn, *args, clock=_jumping_clock(), instruments=instruments)
        except BaseExceptionGroup as group:
            interrupts = group.subgroup(KeyboardInterrupt)
            if interrupts is None:
                raise
            interrupt = KeyboardInterrupt()
            for note in _notes(interrupts):
                interrupt.add_note(note)
            raise interrupt from group


def _notes(exc: BaseException) -> Iterator[str]:
    """Yield the notes of *exc* and, if it is a group, of the exceptions in it."""
    yield from getattr(exc, "__notes__", [])
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _notes(each)


def _refuse_to_nest() -> None:
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "a simulation starts its own Trio run: call it from a plain function instead of an async one, or in a"
            " thread, with await trio.to_thread.run_sync(...)"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """While inside, be the only simulation of this process. A forked process may run its own simulation."""
    global _running  # noqa: PLW0603 - it belongs to the process, like Trio's generator
    with _entering:
        if _running is not None and _running[0] == getpid():
            raise RuntimeError(
                f"another simulation is running in this process, in thread {_running[1].name!r}, and two at once"
                " are not reproducible: run one after the other, or each in its own process, as --seeds and"
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
    """Draws from *seeded* in the thread that created it, and from *others* in all other threads."""

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
            f"trio {trio.__version__} has no {_SWITCH} and {_GENERATOR} in trio._core._run; a simulation needs them to"
            " seed the scheduler: use a release of Trio that has them"
        )
    return module


def _jumping_clock() -> trio.abc.Clock:
    """Return a clock that jumps to the next deadline whenever every task waits."""
    made = getattr(getattr(trio, "_core", None), _CLOCK, None) or getattr(import_module("trio.testing"), _CLOCK)
    clock: trio.abc.Clock = made(autojump_threshold=0)
    return clock


# Inspecting and ending tasks from outside


def end_by_force(task: trio.lowlevel.Task) -> None:
    """End *task* before its next turn, whatever exceptions it catches, as SIGKILL ends a process.

    To Trio, the task has ended once its next turn comes.
    """
    task.context = _Ended(task)  # type: ignore[assignment]


_never_closed: Final[list[object]] = []
"""Coroutines that kept running when they were closed. A reference to each stays here, because Python would complain
when it collects one."""


@final
class _Ended:
    """Replaces the context of a task. Trio runs the next turn of the task in that context."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self._coroutine = task.coro
        self._context = task.context

    def run(self, *_: object) -> NoReturn:
        """Close the coroutine and tell Trio that it has returned."""
        awaited = list(_awaited(self._coroutine))
        with contextlib.suppress(BaseException):  # nothing is left that could handle an exception of it
            self._context.run(self._coroutine.close)
        _never_closed.extend(each for each in awaited if _is_open(each))
        raise StopIteration

    def get(self, *_: object) -> None:
        """Return None, because the task no longer belongs to a node."""


def _awaited(coroutine: Any) -> Iterator[Any]:
    """Yield *coroutine*, the object that it awaits, the object that this one awaits, and so on."""
    while coroutine is not None:
        yield coroutine
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _is_open(coroutine: Any) -> bool:
    return (getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)) is not None


def unshield(task: trio.lowlevel.Task) -> None:
    """Remove the shields around *task*, so that every surrounding cancellation reaches it."""
    status: Any = task._cancel_status
    while status is not None:
        status._scope.shield = False
        status = status._parent


_LIBRARIES: Final = frozenset({"trio", "trio_messenger", "outcome", "sniffio", *sys.stdlib_module_names})
_READY_MADE_NODES: Final = "trio_messenger.nodes"
_EVENT_LOOP: Final = "trio._core._run"


def place_of(task: trio.lowlevel.Task) -> str:
    """Return the function that *task* is in, with file and line: the innermost one of user code if there is any."""
    return _place([(frame, line) for frame, line in task.iter_await_frames()][::-1]) or task.name


def place_of_error(exc: BaseException) -> str:
    """Return the function that raised *exc*, chosen and described as in `place_of`."""
    return _place([*traceback.walk_tb(exc.__traceback__)][::-1])


def place_in_thread(thread: int) -> str:
    """Return the function of the task that runs in *thread*, as `place_of` does; an empty string if no task runs.

    Args:
      thread: The number of the thread, as returned by `threading.get_ident`.
    """
    frames: list[tuple[FrameType, int]] = []
    for frame, line in traceback.walk_stack(sys._current_frames().get(thread)):
        if frame.f_globals.get("__name__") == _EVENT_LOOP:
            return "" if all(map(_is_trios, frames)) else _place(frames)
        frames.append((frame, line))
    return ""


def _place(frames: Sequence[tuple[FrameType, int]]) -> str:
    """Return the first of *frames*, which are innermost first, that is user code; if there is none, the first."""
    for frame, line in [each for each in frames if _is_theirs(each[0])] or frames[:1]:
        return f"{frame.f_code.co_name} ({PurePath(frame.f_code.co_filename).name}:{line})"
    return ""


def _is_trios(place: tuple[FrameType, int]) -> bool:
    module: str = place[0].f_globals.get("__name__", "")
    return module.partition(".")[0] == "trio"


def _is_theirs(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.startswith(_READY_MADE_NODES) or module.partition(".")[0] not in _LIBRARIES
