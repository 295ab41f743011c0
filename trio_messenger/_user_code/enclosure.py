"""An enclosure closes the cancel scopes and nurseries that user code leaves open in a task of the node.

Code may enter a cancel scope and not leave it: for example, an async generator that holds a timeout and does not run to
its end. The scope then stays on the task. If the task does something else later, the scope cancels it, or shields it
from cancellation. So a task that runs one user function after another checks after each whether something is open, and
closes it.

This uses private names of Trio, which show the open scopes and nurseries. If a version of Trio lacks them, each
enclosure enters a cancel scope; leaving that scope closes everything inside it. This is slower, and a task then serves
only one handler. Nurseries are closed in `_user_code.nurseries`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, final

import trio

from .._protocol.stats import Stats, worth_a_line
from .nurseries import TELLS, leave_behind

_log = logging.getLogger("trio_messenger")

ENTER_WITH: Final = "enter it using 'with', and do not yield inside it in a generator"
"""The remedy."""


@final
class Enclosure:
    """A context manager for user code in the current task.

    Args:
      stats: Counts scopes that user code leaves open, and the log then has a warning; None to look at `was_open`.
      whose: Returns a description of the code, for the log.
    """

    def __init__(self, stats: Stats | None, whose: Callable[[], str]) -> None:
        self.was_open = False
        """True if something was open at an end."""
        self._stats = stats
        self._whose = whose

    def __enter__(self) -> Enclosure:
        self._task = trio.lowlevel.current_task()
        self._scope = None if TELLS else trio.CancelScope()
        if self._scope is not None:
            self._scope.__enter__()
        self._status = getattr(self._task, "_cancel_status", None)
        self._nurseries = len(self._task.child_nurseries)
        return self

    def __exit__(self, *_: object) -> None:
        was_open = self._close_open() if self._scope is None else not _leave(self._scope)
        if was_open:
            del getattr(self._task, "_child_nurseries", [])[self._nurseries :]  # their tasks are cancelled
            self.was_open = True
            if self._stats is not None:
                self._tell(self._stats)

    def _tell(self, stats: Stats) -> None:
        stats.scopes_left_open += 1
        if worth_a_line(stats.scopes_left_open):
            _log.warning(
                "%s left a cancel scope or a nursery open, and the node closed it (%d so far); %s",
                self._whose(),
                stats.scopes_left_open,
                ENTER_WITH,
            )

    def is_intact(self) -> bool:
        """Return True if no cancel scope is open inside, and False if one is open or this Trio does not show it."""
        return TELLS and self._task._cancel_status is self._status

    def mend(self) -> None:
        """Close everything that is open inside. Call this after user code, before the next checkpoint."""
        if not self.is_intact():
            self.__exit__()
            self.__enter__()

    def _close_open(self) -> bool:
        """Close everything that is open inside, the innermost first. Return True if something was open."""
        if self.is_intact():
            return False
        nurseries = {nursery.cancel_scope: nursery for nursery in self._task.child_nurseries[self._nurseries :]}
        status: Any = self._task._cancel_status
        while status is not None and status is not self._status:
            scope, status = status._scope, status.parent
            if scope in nurseries:
                leave_behind(nurseries[scope], self._whose())
            else:
                _leave(scope)
        return True


def _leave(scope: trio.CancelScope) -> bool:
    """Cancel and leave *scope*. Return True if nothing was open inside it."""
    scope.cancel()
    try:
        scope.__exit__(None, None, None)
    except RuntimeError:  # something was open, and Trio has closed it
        return False
    return True
