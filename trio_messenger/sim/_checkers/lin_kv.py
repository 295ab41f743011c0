"""The checker of lin-kv: each key is a linearizable register with ``read``, ``write`` and ``cas``.

It judges as Jepsen's checker does (Knossos, with the model of a cas-register), but it is stricter in one point: a read
that finds a key absent counts. That is a read whose value is null; the simulator completes a read like that if the node
answers with error 20. In Knossos a read of nil is always possible, and Maelstrom drops reads that end with error 20, so
neither notices a node that forgets a key.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from .._records.history import History, Operation
from . import Results, worst
from .linearizability import SEARCH_BUDGET, Undecided, Violation, judge_objects, operations_by_object
from .models import CasRegisters, register_state
from .values import mention, original


def lin_kv(history: History, *, budget: int = SEARCH_BUDGET) -> Results:
    """Judge whether each key of *history* is linearizable.

    Args:
      history: The operations: ``read``, ``write`` and ``cas``. Each value is a pair of the key and the value read or
        written, or ``[from, to]`` for ``cas``.
      budget: The number of configurations that the search may visit for one key.

    Returns:
      ``valid?``: False if a key is not linearizable; ``unknown`` if the search for a key used up its budget; else True.

      ``key-count``: the number of keys. ``failures``: the keys that are not linearizable. ``results``: for each key, by
      its JSON text (strings without quotation marks), an object with ``valid?`` and ``count``, the number of its
      operations that could have had an effect or that saw one.

      An object that is not valid also has

      - ``op``: the end of the first operation to end that no order explains. The history of the key up to there is the
        shortest part that is wrong. ``prefix-count`` is the number of its operations, and ``previous-ok`` the end of
        the ok operation that ended last before ``op``, or null;
      - ``possible``: the values that were possible just before the end of ``op``; null if the key could be absent;
      - ``in-flight``: the beginnings of the other operations that had begun and not ended, or whose outcome is unknown;
      - ``order``: the indexes of the beginnings of operations in one order that explains all that ended before.

      If the search gave up, the object has ``reason``, a sentence; ``op``, the end of the operation that it could not
      explain yet; and ``explained-count``, the number of operations that ended before that one.
    """
    model = CasRegisters()
    objects = operations_by_object(history, model)
    found = judge_objects(objects, model, budget)
    results = {}
    for (key, operations), name in zip(objects.items(), _names(objects), strict=True):
        results[name] = {"valid?": True, "count": len(operations), **_evidence(found[key], operations)}
    return {
        "valid?": worst(result["valid?"] for result in results.values()),
        "key-count": len(objects),
        "failures": [_value(key) for key, reason in found.items() if isinstance(reason, Violation)],
        "results": results,
    }


def _evidence(reason: Violation | Undecided | None, operations: Sequence[Operation]) -> Results:
    if reason is None:
        return {}
    end = reason.operation.completion
    assert end is not None  # an operation without an end blocks nothing
    op = mention(end, value=end.value)
    if isinstance(reason, Undecided):
        why = f"the search for an order of the operations used up its budget of {reason.budget:,} configurations"
        return {"valid?": "unknown", "reason": why, "op": op, "explained-count": reason.explained}
    ends = [each.completion for each in operations if each.outcome == "ok" and each.completion is not None]
    earlier = max((each for each in ends if each.index < end.index), key=lambda op: op.index, default=None)
    begun = [each.invocation for each in reason.in_flight]
    return {
        "valid?": False,
        "op": op,
        "prefix-count": sum(each.invocation.index < end.index for each in operations),
        "previous-ok": None if earlier is None else mention(earlier, value=earlier.value),
        "possible": [_value(state) for state in reason.possible],
        "in-flight": [mention(each, value=each.value) for each in begun],
        "order": [each.invocation.index for each in reason.linearization],
    }


def _value(key: Hashable) -> Any:
    """Return the JSON value of a key or of a state; null for the state of an absent key."""
    return original(key) if isinstance(key, (int, str, bytes)) else None


def _names(keys: Iterable[Hashable]) -> list[str]:
    """Return a name for each of *keys*: its JSON text, without quotation marks for strings if that is unambiguous."""
    values = [_value(key) for key in keys]
    names = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return names if len(set(names)) == len(names) else [json.dumps(value) for value in values]


def violations_in(results: Results, history: History) -> list[Violation]:
    """Return the violations that *results*, of `lin_kv`, describe, with the operations of *history*."""
    model = CasRegisters()
    operations = {each.invocation.index: each for each in history.operations()}
    by_end = {each.completion.index: each for each in operations.values() if each.completion is not None}
    found = []
    for result in results["results"].values():
        if result["valid?"] is False:
            operation = by_end[result["op"]["index"]]
            possible = list(map(register_state, result["possible"]))
            found.append(
                Violation(
                    key=model.key(operation),
                    operation=operation,
                    in_flight=[operations[each["index"]] for each in result["in-flight"]],
                    states=list(map(model.describe, possible)),
                    possible=possible,
                    linearization=[operations[index] for index in result["order"]],
                )
            )
    return found
