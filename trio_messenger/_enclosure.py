"""Enclosures: what somebody else's code does to the cancel scopes of a task of ours stays inside.

Code that enters a cancel scope and does not leave it, as an async generator does that holds a timeout and is not run
to its end, leaves it on the task. If the task then does something else, the scope cancels that, or shields it from
being cancelled. So a task that runs the code of others, one function after another, has a scope of its own around it.
Trio closes whatever is still open inside when that scope is left.

Two names that are private to Trio are used here. `Task._cancel_status` shows whether a scope is open inside without
entering one for each function; where it is missing, each enclosure is left and made anew each time. A task that ends
with an open nursery fails, and with it everything around it, so such nurseries are taken off `Task._child_nurseries`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import final

import trio

from ._stats import Stats, worth_a_line

_log = logging.getLogger("trio_messenger")


@final
class Enclosure:
    """A cancel scope around the code of others in the current task: a context manager, or more than one in a row.

    Args:
      stats: Counts what is left open.
      whose: Says whose code it was, for the log.
    """

    def __init__(self, stats: Stats, whose: Callable[[], str]) -> None:
        self._stats = stats
        self._whose = whose

    def __enter__(self) -> Enclosure:
        self._task = trio.lowlevel.current_task()
        self._scope = trio.CancelScope()
        self._scope.__enter__()
        self._status = getattr(self._task, "_cancel_status", None)
        self._nurseries = len(self._task.child_nurseries)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_intact():
            self._scope.cancel()  # tasks of a nursery that was left open end with a Cancelled that has a reason
        try:
            self._scope.__exit__(None, None, None)
        except RuntimeError:  # something is open inside; Trio has closed it, and says so
            del getattr(self._task, "_child_nurseries", [])[self._nurseries :]  # their tasks are cancelled
            self._stats.scopes_left_open += 1
            if worth_a_line(self._stats.scopes_left_open):
                _log.warning(
                    "%s left a cancel scope or a nursery open, which is closed now (%d so far); enter it by 'with', and"
                    " do not yield inside it in a generator",
                    self._whose(),
                    self._stats.scopes_left_open,
                )

    def is_intact(self) -> bool:
        """Tell whether no cancel scope is open inside."""
        try:
            return self._task._cancel_status is self._status
        except AttributeError:
            return False  # it is not known

    def mend(self) -> None:
        """Close what is open inside, if anything is. Call it before the next checkpoint after the code of others."""
        if not self.is_intact():
            self.__exit__()
            self.__enter__()
