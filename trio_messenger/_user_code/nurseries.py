"""Nurseries that user code leaves open: their tasks are cancelled and waited for, and any task may leave them later.

The usual case is an async generator that yields inside a nursery and does not run to its end. If the program drops it,
Trio closes it in a system task; if the program kept it, any task may. Trio itself expects that the task which opened a
nursery also leaves it, and otherwise wakes that task, which has ended or does something else by now. The whole program
would fail. So this module lets the task that leaves the nursery be its parent from then on.

This uses private names of Trio; `TELLS` says whether this version has them.
"""

from __future__ import annotations

import logging
import weakref
from typing import Any, Final, final

import trio

from .failures import is_cancellation

_log = logging.getLogger("trio_messenger")

TELLS: Final = (
    hasattr(trio.lowlevel.Task, "_cancel_status")
    and hasattr(trio.Nursery, "_nested_child_finished")
    and hasattr(trio.Nursery, "_child_finished")
)
"""True if this version of Trio shows which scopes and nurseries are open in a task."""


def leave_behind(nursery: Any, whose: str) -> None:
    """Cancel *nursery* and take it from the current task, which opened it; nothing inside it may be open there.

    The nursery around the current task waits for its tasks.

    Args:
      nursery: A nursery of the current task.
      whose: Describes the code that left it open, for the log.
    """
    task: Any = trio.lowlevel.current_task()
    status = nursery._cancel_status
    task._child_nurseries.remove(nursery)
    task._activate_cancel_status(status.parent)
    status.parent = None
    nursery.cancel_scope.cancel()
    left = _LeftNursery(nursery, whose)
    if nursery.child_tasks:
        task.parent_nursery.start_soon(left.wait)


@final
class _LeftNursery:
    """Replaces two methods of *nursery*. It refers to the nursery weakly, since the nursery now refers to it."""

    def __init__(self, nursery: Any, whose: str) -> None:
        self._nursery = weakref.ref(nursery)
        self._whose = whose
        self._tasks_ended = trio.Event()
        # To new tasks. A task that is being started arrives later, and is cancelled.
        nursery._closed = not nursery._pending_starts
        nursery._nested_child_finished = self._leave
        nursery._child_finished = self._child_finished

    async def wait(self) -> None:
        """Wait for the tasks of the nursery, which are cancelled."""
        with trio.CancelScope(shield=True):
            await self._tasks_ended.wait()

    async def _leave(self, error: BaseException | None) -> BaseException | None:
        """Wait for the end of the nursery, in whatever task leaves it."""
        nursery: Any = self._nursery()
        task: Any = trio.lowlevel.current_task()
        nursery._cancel_status.parent = task._cancel_status
        task._activate_cancel_status(nursery._cancel_status)
        task._child_nurseries.append(nursery)
        nursery._parent_task = task
        nursery._closed = False  # until its tasks have ended
        result: BaseException | None = await type(nursery)._nested_child_finished(nursery, error)
        return result

    def _child_finished(self, task: trio.lowlevel.Task, outcome: Any) -> None:
        """Log the failure of *task*, unless some task leaves the nursery already and so receives it."""
        nursery: Any = self._nursery()
        type(nursery)._child_finished(nursery, task, outcome)
        if nursery._nested_child_running:
            failures, nursery._pending_excs = nursery._pending_excs, []
            for failure in failures:
                if not is_cancellation(failure):
                    _log.error("a task of a nursery that %s left open failed", self._whose, exc_info=failure)
            failures.clear()  # a traceback must not outlive this call, because its frames refer to the nursery
        if not nursery.child_tasks:
            self._tasks_ended.set()
