"""Handle exceptions that leave user code: which part is a failure, and which part must be raised again."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType
from typing import final

import trio


def is_only(error: Exception, *kinds: type[Exception]) -> bool:
    """Tell whether *error* is of one of *kinds*, or a group that contains only these."""
    return error.split(kinds)[1] is None if isinstance(error, ExceptionGroup) else isinstance(error, kinds)


def split_failure(error: BaseException, *, is_plain: bool = False) -> tuple[Exception | None, BaseException | None]:
    """Split *error*, which left user code, into a failure to handle and an exception to raise again.

    KeyboardInterrupt and similar exceptions are never failures, and neither is a cancellation from outside. If a
    nursery is cancelled and one of its tasks fails while it ends, both come in one group. If nothing outside has
    cancelled the current task, a Cancelled is a failure: it comes from a scope that the code left open, or from another
    task. So is a GeneratorExit in a group: a nursery raises that if its block yields and the generator is closed there.

    Args:
      error: What left the code.
      is_plain: True if the code has no checkpoint, so that nothing outside can have cancelled it.

    Returns:
      The failure, or None; and the exception to raise, or None.
    """
    if isinstance(error, Exception):
        return error, None
    cancelled, rest = _parts(error)
    is_stray = cancelled is not None and (is_plain or trio.current_effective_deadline() > -math.inf)
    if isinstance(rest, Exception):
        return rest, None if is_stray else cancelled
    if rest is not None:
        return None, rest if is_stray else error
    if cancelled is not None and not is_stray:
        return None, cancelled
    failure = StrayCancellation(_first_kind(error))
    failure.__cause__ = error  # shows where it was cancelled
    return failure, None


def _parts(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return the cancellations in *error*, and the rest without a GeneratorExit that is in a group."""
    if isinstance(error, trio.Cancelled):
        return error, None
    if not isinstance(error, BaseExceptionGroup):
        return None, error
    cancelled, rest = error.split(trio.Cancelled)
    return cancelled, rest and rest.split(GeneratorExit)[1]


def _first_kind(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def is_cancellation(error: BaseException) -> bool:
    """Tell whether *error* is a cancellation, or a group that contains only cancellations."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


@final
class OnFailure:
    """A context manager that calls *function* as soon as the code inside fails, whether or not it is cancelled."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and not is_cancellation(error):
            self._function()


def let_go(error: BaseException) -> None:
    """Remove the traceback from *error*, after the error has been handled.

    A traceback refers to the frames of all functions that the error has left, and so to their variables, such as a
    request. If one of these variables is the error, all of them stay in memory until the garbage collector finds the
    cycle.
    """
    error.__traceback__ = None


@final
class StrayCancellation(RuntimeError):
    """User code was ended by a cancellation, or by the end of a generator, that the node did not send.

    Args:
      kind: The name of the exception.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"ended by {kind}, which the node did not send: from a cancel scope or nursery that it left open, or from"
            " another task; enter cancel scopes and nurseries using 'with', and do not yield inside them in a generator"
        )
