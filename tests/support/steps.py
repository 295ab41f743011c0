"""Tasks step by step: calls that are cancelled at each of their checkpoints, and how often a task runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import trio


async def cancel_at_each_checkpoint(call: Callable[[], Awaitable[object]]) -> AsyncIterator[bool]:
    """Make *call* again and again, cancelled at its first checkpoint, at its second, and so on until it gets through.

    Yields after each one: True if it was cancelled, and at last False.
    """
    cancelled = True
    allowed = 0
    while cancelled:
        with trio.CancelScope() as scope:
            if allowed == 0:
                scope.cancel()
            canceller = _CancelAfterSteps(trio.lowlevel.current_task(), allowed, scope)
            trio.lowlevel.add_instrument(canceller)
            try:
                await call()
            finally:
                trio.lowlevel.remove_instrument(canceller)
        cancelled = scope.cancelled_caught
        allowed += 1
        yield cancelled


class _CancelAfterSteps(trio.abc.Instrument):
    def __init__(self, task: trio.lowlevel.Task, steps: int, scope: trio.CancelScope) -> None:
        self._task = task
        self._steps = steps
        self._scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps -= 1
            if self._steps == 0:
                self._scope.cancel()


class StepCounter(trio.abc.Instrument):
    """Counts how often a task runs that has this in its name."""

    def __init__(self, name: str) -> None:
        self.steps = 0
        self._name = name

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a step of such a task."""
        self.steps += self._name in task.name
