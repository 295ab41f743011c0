"""What to do with an exception that ends somebody else's code: which part is a failure, and which must go on."""

from __future__ import annotations

import trio


def is_only(error: Exception, *kinds: type[Exception]) -> bool:
    """Tell whether *error* is of one of *kinds*, or a group of nothing else."""
    return error.split(kinds)[1] is None if isinstance(error, ExceptionGroup) else isinstance(error, kinds)


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
