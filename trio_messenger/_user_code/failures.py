"""What to do with an exception that ends somebody else's code: which part is a failure, and which must go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType
from typing import final

import trio


def is_only(error: Exception, *kinds: type[Exception]) -> bool:
    """Tell whether *error* is of one of *kinds*, or a group of nothing else."""
    return error.split(kinds)[1] is None if isinstance(error, ExceptionGroup) else isinstance(error, kinds)


def split_failure(error: BaseException) -> tuple[Exception | None, BaseException | None]:
    """Split *error*, which left somebody's code, into what failed, to be handled, and what has to be raised again.

    KeyboardInterrupt and their like are never a failure, and neither is a cancellation from outside. But when a nursery
    is cancelled and one of its tasks fails on the way out, both come in one group. And a Cancelled that comes although
    nobody outside has cancelled the current task is a failure: it comes from a scope that the code has left open.

    Returns:
      What failed, or None; and what to raise, or None.
    """
    if isinstance(error, Exception):
        return error, None
    if isinstance(error, trio.Cancelled):
        cancelled: BaseException | None = error
        rest: BaseException | None = None
    elif isinstance(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
    else:
        return None, error
    is_stray = cancelled is not None and trio.current_effective_deadline() > -math.inf
    if isinstance(rest, Exception):
        return rest, None if is_stray else cancelled
    if not is_stray:
        return None, error
    if rest is not None:
        return None, rest
    failure = StrayCancellation()
    failure.__cause__ = error  # shows where it was cancelled
    return failure, None


def is_cancellation(error: BaseException) -> bool:
    """Tell whether *error* is a cancellation, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


@final
class OnFailure:
    """A context manager that calls *function* as soon as what is inside fails, be it cancelled or not."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and not is_cancellation(error):
            self._function()


def let_go(error: BaseException) -> None:
    """Take the traceback from *error*, with which everything that can be done was done.

    It holds the frames of all functions that the error has passed, and whatever they hold, such as a request. If one of
    them keeps the error in a variable, none of it would go before the garbage collector finds the cycle.
    """
    error.__traceback__ = None


@final
class StrayCancellation(RuntimeError):
    """Something was cancelled, and not by the node."""

    def __str__(self) -> str:
        return (
            "cancelled by a cancel scope that it left open itself; enter cancel scopes and nurseries by 'with', and do"
            " not yield inside them in a generator"
        )
