"""Enclosures: what somebody else's code does to the cancel scopes of a task of ours stays inside.

Code that enters a cancel scope and does not leave it, as an async generator does that holds a timeout and is not run
to its end, leaves it on the task. If the task then does something else, the scope cancels that, or shields it from
being cancelled. So a task that runs the code of others, one function after another, looks after each whether something
is open, and closes it.

This takes names that are private to Trio. `Task._cancel_status` and `CancelStatus._scope` show what is open. Where they
are missing, each enclosure enters a cancel scope of its own, which closes what is open inside when it is left; this
takes longer, and a task serves one handler only. A task that ends with an open nursery fails, and with it everything
around it, so such nurseries are taken off `Task._child_nurseries`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, final

import trio

from .._protocol.stats import Stats, worth_a_line

_log = logging.getLogger("trio_messenger")


_TELLS: Final = hasattr(trio.lowlevel.Task, "_cancel_status")
"""Whether this Trio tells what is open in a task."""


@final
class Enclosure:
    """A place for the code of others in the current task: a context manager.

    Args:
      stats: Counts what is left open.
      whose: Says whose code it was, for the log.
    """

    def __init__(self, stats: Stats, whose: Callable[[], str]) -> None:
        self._stats = stats
        self._whose = whose

    def __enter__(self) -> Enclosure:
        self._task = trio.lowlevel.current_task()
        self._scope = None if _TELLS else trio.CancelScope()
        if self._scope is not None:
            self._scope.__enter__()
        self._status = getattr(self._task, "_cancel_status", None)
        self._nurseries = len(self._task.child_nurseries)
        return self

    def __exit__(self, *_: object) -> None:
        was_open = self._close_open() if self._scope is None else not _leave(self._scope)
        if was_open:
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
        """Tell whether no cancel scope is open inside; where nobody can tell, say that one may be."""
        return _TELLS and self._task._cancel_status is self._status

    def mend(self) -> None:
        """Close what is open inside, if anything is. Call it before the next checkpoint after the code of others."""
        if not self.is_intact():
            self.__exit__()
            self.__enter__()

    def _close_open(self) -> bool:
        """Close what is open inside, the innermost first; tell whether anything was."""
        if self.is_intact():
            return False
        status: Any = self._task._cancel_status
        while status is not None and status is not self._status:
            scope, status = status._scope, status.parent
            _leave(scope)
        return True


def _leave(scope: trio.CancelScope) -> bool:
    """Leave *scope*, cancelling tasks that are still inside; tell whether nothing was open in it."""
    scope.cancel()
    try:
        scope.__exit__(None, None, None)
    except RuntimeError:  # Trio has closed what was open
        return False
    return True
