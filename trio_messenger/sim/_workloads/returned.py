"""Checks of what the methods of a workload return: all of them are here, one for each kind of value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from trio_messenger import Body

from .._checkers import Results
from .._explanation import Finding
from .._records.history import Op, OpType
from .._records.reading_errors import MOST_NESTED
from ..pictures import Picture
from .base import Workload
from .blame import blaming, origin_of, refusal
from .foreign_texts import PASSING, shown, text_of
from .interface import Invocation

_GREATEST_TIMEOUT: Final = 1e9
"""The longest time that a client may wait, in seconds."""

_SURE: Final = 2**63
"""Integers closer to 0 are JSON for all programs."""

_PAIRS: Final = "give pairs such as ('read', None)"

_to_text: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
_to_line: Final = msgspec.json.Encoder().encode  # as it is written to history.jsonl


def checked_invocation(workload: Workload, method: str, invocation: object) -> Invocation:
    """Return *invocation*, which *method* returned, if it is one.

    Raises:
      WorkloadError: if it is not.
    """
    match invocation:
        case (str() as f, value):
            if f and f.isprintable():
                return f, value
            raise refusal(
                workload, f"{origin_of(workload, method)}() gave the function {shown(f)}; give it a printable name"
            )
    raise refusal(workload, f"{origin_of(workload, method)}() gave {shown(invocation)}; {_PAIRS}")


def checked_operations(workload: Workload, operations: object) -> Iterator[Any]:
    """Return an iterator over *operations*, which `Workload.final_invocations` returned; None has no operations.

    Raises:
      WorkloadError: if they cannot be iterated over.
    """
    if operations is None:
        return iter(())
    if isinstance(operations, Iterable):
        with blaming(workload, "final_invocations"):
            return iter(operations)
    raise refusal(workload, f"final_invocations() gave {shown(operations)}; give an iterator over pairs, or None")


def checked_final(workload: Workload) -> Invocation | None:
    """Return the `Workload.final_invocation` of *workload*.

    Raises:
      WorkloadError: if the workload's code is wrong.
    """
    with blaming(workload, "final_invocation"):
        last = workload.final_invocation()
    return None if last is None else checked_invocation(workload, "final_invocation", last)


def checked_outcome(workload: Workload, outcome: object) -> OpType:
    """Return *outcome*, which `Workload.outcome` returned, if it is one.

    Raises:
      WorkloadError: if it is not.
    """
    match outcome:
        case "fail":
            return "fail"
        case "info":
            return "info"
    raise refusal(workload, f"outcome() gave {shown(outcome)}; give 'fail' or 'info'")


def checked_timeout(workload: Workload, seconds: object) -> float:
    """Return *seconds*, which `Workload.client_timeout` returned, if a client can wait for that long.

    Raises:
      WorkloadError: if it cannot.
    """
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= _GREATEST_TIMEOUT:
        return float(seconds)
    raise refusal(
        workload, f"client_timeout() gave {shown(seconds)}; give seconds, above 0 and at most {_GREATEST_TIMEOUT:.0e}"
    )


def checked_leftovers(workload: Workload, text: object) -> str | None:
    """Return *text*, which `Workload.leftovers` returned, if it is one, or None.

    Raises:
      WorkloadError: if it is something else.
    """
    if text is None or isinstance(text, str):
        return text
    raise refusal(workload, f"leftovers() gave {shown(text)}; give a text, or None")


def checked_setup(workload: Workload, request: object) -> Body | None:
    """Return *request*, which `Workload.setup` returned, if it is one, or None.

    Raises:
      WorkloadError: if it is something else.
    """
    if request is None:
        return None
    if not isinstance(request, dict) or not isinstance(request.get("type"), str):
        raise refusal(workload, f"setup() gave {shown(request)}; give a dict with a text as 'type', or None")
    fault = _fault(request)
    if fault is not None:
        raise refusal(workload, f"setup() gave {shown(request)}, which is not JSON: {fault}")
    return request


def checked_op(workload: Workload, op: object) -> Op:
    """Return *op*, which `Workload.adopt` returned, if it is an entry of a history.

    Raises:
      WorkloadError: if it is not.
    """
    if isinstance(op, Op):
        return op
    raise refusal(workload, f"adopt() returned {shown(op)}; return an Op")


def checked_results(workload: Workload, results: object) -> Results:
    """Return *results*, which `Workload.check` returned, if they are a judgement that can be saved.

    Raises:
      WorkloadError: if they are not.
    """
    if not isinstance(results, dict):
        raise refusal(workload, f"check() returned {shown(results)}; return a dict with 'valid?'")
    verdict = results.get("valid?")
    if not isinstance(verdict, bool) and not (isinstance(verdict, str) and verdict == "unknown"):
        had = f"has {shown(verdict)} as" if "valid?" in results else "has no"
        raise refusal(workload, f"the result of check() {had} 'valid?'; give True, False or 'unknown'")
    fault = _fault(results, write=_nothing)
    if fault is not None:
        raise refusal(workload, f"the result of check() is not JSON: {fault}")
    return results


def checked_value(workload: Workload, f: str, value: Any) -> Any:
    """Return *value*, the value of an operation of *f*, if it is JSON that can be saved and read.

    Raises:
      WorkloadError: if it is not.
    """
    kind = type(value)  # not isinstance: subclasses may be anything
    if value is None or (kind is int and abs(value) < _SURE) or (kind is str and value.isascii()):
        return value  # most values, so that an operation costs little
    fault = _fault(value)
    if fault is not None:
        raise refusal(workload, f"the value of {f!r} is {shown(value)}, which is not JSON: {fault}")
    return value


def checked_findings(workload: Workload, findings: object) -> list[Finding]:
    """Return *findings*, which `Workload.explain` returned, as a list; they may be any collection, or a generator.

    Raises:
      WorkloadError: if they are not findings, or the generator raises.
    """
    found = _as_list(workload, "explain", findings, "a list of Finding")
    for each in found:
        if not isinstance(each, Finding):
            raise refusal(workload, f"explain() gave {shown(each)}; give a Finding for each sentence")
        if not isinstance(each.text, str):
            raise refusal(workload, f"explain() gave a Finding with {shown(each.text)} as its text; give a sentence")
        if not (isinstance(each.messages, (tuple, list)) and all(type(number) is int for number in each.messages)):
            raise refusal(
                workload, f"explain() gave a Finding with {shown(each.messages)} as its messages; give their numbers"
            )
    return found


def checked_pictures(workload: Workload, pictures: object) -> Sequence[Picture]:
    """Return *pictures*, which `Workload.pictures` returned, as a list; they may be any collection, or a generator.

    Raises:
      WorkloadError: if they are not pictures, or the generator raises.
    """
    found = _as_list(workload, "pictures", pictures, "a list of Picture")
    for each in found:
        if not isinstance(each, Picture):
            raise refusal(workload, f"pictures() gave {shown(each)}; give Picture objects")
        for part in ("title", "explanation", "svg"):
            if not isinstance(getattr(each, part), str):
                raise refusal(
                    workload, f"pictures() gave a Picture with {shown(getattr(each, part))} as its {part}; give a text"
                )
    return found


def _as_list(workload: Workload, method: str, values: object, give: str) -> list[Any]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise refusal(workload, f"{method}() returned {shown(values)}; return {give}")
    with blaming(workload, method):
        return list(values)


def _fault(value: Any, write: Callable[[Any], object] = _to_line) -> str | None:
    """Return why *value* is not JSON that *write* can write and everybody can read; None if it is."""
    try:
        text = _to_text(value)
        fault = _fault_inside(value) if "{" in text or text.count("[") >= MOST_NESTED else None
        if fault is None:
            write(value)
    except PASSING:
        raise
    except BaseException as exc:  # noqa: BLE001 - methods of the value may raise anything
        return text_of(exc)
    return fault


def _fault_inside(value: Any) -> str | None:
    """Return what is wrong with the depth of *value*, or with the keys in it."""
    level = [value]
    for _ in range(MOST_NESTED):
        level = [each for each in level if isinstance(each, (dict, list, tuple))]
        if not level:
            return None
        dicts = [each for each in level if isinstance(each, dict)]
        for key in chain.from_iterable(dicts):
            if not isinstance(key, str):
                return f"the key {shown(key)} of a dict is not a text"
        level = [*chain.from_iterable(each.values() if isinstance(each, dict) else each for each in level)]
    return f"{MOST_NESTED} lists and dicts are inside each other"


def _nothing(_: object) -> None:
    """Write nothing: results.json takes all that is JSON."""
