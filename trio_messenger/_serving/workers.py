"""Workers: tasks that run one handler after another.

To spawn a task costs about twice what it costs to wake one that waits, and a node that serves async handlers does it
for each request. So a task whose handler has ended waits for the next one, in a nursery that outlives them both. A
handler cannot tell: it begins with a fresh context; a task that it was cancelled in is not used again; and neither is
one in which a handler left a cancel scope open, which would cancel the next one, or shield it.
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
"""Tasks that wait for work, about 6 kB each; more than that end when their handler does."""


@final
@attrs.frozen
class Job:
    """Something that is done again and again, with other arguments each time."""

    run: Callable[..., Awaitable[object]]
    """Does it. An exception that it raises leaves the task."""
    interrupted: Callable[..., BaseException | None]
    """Called with the arguments and what else `run` raised, such as a cancellation, when all scopes that it entered are
    closed; returns what is to leave the task, None for nothing."""
    describe: Callable[..., str]
    """Says, given the arguments, whose code runs; for the log."""


_Work: TypeAlias = tuple[Job, tuple[Any, ...]]


@attrs.define(eq=False)
class _Worker:
    task: trio.lowlevel.Task
    work: _Work | None  # what it does or is to do next; None: nothing, and once it is awake, there will be no more

    def describe(self) -> str:
        assert self.work is not None  # only jobs leave something open
        job, args = self.work
        return job.describe(*args)


@final
class Workers:
    """Runs jobs in tasks of *nursery*, until `close`.

    Args:
      nursery: Where the tasks are.
      stats: Counts the cancel scopes that jobs leave open.
      failed: Called when an exception that is no cancellation is about to leave a task, and so to end *nursery*.
    """

    def __init__(self, nursery: trio.Nursery, stats: Stats, failed: Callable[[], object]) -> None:
        self.cancelled = 0
        """Jobs that ended because the nursery, or what it is in, was cancelled, or that ended it."""
        self._nursery = nursery
        self._stats = stats
        self._failed = failed
        self._context = contextvars.copy_context()
        self._idle: list[_Worker] = []
        self._closed = False

    def start_soon(self, job: Job, *args: Any) -> None:
        """Run *job* with *args* in a task that does nothing else meanwhile."""
        if not self._idle:
            self._context.copy().run(self._nursery.start_soon, self._work, (job, args))
            return
        worker = self._idle.pop()
        worker.work = (job, args)
        worker.task.context = self._context.copy()
        trio.lowlevel.reschedule(worker.task)

    def close(self) -> None:
        """Let every task end as soon as it has nothing to do. What runs goes on; what is started still runs."""
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
                    del job, args  # a worker that waits must not keep the last request
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
                del rest  # or it would be in a cycle with this frame, by its traceback
