"""Workers are tasks that run one handler after another.

Starting a task costs about twice as much as waking a waiting one, and async handlers need a task for each request. So
when a handler has ended, its task waits for the next handler, in a nursery that lives longer than both. A handler does
not notice: it begins with a new context. A task is not used again if it was cancelled, or if a handler left a cancel
scope open in it: this scope would cancel or shield the next handler.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, final

import attrs
import trio

from .._protocol.stats import Stats
from .._user_code.enclosure import Enclosure
from .._user_code.failures import OnFailure

MAX_IDLE: Final = 1000
"""The largest number of waiting tasks, about 6 kB each. Beyond it, a task ends with its handler."""


@final
@attrs.frozen
class Job:
    """Repeated work, with different arguments each time."""

    run: Callable[..., Awaitable[object]]
    """Does the work. An exception that it raises leaves the task."""
    interrupted: Callable[..., BaseException | None]
    """Called if `run` raised something other than an `Exception`, such as a cancellation, with the arguments and what
    was raised, when all scopes that `run` entered are closed. Returns the exception that leaves the task, or None."""
    describe: Callable[..., str]
    """Returns a description of the code that runs, given the arguments; for the log."""


_Work: TypeAlias = tuple[Job, tuple[Any, ...]]


@attrs.define(eq=False)
class _Worker:
    task: trio.lowlevel.Task
    work: _Work | None  # the current or next job; None while it waits, and if it wakes with None, it ends

    def describe(self) -> str:
        assert self.work is not None  # only jobs leave scopes open
        job, args = self.work
        return job.describe(*args)


@final
class Workers:
    """Runs jobs in tasks of *nursery*, until `close`.

    Args:
      nursery: The nursery of the tasks.
      stats: Counts the cancel scopes that jobs leave open.
      failed: Called when an exception other than a cancellation is about to leave a task, and so to end *nursery*.
    """

    def __init__(self, nursery: trio.Nursery, stats: Stats, failed: Callable[[], object]) -> None:
        self.cancelled = 0
        """The number of jobs that ended because their nursery or a scope around it was cancelled, or that ended it."""
        self._nursery = nursery
        self._stats = stats
        self._failed = failed
        self._context = contextvars.copy_context()
        self._idle: list[_Worker] = []
        self._closed = False

    def start_soon(self, job: Job, *args: Any) -> None:
        """Run *job* with *args* in a task that does nothing else at that time."""
        if not self._idle:
            self._context.copy().run(self._nursery.start_soon, self._work, (job, args))
            return
        worker = self._idle.pop()
        worker.work = (job, args)
        worker.task.context = self._context.copy()
        trio.lowlevel.reschedule(worker.task)

    def close(self) -> None:
        """Let every task end as soon as it has nothing to do. Jobs that run or were started already go on."""
        self._closed = True
        while self._idle:
            trio.lowlevel.reschedule(self._idle.pop().task)

    async def _work(self, work: _Work) -> None:
        worker = _Worker(trio.lowlevel.current_task(), work)
        del work

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._idle.remove(worker)
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            with Enclosure(self._stats, worker.describe) as enclosure:
                while worker.work is not None:
                    job, args = worker.work
                    await job.run(*args)
                    if self._closed or len(self._idle) >= MAX_IDLE or not enclosure.is_intact():
                        return
                    worker.work = None
                    del job, args  # a waiting worker must not keep the last request in memory
                    self._idle.append(worker)
                    await trio.lowlevel.wait_task_rescheduled(abort)
        except BaseException as exc:  # noqa: BLE001 - what is not a failure is raised again
            rest: BaseException | None = exc
            try:
                with OnFailure(self._failed):
                    if worker.work is not None and not isinstance(exc, Exception):
                        job, args = worker.work
                        rest = job.interrupted(*args, exc)
                        self.cancelled += rest is not None
                    if rest is exc:
                        raise
                    if rest is not None:
                        raise rest from None
            finally:
                del rest  # otherwise the exception and this frame would be in a cycle
