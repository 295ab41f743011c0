"""Errors in the code of a workload: one line that names the workload, the method and the place."""

from __future__ import annotations

import contextlib
import inspect
import math
import traceback
from collections.abc import Iterator
from types import CodeType
from typing import Any, Final

import trio

from ..._user_code.enclosure import ENTER_WITH, Enclosure
from ..._user_code.failures import is_cancellation
from .base import Workload
from .foreign_texts import PASSING, in_words, leaves_of

_INHERITED: Final = {"next_invocation": "invocations", "final_invocations": "final_invocation"}
"""Methods that, unless they are overridden, return what another method returned."""


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
def blaming(workload: Workload | type[Workload], method: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn an exception of the block, which calls *method* of *workload*, into a `WorkloadError`.

    Let the classes in *but* pass, and interrupts and cancellation. Everything else is the workload's, even
    ``SystemExit``. If *method* calls another method of the workload, and that one raises, the other one is named.
    """
    passing: tuple[type[BaseException], ...] = (*PASSING, *but)
    try:
        yield
    except passing:
        raise
    except BaseException as exc:
        if _is_from_outside(exc):
            raise
        method, place = _blamed(workload, method, exc)
        raise WorkloadError(f"the workload {workload.name!r} failed in {method}(): {in_words(exc)}{place}") from exc


@contextlib.contextmanager
def blaming_in_task(workload: Workload, method: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Do the same as `blaming` for a *method* that is async, or a generator, in a task which then goes on.

    Also close the cancel scopes and nurseries that it leaves open, and turn these, and a cancellation that did not come
    from outside, into a `WorkloadError`. If they stayed, they would cancel what the task does next.
    """
    stray = None
    enclosure = Enclosure(None, lambda: f"{method}() of the workload {workload.name!r}")
    try:
        with enclosure, blaming(workload, method, but):
            yield
    except (trio.Cancelled, BaseExceptionGroup) as exc:
        if not is_cancellation(exc) or trio.current_effective_deadline() == -math.inf:
            raise
        stray = exc
    if enclosure.was_open:
        raise refusal(
            workload, f"{origin_of(workload, method)}() left a cancel scope or a nursery open; {ENTER_WITH}"
        ) from stray
    if stray is not None:
        raise refusal(
            workload, f"{method}() raised a Cancelled that the run did not send; leave each trio.Cancelled to its scope"
        ) from stray


def refusal(workload: Workload | type[Workload], text: str) -> WorkloadError:
    """Return an error that says *text* about *workload*."""
    return WorkloadError(f"the workload {workload.name!r}: {text}")


def origin_of(workload: Workload, method: str) -> str:
    """Return the name of the method of *workload* that makes what *method* returns: itself, if it is overridden."""
    is_overridden = getattr(type(workload), method) is not getattr(Workload, method)
    return method if is_overridden else _INHERITED.get(method, method)


def _is_from_outside(exc: BaseException) -> bool:
    """Tell whether *exc* is a group that has to go on: of nothing but interrupts and cancellation, or with one."""
    if not isinstance(exc, BaseExceptionGroup):
        return False
    passing, rest = exc.split(PASSING)
    return rest is None or (passing is not None and passing.subgroup((KeyboardInterrupt, SystemExit)) is not None)


def _blamed(workload: Workload | type[Workload], method: str, exc: BaseException) -> tuple[str, str]:
    """Return the innermost method of *workload* in the traceback of *exc*, and the last place in its files."""
    cls = workload if isinstance(workload, type) else type(workload)
    names = dict(_codes(cls))
    files = {code.co_filename for code in names}
    place = ""
    for each in (exc, next(leaves_of(exc))):
        for frame, line in traceback.walk_tb(each.__traceback__):
            name = names.get(frame.f_code, "")
            if hasattr(Workload, name) and not name.startswith("_"):
                method = name
            if frame.f_code.co_filename in files:
                place = f" ({frame.f_code.co_filename.rpartition('/')[2]}, line {line})"
    return method, place


def _codes(cls: type[Any]) -> Iterator[tuple[CodeType, str]]:
    """Yield the code of each method that *cls* has besides those of `Workload`, and its name."""
    for base in cls.__mro__:
        for name, value in vars(base).items() if base is not Workload else ():
            function = inspect.unwrap(value.fget) if isinstance(value, property) and value.fget else value
            if inspect.isfunction(function):
                yield function.__code__, name
