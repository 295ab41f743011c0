"""The checker of echo: every reply has the value of its request, as in Maelstrom."""

from __future__ import annotations

from .._records.history import History, Op, Operation
from . import Results
from .values import mention, value_key


def echo(history: History) -> Results:
    """Judge whether every ``echo`` of *history* came back unchanged.

    A refused request (``fail``) is a mismatch. A request with an unknown outcome (``info``) is not: a lost reply says
    nothing about the node. A request that was unfinished at the end of the run is not a mismatch either.

    Returns:
      ``errors``: for each mismatch its invocation, the value ``sent``, the value ``received`` (null if the request was
      refused), the ``outcome`` and the ``error``.
    """
    completed = [(each, each.completion) for each in history.operations("echo") if each.completion is not None]
    errors = [_mismatch(each, end) for each, end in completed if not _is_right(each, end)]
    return {"valid?": not errors, "errors": errors}


def _is_right(operation: Operation, end: Op) -> bool:
    return end.type == "info" or (end.type == "ok" and value_key(end.value) == value_key(operation.invocation.value))


def _mismatch(operation: Operation, end: Op) -> Results:
    return mention(
        operation.invocation,
        sent=operation.invocation.value,
        received=end.value if end.type == "ok" else None,
        outcome=end.type,
        error=end.error,
    )
