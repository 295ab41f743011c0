"""Anomalies of transactions in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..._records.cut_texts import cut_json

NEXT_VALUE: Final = "value'"
"""The field of a step with the later of two values. The name is Elle's."""

APPENDED: Final = "appended"
"""What a write to a list did, in words."""

WROTE: Final = "wrote"
"""What a write to a register did, in words."""


def step_in_words(step: dict[str, Any], before: str, after: str, verb: str) -> str:
    """Return why the transaction *before* comes before *after*.

    Args:
      step: A step of a cycle, as in the results.
      before: The name of the first transaction.
      after: The name of the second one.
      verb: What a write did: `APPENDED` or `WROTE`.
    """
    kind = step["type"]
    if kind == "process":
        return f"process {step['process']} ended {before} before it began {after}"
    if kind == "realtime":
        return f"{before} ended before {after} began"
    key, value = cut_json(step["key"]), cut_json(step["value"])
    if kind == "wr":
        return f"{before} {verb} {value} to key {key}, and {after} read it"
    next_value = cut_json(step[NEXT_VALUE])
    seen = f"{verb} {value} to key {key}" if kind == "ww" else _read_in_words(step, key, verb)
    then = _next_in_words(step, after, verb, next_value)
    return f"{before} {seen}, {then}{_because(step, before, value, next_value)}"


def _read_in_words(step: dict[str, Any], key: str, verb: str) -> str:
    if step["value"] is None:
        return f"read nothing from key {key}"
    value = cut_json(step["value"])
    return f"read key {key} up to {value}" if verb == APPENDED else f"read {value} from key {key}"


def _next_in_words(step: dict[str, Any], after: str, verb: str, next_value: str) -> str:
    """Return that *after* wrote the next value. Words for times would be wrong: this is the order in the data."""
    if step["value"] is None:
        return f"to which {after} {verb} {next_value}"
    return f"where {after}'s {next_value} follows" if verb == APPENDED else f"which {after} overwrote with {next_value}"


def _because(step: dict[str, Any], before: str, value: str, next_value: str) -> str:
    """Return how the order of two values was inferred, in words; nothing if reads or writes show it directly."""
    if step.get("because") == "earlier-write":
        return f" (inferred: the write of {value} comes before the write of {next_value})"
    if step.get("because") == "later-read":
        return f" (inferred: a transaction that comes after {before} read {next_value})"
    return ""


def cycle_in_words(steps: Sequence[dict[str, Any]], verb: str) -> str:
    """Return the steps of a cycle in words. The transactions are called T1, T2 and so on, in the order of the cycle."""
    names = [f"T{number}" for number in range(1, len(steps) + 1)]
    pairs = zip(names, [*names[1:], names[0]], strict=True)
    return "; ".join(step_in_words(step, *pair, verb) for step, pair in zip(steps, pairs, strict=True))


def read_by(op: dict[str, Any], value: Any, key: Any) -> str:
    """Return that the transaction *op*, as `values.mention` returns it, read *value* from *key*."""
    return f"{at(op)} read {cut_json(value)} from key {cut_json(key)}"


def lost_update_in_words(ops: Sequence[dict[str, Any]], value: Any, key: Any, verb: str) -> str:
    """Return that the transactions *ops* all read *value* from *key*, and then wrote to it."""
    places = ", ".join(str(op["index"]) for op in ops)
    shown = f"the transactions at the indexes {places} all read {cut_json(value)}"
    return f"{shown} from key {cut_json(key)}, and then {verb} to it"


def at(op: dict[str, Any]) -> str:
    """Return the place of a transaction in the history, in words, given its `values.mention`."""
    return f"the transaction at index {op['index']}"
