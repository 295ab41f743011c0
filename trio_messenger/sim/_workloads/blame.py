"""Errors in the code of a workload: one line that names the workload, the method and the place."""

from __future__ import annotations

import contextlib
import inspect
import json
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

from .._checkers import Results
from .._records.cut_texts import cut_text
from .base import Workload
from .interface import Invocation


class WorkloadError(Exception):
    """The code of a workload is wrong, so the run has no verdict.

    The text is one line: the workload, the method, and the mistake. If the method raised an exception, it is the
    ``__cause__``.

    Example:
      >>> raise WorkloadError("the workload 'greatest' failed in check(): KeyError: 'n1' (greatest.py, line 63)")
      Traceback (most recent call last):
      ...
      trio_messenger.sim.WorkloadError: the workload 'greatest' failed in check(): KeyError: 'n1' (greatest.py, line 63)
    """


@contextlib.contextmanager
def blaming(workload: Workload, method: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn an exception of the block, which calls *method* of *workload*, into a `WorkloadError`; let *but* pass."""
    try:
        yield
    except Exception as exc:
        if isinstance(exc, but):
            raise
        raise WorkloadError(
            f"the workload {workload.name!r} failed in {method}(): {_in_words(exc)}{_place(workload, exc)}"
        ) from exc


def refuse(workload: Workload, text: str) -> NoReturn:
    """Raise a `WorkloadError` that says *text* about *workload*."""
    raise WorkloadError(f"the workload {workload.name!r}: {text}")


def checked_invocation(workload: Workload, method: str, invocation: object) -> Invocation:
    """Return *invocation*, which *method* returned, if it is one.

    Raises:
      WorkloadError: if it is not.
    """
    match invocation:
        case (str() as f, value):
            return f, value
    refuse(workload, f"{method}() gave {invocation!r:.80}; give pairs such as ('read', None)")


def checked_results(workload: Workload, results: object) -> Results:
    """Return *results*, which `Workload.check` returned, if they are a judgement that can be saved.

    Raises:
      WorkloadError: if they are not.
    """
    if not isinstance(results, dict):
        refuse(workload, f"check() returned {results!r:.80}; return a dict with 'valid?'")
    verdict = results.get("valid?")
    if not isinstance(verdict, bool) and verdict != "unknown":
        had = f"has {verdict!r:.80} as" if "valid?" in results else "has no"
        refuse(workload, f"the result of check() {had} 'valid?'; give True, False or 'unknown'")
    fault = _fault_as_json(results)
    if fault is not None:
        refuse(workload, f"the result of check() is not JSON: {fault}")
    return results


def checked_value(workload: Workload, f: str, value: Any) -> Any:
    """Return *value*, the value of an operation of *f*, if it is JSON.

    Raises:
      WorkloadError: if it is not.
    """
    fault = _fault_as_json(value)
    if fault is not None:
        refuse(workload, f"the value of {f!r} is {value!r:.80}, which is not JSON: {fault}")
    return value


def _fault_as_json(value: Any) -> str | None:
    """Return why *value* is not JSON; None if it is."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as exc:
        return cut_text(str(exc))
    return None


def _in_words(exc: Exception) -> str:
    try:
        text = " ".join(str(exc).split())
    except Exception:  # noqa: BLE001 - the exception is not ours
        text = "an exception without a readable text"
    return f"{type(exc).__name__}: {cut_text(text)}" if text else type(exc).__name__


def _place(workload: Workload, exc: Exception) -> str:
    """Return the last place in the file of *workload* that the traceback of *exc* names, in parentheses."""
    try:
        own = inspect.getfile(type(workload))
    except (TypeError, OSError):  # the class was made in a console
        return ""
    frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == own]
    return f" ({frames[-1].filename.rpartition('/')[2]}, line {frames[-1].lineno})" if frames else ""
