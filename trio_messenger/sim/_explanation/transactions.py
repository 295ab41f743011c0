"""Explanations of transactions: the models that they contradict, and the transactions of each anomaly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .._checkers import Results
from .._records.cut_texts import cut_json
from . import Finding
from .scene import Scene
from .words import in_words

_SHOWN: Final = 2
"""The number of anomalies of a kind that get a sentence each."""

Anomaly: TypeAlias = Mapping[str, Any]
"""A record of an anomaly in the results."""


def explain(results: Results, scene: Scene) -> list[Finding]:
    """Return the findings of the checkers of transactions in sentences.

    Args:
      results: The result of `~trio_messenger.sim._checkers.transactions.list_append.list_append` or
        `~trio_messenger.sim._checkers.transactions.rw_register.rw_register`.
      scene: The run.
    """
    found = [*_anomalies(results, scene, "anomalies", is_reason=True)]
    if found:
        found.insert(0, Finding(_models(results)))
    if results["valid?"] == "unknown":
        found.append(Finding(f"too little is known to judge: {results['reason']}"))
    return [*found, *_anomalies(results, scene, "other-anomalies", is_reason=False)]


def _models(results: Results) -> str:
    wanted = " and ".join(results["consistency-models"]) or "free of these anomalies"
    left = in_words(results["strongest"]) if results["strongest"] else "none that the checker knows"
    return f"the transactions are not {wanted}; the strongest models that they do not contradict: {left}"


def _anomalies(results: Results, scene: Scene, field: str, *, is_reason: bool) -> Iterator[Finding]:
    for kind, records in results[field].items():
        for record in records[:_SHOWN]:
            ops = transactions_of(record)
            messages = dict.fromkeys(number for op in ops for number in scene.messages_of(scene.history[op["index"]]))
            yield Finding(f"{kind}: {record['text']}", tuple(messages), is_reason)
            if "cycle" in record:
                yield Finding(_who_is_who(ops), (), is_reason, is_detail=True)
        rest = results["anomaly-counts"][kind] - min(_SHOWN, len(records))
        if rest:
            yield Finding(f"{kind}: {rest:,} more; results.json describes some of them", (), is_reason)


def transactions_of(record: Anomaly) -> Sequence[Mapping[str, Any]]:
    """Return the transactions of an anomaly, as the results mention them; those of a cycle in its order, each once."""
    if "cycle" in record:
        return record["cycle"][:-1]  # type: ignore[no-any-return]
    return [*(record[field] for field in ("op", "writer") if field in record), *record.get("txns", ())]


def _who_is_who(ops: Sequence[Mapping[str, Any]]) -> str:
    """Return what the names in the sentence about a cycle stand for."""
    return "; ".join(
        f"T{number} is {cut_json(op['value'])} of process {op['process']}{place_of(op)} (index {op['index']})"
        for number, op in enumerate(ops, 1)
    )


def place_of(op: Mapping[str, Any]) -> str:
    """Return where a transaction ran, in words; nothing if the history does not say."""
    return f" at {op['node']}" if "node" in op else ""
