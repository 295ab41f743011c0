"""Texts of values and exceptions that come from the code of a workload. Their own methods may raise anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import trio

from trio_messenger import printable

from .._records.cut_texts import cut_text
from .._system.ending_signals import EndedBySignal

PASSING: Final[tuple[type[BaseException], ...]] = (KeyboardInterrupt, EndedBySignal, trio.Cancelled)
"""Exceptions that come from outside: a workload cannot be blamed for them, and they must reach their handlers."""

_REPR_CUT_AT: Final = 80
"""Characters of a value that a text shows."""

_LEAVES_NAMED: Final = 3
"""The number of exceptions of a group that a text names."""


def shown(value: object) -> str:
    """Return the ``repr`` of *value*, cut and printable; its class if it has none."""
    return printable(_text_by(repr, value, f"a {type(value).__name__} without a readable repr")[:_REPR_CUT_AT])


def text_of(exc: BaseException) -> str:
    """Return the text of *exc* on one line, cut and printable."""
    text = _text_by(str, exc, "an exception without a readable text")
    return cut_text(printable(" ".join(text.split())))


def in_words(exc: BaseException) -> str:
    """Return the class and the text of *exc*; for a group, those of the first exceptions in it."""
    if isinstance(exc, BaseExceptionGroup):
        inner = [in_words(each) for each in leaves_of(exc)]
        rest = len(inner) - _LEAVES_NAMED
        more = [f"and {rest} more"] if rest > 0 else []
        return f"{type(exc).__name__} of {'; '.join([*inner[:_LEAVES_NAMED], *more])}"
    text = text_of(exc)
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def leaves_of(exc: BaseException) -> Iterator[BaseException]:
    """Yield *exc*, or, if it is a group, the exceptions in it that are no groups."""
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from leaves_of(each)
    else:
        yield exc


def _text_by(make: Callable[[Any], str], value: object, otherwise: str) -> str:
    try:
        return make(value)
    except PASSING:
        raise
    except BaseException:  # noqa: BLE001 - the value is not ours
        return otherwise
