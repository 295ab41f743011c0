"""Workers: tasks that run one handler after another.

To spawn a task costs about twice what it costs to wake one that waits, and a node that serves async handlers does it
for each request. So a task whose handler has ended waits for the next one, in a nursery that outlives them both. A
handler cannot tell: it begins with a fresh context, and a task that it was cancelled in is not used again.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, final

import attrs
import trio

MAX_IDLE: Final = 1000
"""Tasks that wait for work, about 5 kB each; more than that end when their handler does."""

_Job: TypeAlias = tuple[Callable[..., Awaitable[object]], tuple[Any, ...]]


@attrs.define(eq=False)
class _Worker:
    task: trio.lowlevel.Task
    job: _Job | None  # None: there will be no more


@final
class Workers:
    """Runs async functions in tasks of *nursery*, as its ``start_soon`` would, until `close`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._context = contextvars.copy_context()
        self._idle: list[_Worker] = []
        self._closed = False

    def start_soon(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Run ``async_fn(*args)`` in a task that does nothing else meanwhile."""
        if not self._idle:
            self._context.copy().run(self._nursery.start_soon, self._work, (async_fn, args))
            return
        worker = self._idle.pop()
        worker.job = (async_fn, args)
        worker.task.context = self._context.copy()
        trio.lowlevel.reschedule(worker.task)

    def close(self) -> None:
        """Let every task end as soon as it has nothing to do. What runs goes on; what is started still runs."""
        self._closed = True
        while self._idle:
            worker = self._idle.pop()
            worker.job = None
            trio.lowlevel.reschedule(worker.task)

    async def _work(self, job: _Job | None) -> None:
        worker = _Worker(trio.lowlevel.current_task(), job)
        del job

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._idle.remove(worker)
            return trio.lowlevel.Abort.SUCCEEDED

        while worker.job is not None:
            async_fn, args = worker.job
            worker.job = None
            await async_fn(*args)
            del async_fn, args  # a worker that waits must not keep the last request
            if self._closed or len(self._idle) >= MAX_IDLE:
                return
            self._idle.append(worker)
            await trio.lowlevel.wait_task_rescheduled(abort)
