"""The checker of txn-rw-register: transactions that read registers and write to them.

It is Elle's checker with the option ``wfr-keys?``, as in Maelstrom: writes follow reads in a transaction. It is
stricter in these points:

- It infers more about the order of versions; see `coherence`. So it finds stale reads.
- A read of a value that nobody wrote is an anomaly, ``garbage-read``. Elle takes the value for an initial state.
- Elle looks at the first read of each key in a transaction. Here every read of another transaction's write counts.
- A read of a value that the transaction writes later is an anomaly, ``future-read``.
- Writes of transactions with an unknown outcome count, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..._records.cut_texts import cut_json
from ..._records.history import History
from .. import Results
from ..values import ValueKey, original
from .coherence import Coherence
from .consistency_models import STRICT_SERIALIZABLE
from .cycle_search import CYCLE_BUDGET
from .dependency_graph import DependencyGraph
from .observations import Observations, Transaction, UnjudgeableError
from .register_versions import RegisterKey, RegisterVersions, register_read
from .sentences import WROTE, at, lost_update_in_words, read_by
from .transaction_verdict import AnomaliesFound, Record, add_cycles, add_orders, result, too_little


def rw_register(
    history: History,
    *,
    consistency_models: Sequence[str] = STRICT_SERIALIZABLE,
    anomalies: Sequence[str] = (),
    budget: int = CYCLE_BUDGET,
) -> Results:
    """Judge a history of transactions that read registers and write to them.

    Args:
      history: The operations. Those with the function ``txn`` are transactions: lists of ``["r", key, null]``, filled
        in if ok, and ``["w", key, value]``. No value may be written twice to the same key.
      consistency_models: The models that the history should satisfy.
      anomalies: Anomalies that it should not have, whatever the models say.
      budget: The number of edges that each costly part may follow; see `cycle_search` and `coherence`.

    Returns:
      The keys of `list_append.list_append`. If nothing was found, some order of the versions may still contradict the
      models: reads of registers do not show the whole order.

    Raises:
      ValueError: if there is no such model or anomaly.
    """
    found = AnomaliesFound()
    try:
        seen = Observations(history, "w", register_read)
    except UnjudgeableError as exc:
        return result(found, models=consistency_models, anomalies=anomalies, reason=str(exc))
    versions = RegisterVersions(seen)
    for transaction in seen.transactions:
        if transaction.is_ok:
            _judge_reads(transaction, versions, found)
    for key in versions.keys:
        _judge_key(key, seen, found)
    graph = DependencyGraph(len(seen.transactions))
    versions.add_dependencies(graph)
    add_orders(graph, seen)
    coherence = Coherence(versions, graph, budget)
    coherence.infer()
    reason = add_cycles(found, graph, seen, why=versions.why, verb=WROTE, budget=budget)
    if coherence.left < 0:
        reason = (
            f"the inference of the order of versions followed {budget:,} edges, its budget, and did not finish; give a"
            " larger budget"
        )
    return result(
        found,
        models=consistency_models,
        anomalies=anomalies,
        reason=too_little(seen.transactions) or reason,
        count=len(seen.transactions),
    )


def _judge_reads(transaction: Transaction, versions: RegisterVersions, found: AnomaliesFound) -> None:
    """Find wrong reads of a transaction, as far as one read shows it."""
    known: dict[int, ValueKey | None] = {}
    is_internal = False
    for place, (is_read, number, value) in enumerate(transaction.ops):
        key = versions.keys[number]
        if is_read and number in known and known[number] != value and not is_internal:
            is_internal = True
            record = _record(transaction, key, value)
            expected = None if known[number] is None else original(known[number])  # type: ignore[arg-type]
            text = f"{record['text']}, but its earlier operations demand {cut_json(expected)}"
            found.add("internal", {**record, "expected": expected, "text": text})
        if is_read and value is not None:
            _judge_source(transaction, place, key, value, versions.seen, found)
        known[number] = value


def _record(transaction: Transaction, key: RegisterKey, value: ValueKey | None) -> Record:
    """Return the fields that all records of reads have; the text is only begun."""
    op, read = transaction.mention(), None if value is None else original(value)
    return {"op": op, "mop": ["r", key.value, read], "text": read_by(op, read, key.value)}


def _judge_source(
    transaction: Transaction, place: int, key: RegisterKey, value: ValueKey, seen: Observations, found: AnomaliesFound
) -> None:
    """Judge a read by the write that it saw."""
    writer = seen.writer(key.number, value)
    if writer is transaction:
        if (False, key.number, value) in transaction.ops[place:]:
            record = _record(transaction, key, value)
            text = f"{record['text']}, and wrote it only afterwards"
            found.add("future-read", {**record, "element": original(value), "text": text})
        return
    if writer is None:
        record = _record(transaction, key, value)
        text = f"{record['text']}, but nobody wrote it"
        found.add("garbage-read", {**record, "element": original(value), "text": text})
    elif writer.number < 0:
        record, mentioned = _record(transaction, key, value), writer.mention()
        text = f"{record['text']}, but {at(mentioned)}, which wrote it, failed"
        found.add("G1a", {**record, "writer": mentioned, "text": text})
    elif key.written[writer.number] != value:
        record, mentioned = _record(transaction, key, value), writer.mention()
        text = f"{record['text']}, but {at(mentioned)}, which wrote it, then wrote another value"
        found.add("G1b", {**record, "writer": mentioned, "text": text})


def _judge_key(key: RegisterKey, seen: Observations, found: AnomaliesFound) -> None:
    """Find lost updates, and versions that come before themselves."""
    for value, updaters in key.updaters.items():
        if len(updaters) > 1:
            ops = [seen.transactions[each].mention() for each in updaters]
            read = None if value is None else original(value)
            text = lost_update_in_words(ops, read, key.value, WROTE)
            found.add("lost-update", {"key": key.value, "value": read, "txns": ops, "text": text})
    for cycle in key.cycles():
        values: list[Any] = [original(each) for each in cycle]
        steps = "; ".join(_updates(values))
        text = f"the versions of key {cut_json(key.value)} come before themselves: {steps}"
        found.add("cyclic-versions", {"key": key.value, "scc": values, "sources": ["wfr-keys"], "text": text})


def _updates(values: list[Any]) -> Iterator[str]:
    for before, after in zip(values, [*values[1:], values[0]], strict=True):
        yield f"a transaction read {cut_json(before)} and then wrote {cut_json(after)}"
