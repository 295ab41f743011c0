"""The checker of echo: every reply says what the request said."""

from __future__ import annotations

from ..history import History, Operation
from . import Results
from ._values import identity, mention


def echo(history: History) -> Results:
    """Judge whether every ``echo`` of *history* came back as it was sent.

    One that got no answer, or an error, is a mismatch as well, as in Maelstrom: a single lost reply makes the run
    invalid.

    Returns:
      ``errors``: for each mismatch its invocation, what was ``sent``, what was ``received`` (null if it was not ok),
      the ``outcome`` and the ``error``.
    """
    errors = [_mismatch(operation) for operation in history.operations("echo") if not _came_back(operation)]
    return {"valid?": not errors, "errors": errors}


def _came_back(operation: Operation) -> bool:
    end = operation.completion
    return end is not None and end.type == "ok" and identity(end.value) == identity(operation.invocation.value)


def _mismatch(operation: Operation) -> Results:
    end = operation.completion
    return mention(
        operation.invocation,
        sent=operation.invocation.value,
        received=end.value if end is not None and end.type == "ok" else None,
        outcome=operation.outcome,
        error=end.error if end is not None else "the run ended first",
    )
