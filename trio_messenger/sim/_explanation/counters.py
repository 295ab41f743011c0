"""Explanations of the counters: the value that each node read at the end, and the correct value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .._checkers import Results
from .._checkers.values import value_key
from .._records.cut_texts import cut_json
from .._records.history import Op
from . import Finding
from .scene import Scene
from .words import in_words, quantity, seconds

_DETAILS: Final = 3
"""The number of reads that get a sentence each."""


def explain(results: Results, scene: Scene) -> list[Finding]:
    """Return the findings of `~trio_messenger.sim._checkers.counters.counters` in sentences."""
    if results["valid?"] is True:
        return []
    return [*_last_reads(results, scene), *_earlier_reads(results, scene)]


def _last_reads(results: Results, scene: Scene) -> Iterator[Finding]:
    last: Mapping[str, Any] = results.get("last-reads", {})
    groups: dict[Any, list[str]] = {}
    for node, value in last.items():
        groups.setdefault(value_key(value), []).append(node)
    wrong = {node for node, value in last.items() if not _is_possible(value, results)}
    if not wrong and len(groups) < 2:  # noqa: PLR2004 - two that differ
        return
    ends = {op.node: op for op in scene.history if op.final and op.f == "read" and op.type == "ok"}
    text = _who_read_what(last, sorted(groups.values(), key=len))
    numbers = [
        number
        for node in last
        if len(groups) == 1 or node in _minority(groups)
        for number in scene.messages_of(ends[node])
    ]
    yield Finding(f"{text}; {_why(results, scene, wrong)}", tuple(numbers))
    for node in sorted(wrong)[:_DETAILS]:
        yield from _stale_answer(node, ends[node], scene)


def _minority(groups: Mapping[Any, list[str]]) -> list[str]:
    """Return the nodes outside the largest group."""
    *few, _ = sorted(groups.values(), key=len)
    return [node for nodes in few for node in nodes]


def _who_read_what(last: Mapping[str, Any], groups: list[list[str]]) -> str:
    """Return the values that the nodes of *groups* read, in words; the last group is the largest."""
    *few, most = groups
    if not few:
        who = "all nodes" if len(most) > 1 else most[0]
        return f"{who} read {cut_json(last[most[0]])} at the end"
    first, *others = [f"{in_words(nodes)} read {cut_json(last[nodes[0]])}" for nodes in few]
    rest = f"{'the others' if len(most) > 1 else most[0]} {cut_json(last[most[0]])}"
    return ", ".join([f"{first} at the end", *others, rest])


def _why(results: Results, scene: Scene, wrong: set[str]) -> str:
    possible = results["acceptable"]
    if wrong:
        if len(possible) == 1 and possible[0][0] == possible[0][1]:
            return f"the acknowledged adds sum to {possible[0][0]}"
        return f"possible values are {_ranges(possible)}"
    unknown = [operation for operation in scene.history.operations("add") if operation.outcome == "info"]
    return (
        f"each value is possible because the outcome of {quantity(len(unknown), 'add')} is unknown,"
        " but all nodes must agree at the end"
    )


def _ranges(ranges: list[list[int]]) -> str:
    return in_words([f"{low}" if low == high else f"{low} to {high}" for low, high in ranges])


def _is_possible(value: Any, results: Results) -> bool:
    return type(value) is int and any(low <= value <= high for low, high in results["acceptable"])


def _stale_answer(node: str, read: Op, scene: Scene) -> Iterator[Finding]:
    """Explain if the last answer that *node* got from a service before *read* ended came from an old state."""
    answers = [sent for sent in scene.stale_answers() if sent.dest == node and sent.entry.t <= read.time]
    if answers:
        last = answers[-1]
        text = f"{last.src} {last.entry.text} when {node} asked, at {seconds(last.entry.t)}"
        yield Finding(text, (last.id,), is_detail=True)


def _earlier_reads(results: Results, scene: Scene) -> Iterator[Finding]:
    """Explain final reads that are wrong although the last one of the same node is right."""
    last: Mapping[str, Any] = results.get("last-reads", {})
    found = [each for each in results["errors"] if _is_possible(last.get(each.get("node")), results) or not last]
    for each in found[:_DETAILS]:
        who = f"{each['node']} read" if "node" in each else "a final read gave"
        then = f" and {cut_json(last[each['node']])} a moment later" if "node" in each else ""
        text = f"{who} {cut_json(each['value'])} at {seconds(each['time'])}{then}; {_why(results, scene, {''})}"
        yield Finding(text, scene.messages_of(scene.history[each["index"]]))
    if len(found) > _DETAILS:
        yield Finding(f"{quantity(len(found) - _DETAILS, 'more final read')} had impossible values")
