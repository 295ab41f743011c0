"""The checker of echo: every reply says what the request said. Maelstrom's."""

from __future__ import annotations

from .._records.history import History, Op, Operation
from . import Results
from .values import identity, mention


def echo(history: History) -> Results:
    """Judge whether every ``echo`` of *history* came back as it was sent.

    One that was refused (``fail``) is a mismatch. One whose outcome nobody knows (``info``) is not: a reply that was
    lost says nothing about the node. One that the end of the run cut off is not either.

    Returns:
      ``errors``: for each mismatch its invocation, what was ``sent``, what was ``received`` (null if it was refused),
      the ``outcome`` and the ``error``.
    """
    completed = [(each, each.completion) for each in history.operations("echo") if each.completion is not None]
    errors = [_mismatch(each, end) for each, end in completed if not _is_right(each, end)]
    return {"valid?": not errors, "errors": errors}


def _is_right(operation: Operation, end: Op) -> bool:
    return end.type == "info" or (end.type == "ok" and identity(end.value) == identity(operation.invocation.value))


def _mismatch(operation: Operation, end: Op) -> Results:
    return mention(
        operation.invocation,
        sent=operation.invocation.value,
        received=end.value if end.type == "ok" else None,
        outcome=end.type,
        error=end.error,
    )
