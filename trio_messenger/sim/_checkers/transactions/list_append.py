"""The checker of txn-list-append: transactions that read lists and append to them.

It finds what Elle finds, and is stricter in these points:

- A read of an element that nobody appended is an anomaly, ``garbage-read``. Elle ignores it.
- ``null`` and ``[]`` are the same value of a read: the key was never written.
- If a failed append is part of the order, the appends before and after it still depend on each other.
- The orders of processes and of real time are always examined, so `strongest` is known whatever models are asked for.
- A process whose last transaction has an unknown outcome ran it after the transactions before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ..._records.cut_texts import cut_json
from ..._records.history import History
from .. import Results
from ..values import ValueKey, original
from .consistency_models import STRICT_SERIALIZABLE
from .cycle_search import CYCLE_BUDGET
from .dependency_graph import DependencyGraph
from .list_versions import ListKey, ListVersions, list_read
from .observations import Observations, Transaction, UnjudgeableError
from .sentences import APPENDED, at, lost_update_in_words, read_by
from .transaction_verdict import AnomaliesFound, Record, add_cycles, add_orders, result, too_little


def list_append(
    history: History,
    *,
    consistency_models: Sequence[str] = STRICT_SERIALIZABLE,
    anomalies: Sequence[str] = (),
    budget: int = CYCLE_BUDGET,
) -> Results:
    """Judge a history of transactions that read lists and append to them.

    Args:
      history: The operations. Those with the function ``txn`` are transactions: lists of ``["r", key, null]``, filled
        in if ok, and ``["append", key, value]``. No value may be appended twice to the same key.
      consistency_models: The models that the history should satisfy.
      anomalies: Anomalies that it should not have, whatever the models say.
      budget: The number of edges that the costly part of the search may follow; see `cycle_search`.

    Returns:
      ``valid?``: False if one of the models forbids an anomaly that was found. ``unknown`` if the budget did not
      suffice, if no read was ok, or if the history has another form; ``reason`` then says why.

      ``anomaly-types`` and ``anomalies``: the anomalies that are forbidden, with up to `RECORDS_PER_ANOMALY` records of
      each. ``other-anomalies``: those that are allowed. ``anomaly-counts``: how many there are. ``not`` and
      ``also-not``: the weakest models that the anomalies contradict, and the others. ``strongest``: the strongest
      models that they do not contradict.

    Raises:
      ValueError: if there is no such model or anomaly.
    """
    found = AnomaliesFound()
    try:
        seen = Observations(history, "append", list_read)
    except UnjudgeableError as exc:
        return result(found, models=consistency_models, anomalies=anomalies, reason=str(exc))
    versions = ListVersions(seen)
    for transaction in seen.transactions:
        if transaction.is_ok and len(transaction.ops) > 1:
            _judge_alone(transaction, seen, found)
    for key in versions.keys:
        _judge_reads(key, seen, found)
        _judge_updates(key, seen, found)
    _judge_lost_updates(versions, found)
    graph = DependencyGraph(len(seen.transactions))
    versions.add_dependencies(graph)
    add_orders(graph, seen)
    reason = add_cycles(found, graph, seen, why=versions.why, verb=APPENDED, budget=budget)
    return result(
        found,
        models=consistency_models,
        anomalies=anomalies,
        reason=too_little(seen.transactions) or reason,
        count=len(seen.transactions),
    )


def _read(key: Any, elements: list[ValueKey]) -> list[Any]:
    """Return the operation that read *elements*."""
    return ["r", key, [original(each) for each in elements]]


def _judge_alone(transaction: Transaction, seen: Observations, found: AnomaliesFound) -> None:
    """Find reads that contradict earlier operations of their transaction, and reads of its later appends."""
    for anomaly, key, elements, more in (*_internal(transaction), *_future(transaction)):
        op, mop = transaction.mention(), _read(seen.keys[key], elements)
        shown = read_by(op, mop[2], mop[1])
        if anomaly == "internal":
            expected = [each if each == "..." else original(each) for each in more]
            text = f"{shown}, but its earlier operations demand {cut_json(expected)}"
            found.add(anomaly, {"op": op, "mop": mop, "expected": expected, "text": text})
        else:
            element = original(more[0])
            text = f"{shown}, and appended {cut_json(element)} only afterwards"
            found.add(anomaly, {"op": op, "mop": mop, "element": element, "text": text})


def _internal(transaction: Transaction) -> Iterator[tuple[str, int, list[ValueKey], list[Any]]]:
    """Yield the first read that contradicts earlier operations, with the elements that these demand."""
    known: dict[int, tuple[bool, list[ValueKey]]] = {}  # by key: whether this is the whole list, or only its end
    for is_read, key, value in transaction.ops:
        is_whole, expected = known.get(key, (False, []))
        if not is_read:
            known[key] = (is_whole, [*expected, value])
            continue
        seen = value if is_whole or len(value) < len(expected) else value[len(value) - len(expected) :]
        if seen != expected:
            yield "internal", key, value, [*([] if is_whole else ["..."]), *expected]
            return
        known[key] = (True, value)


def _future(transaction: Transaction) -> Iterator[tuple[str, int, list[ValueKey], list[Any]]]:
    """Yield the first read of an element that the transaction appends later, with the element."""
    reads: list[tuple[int, list[ValueKey]]] = []
    for is_read, key, value in transaction.ops:
        if is_read:
            reads.append((key, value))
            continue
        for read_key, elements in reads:
            if read_key == key and value in elements:
                yield "future-read", key, elements, [value]
                return


def _judge_reads(key: ListKey, seen: Observations, found: AnomaliesFound) -> None:
    """Find reads of elements that failed, that nobody appended, or that are not the last of their transaction."""
    inner = _intermediate(key, seen)
    if inner or -1 in key.writer_at:
        for count, readers in enumerate(key.readers):
            for reader in readers:
                _judge_read(key, key.order[:count], seen.transactions[reader], inner, seen, found)
    for transaction, elements in key.strange_reads:
        _judge_read(key, elements, transaction, inner, seen, found)
        _judge_order(key, elements, transaction, found)


def _intermediate(key: ListKey, seen: Observations) -> dict[ValueKey, Transaction]:
    """Return the elements that their transaction followed by another one, with the transaction."""
    last: dict[int, ValueKey] = {}
    inner: dict[ValueKey, Transaction] = {}
    for element, writer in key.writers.items():
        if writer in last:
            inner[last[writer]] = seen.transactions[writer]
        last[writer] = element
    return inner


def _judge_read(
    key: ListKey,
    elements: list[ValueKey],
    transaction: Transaction,
    inner: dict[ValueKey, Transaction],
    seen: Observations,
    found: AnomaliesFound,
) -> None:
    place: Record = {"op": transaction.mention(), "mop": _read(key.value, elements)}
    shown = read_by(place["op"], place["mop"][2], key.value)
    for each in elements:
        if each in key.writers:
            continue
        element, writer = original(each), seen.failed_writers[key.number].get(each)
        if writer is None:
            text = f"{shown}, but nobody appended {cut_json(element)}"
            found.add("garbage-read", {**place, "element": element, "text": text})
        else:
            mentioned = writer.mention()
            text = f"{shown}, but {at(mentioned)}, which appended {cut_json(element)}, failed"
            found.add("G1a", {**place, "writer": mentioned, "element": element, "text": text})
    last = inner.get(elements[-1]) if elements else None
    if last is not None and last is not transaction:
        element, mentioned = original(elements[-1]), last.mention()
        text = f"{shown}, but {at(mentioned)} appended more after {cut_json(element)}"
        found.add("G1b", {**place, "writer": mentioned, "element": element, "text": text})


def _judge_order(key: ListKey, elements: list[ValueKey], transaction: Transaction, found: AnomaliesFound) -> None:
    """Judge a read that is not a prefix of the order."""
    op, mop = transaction.mention(), _read(key.value, elements)
    shown = read_by(op, mop[2], key.value)
    distinct = list(dict.fromkeys(elements))
    if len(distinct) < len(elements):
        duplicates = [[original(each), times] for each, times in Counter(elements).items() if times > 1]
        text = f"{shown}: {cut_json(duplicates[0][0])} is there {duplicates[0][1]} times"
        found.add("duplicate-elements", {"op": op, "mop": mop, "duplicates": duplicates, "text": text})
    if not key.is_prefix(distinct):
        longest = [original(each) for each in key.order]
        text = f"{shown}, which is no beginning of {cut_json(longest)}, the longest read of the key"
        found.add("incompatible-order", {"key": key.value, "values": [mop[2], longest], "op": op, "text": text})


def _judge_updates(key: ListKey, seen: Observations, found: AnomaliesFound) -> None:
    """Find appends of committed transactions to a list with an append of a failed one."""
    dirty: Transaction | None = None
    values: list[Any] = []
    for element in key.order:
        writer = seen.writer(key.number, element)
        if writer is None:
            continue
        values.append(original(element))
        if writer.number < 0:
            if dirty is None:
                dirty, values = writer, [original(element)]
        elif writer.is_ok:
            if dirty is not None:
                ops = [dirty.mention(), writer.mention()]
                text = (
                    f"{at(ops[1])} appended {cut_json(values[-1])} to key {cut_json(key.value)}, after"
                    f" {cut_json(values[0])}, which {at(ops[0])} appended although it failed"
                )
                found.add("dirty-update", {"key": key.value, "values": values, "txns": ops, "text": text})
            dirty = None


def _judge_lost_updates(versions: ListVersions, found: AnomaliesFound) -> None:
    """Find transactions that read the same version of a key, and then all appended to it."""
    updates: dict[tuple[int, int], list[Transaction]] = {}
    for transaction in versions.seen.transactions:
        if transaction.is_ok and len(transaction.ops) > 1:
            for number, elements in _updates(transaction):
                if versions.keys[number].is_prefix(elements):
                    updates.setdefault((number, len(elements)), []).append(transaction)
    for (number, count), transactions in updates.items():
        if len(transactions) > 1:
            key = versions.keys[number]
            value = [original(each) for each in key.order[:count]]
            ops = [each.mention() for each in transactions]
            text = lost_update_in_words(ops, value, key.value, APPENDED)
            found.add("lost-update", {"key": key.value, "value": value, "txns": ops, "text": text})


def _updates(transaction: Transaction) -> Iterator[tuple[int, list[ValueKey]]]:
    """Yield the keys that a transaction read before it appended to them, with what it read first."""
    reads: dict[int, list[ValueKey] | None] = {}
    for is_read, key, value in transaction.ops:
        if is_read:
            reads.setdefault(key, value)
        else:
            elements = reads.get(key)
            reads[key] = None  # a key counts once, and not if it was appended to before it was read
            if elements is not None:
                yield key, elements
