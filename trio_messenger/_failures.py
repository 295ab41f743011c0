"""What to do with an exception that ends somebody else's code: which part is a failure, and which must go on."""

from __future__ import annotations

import trio


def unwrapped(error: Exception) -> Exception:
    """Return the error in groups of one, as they come out of a nursery one of whose tasks failed."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def is_only(error: Exception, kind: type[Exception]) -> bool:
    """Tell whether *error* is of *kind*, or a group of nothing else."""
    return error.split(kind)[1] is None if isinstance(error, ExceptionGroup) else isinstance(error, kind)


def split_failure(error: BaseException) -> tuple[Exception | None, BaseException | None]:
    """Split *error* into what failed, which may be handled, and what has to be raised again.

    A cancellation is never a failure, and neither are KeyboardInterrupt and their like. But when a nursery is
    cancelled and one of its tasks fails on the way out, both come in one group.

    Returns:
      What failed, or None; and what to raise, or None.
    """
    if isinstance(error, Exception):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
        if isinstance(rest, ExceptionGroup):
            return rest, cancelled
    return None, error
