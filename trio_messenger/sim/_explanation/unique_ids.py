"""Explanations of unique-ids: the nodes that returned the same id."""

from __future__ import annotations

from typing import Final

from .._checkers import Results
from .._checkers.values import ValueKey, value_key
from .._records.cut_texts import cut_json
from .._records.history import Op
from . import Finding
from .scene import Scene
from .words import in_words, quantity, seconds

_DETAILS: Final = 5
"""The number of ids that get a sentence each."""

_GIVEN: Final = 4
"""The number of replies that are listed for one id."""


def explain(results: Results, scene: Scene) -> list[Finding]:
    """Return the findings of `~trio_messenger.sim._checkers.unique_ids.unique_ids` in sentences."""
    given: dict[ValueKey, list[Op]] = {}
    for operation in scene.history.operations("generate"):
        if operation.completion is not None and operation.outcome == "ok":
            given.setdefault(value_key(operation.completion.value), []).append(operation.completion)
    shown_ids = results["duplicated"][:_DETAILS]
    found = [_told(given[value_key(value)], scene) for value, _ in shown_ids]
    rest = results["duplicated-count"] - len(shown_ids)
    if rest:
        found.append(Finding(f"{quantity(rest, 'more id')} came more than once; results.json lists the most frequent"))
    return found


def _told(ops: list[Op], scene: Scene) -> Finding:
    """Say which nodes returned the id of *ops*; all of *ops* have the same one."""
    ops = sorted(ops, key=lambda op: op.index)
    numbers = tuple(number for op in ops[:_GIVEN] for number in scene.messages_of(op))
    nodes, value = list(dict.fromkeys(op.node or "a node" for op in ops)), cut_json(ops[0].value)
    if len(ops) == 2:  # noqa: PLR2004 - a pair
        gave = f"both returned id {value}" if len(nodes) > 1 else f"returned id {value} twice"
        return Finding(f"{in_words(nodes)} {gave}, {in_words([f'at {seconds(op.time)}' for op in ops])}", numbers)
    given = [f"by {op.node or 'a node'} at {seconds(op.time)}" for op in ops[:_GIVEN]]
    if len(ops) > _GIVEN:
        given.append(quantity(len(ops) - _GIVEN, "more time"))
    return Finding(f"id {value} was returned {len(ops):,} times: {in_words(given)}", numbers)
