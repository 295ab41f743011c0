"""Explanations of broadcast and g-set: which values a node lacks, since when they are known, and why they are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, final

from .._checkers import Results
from .._checkers.values import ValueKey, value_key, value_keys
from .._records.cut_texts import cut_json
from .._records.history import Op
from .._records.journal import Entry
from . import Finding
from .scene import Scene, Sent
from .words import in_words, listed, quantity, seconds

_NODE_GROUPS: Final = 5
"""The number of groups that get a sentence each; the nodes of a group lack the same values."""

_DETAILS: Final = 2
"""The number of values of a group, or of a kind of error, that get a sentence each."""


def explain(results: Results, scene: Scene, *, add: str, read: str) -> list[Finding]:
    """Return the findings of `~trio_messenger.sim._checkers.set_full.set_full` in sentences.

    Args:
      results: The result of the checker.
      scene: The run.
      add: The function that adds a value to the set.
      read: The function that reads the set.
    """
    walk = _Sets(results, scene, add, read)
    return [*walk.missing(), *walk.lost(), *walk.duplicated(), *walk.unexpected(), *walk.undecided(), *walk.remarks()]


@final
class _Sets:
    def __init__(self, results: Results, scene: Scene, add: str, read: str) -> None:
        self._results = results
        self._scene = scene
        self._acknowledged: dict[ValueKey, Op] = {}
        for operation in scene.history.operations(add):
            if operation.completion is not None and operation.outcome == "ok":
                self._acknowledged.setdefault(value_key(operation.invocation.value), operation.completion)
        self._reads = [op for op in scene.history if op.f == read and op.type == "ok"]

    def missing(self) -> Iterator[Finding]:
        groups: dict[str, tuple[list[str], list[Any]]] = {}  # nodes that lack the same values, and these values
        for node, values in self._results.get("missing", {}).items():
            groups.setdefault(f"{values}", ([], values))[0].append(node)
        for unsorted, values in list(groups.values())[:_NODE_GROUPS]:
            nodes = sorted(unsorted, key=lambda node: (len(node), node))  # n2 before n10
            lack = "lacks" if len(nodes) == 1 else "lack"
            total = quantity(self._results["attempt-count"], "value")
            text = f"{in_words(nodes)} {lack} {len(values):,} of the {total} at the end: {listed(values)}"
            reads = [self._last_read(node) for node in nodes]
            yield Finding(text, tuple(number for op in reads for number in self._scene.messages_of(op)))
            for value in values[:_DETAILS]:
                yield self._absence(value, reads[0])
        rest = sum(len(nodes) for nodes, _ in list(groups.values())[_NODE_GROUPS:])
        if rest:
            yield Finding(f"{quantity(rest, 'more node')} lack values at the end; results.json says which")

    def _last_read(self, node: str) -> Op:
        """Return the end of the last final read of *node*."""
        ends = [op for op in self._reads if op.final and op.node == node]
        return max(ends, key=lambda op: self._begun(op).index)

    def _begun(self, op: Op) -> Op:
        return self._scene.operation(op.index).invocation

    def _absence(self, value: Any, read: Op) -> Finding:
        """Say how *value* became known, and why the node that *read* asked does not have it."""
        node = read.node or "a node"
        known, why_known = self._known(value)
        why, shown_by = "", list[Sent]()
        if self._scene.has_messages:
            reason, found = self._why(node, self._scene.carriers(value, node, read.time))
            why, shown_by = f"; {reason}", [*found]
        numbers = [*self._scene.messages_of(known), *(sent.id for sent in shown_by)]
        return Finding(
            f"{cut_json(value)}: {why_known}, missing from {node}'s last read{why}", tuple(numbers), is_detail=True
        )

    def _known(self, value: Any) -> tuple[Op, str]:
        """Return the completion that proves that *value* was added, and a description of it."""
        wanted = value_key(value)
        op = self._acknowledged.get(wanted)
        if op is not None:
            return op, _acknowledged(op)
        op = next(op for op in self._reads if wanted in set(value_keys(op.value)))
        return op, f"never acknowledged, but {_read(op)}"

    def _why(self, node: str, carriers: Sequence[Sent]) -> tuple[str, Sequence[Sent]]:
        """Return why *node* lacks the value in *carriers*, and the carriers that show it."""
        if not carriers:
            return f"no message to {node} carried it", ()
        arrived = [(sent.arrival, sent) for sent in carriers if sent.arrival is not None]
        if arrived:
            arrival, sent = max(arrived, key=lambda each: each[0].i)
            return self._received(node, sent, arrival), [sent]
        last = carriers[-1]
        ending = self._scene.how_it_ended(last)
        if len(carriers) == 1:
            return f"the message that would have delivered it, from {last.src}, {ending}", [last]
        return f"none of {len(carriers):,} messages that carried it to {node} arrived: the last one {ending}", carriers

    def _received(self, node: str, sent: Sent, arrival: Entry) -> str:
        source = "a client" if self._scene.is_client(sent.src) else sent.src
        received = f"{node} received it from {source} at {seconds(arrival.t)}"
        death = self._scene.end_of_life(node, arrival)
        if death is None:
            return f"{received}, but still lacks it"
        by = "" if death.fault is None else f" by {self._scene.fault(death.fault)}"
        how = "ended" if death.event == "exit" else "was killed"
        return f"{received}, and {how}{by} at {seconds(death.t)}"

    def lost(self) -> Iterator[Finding]:
        """Explain values that are lost by the last read of all nodes, but missing from no single node's last read."""
        found = [each for each in self._results.get("worst-lost", ()) if not each["missing-from"]]
        for each in found[:_DETAILS]:
            known, why_known = self._known(each["element"])
            read = self._scene.history[each["last-absent"]["index"]]
            where = f"missing from the last read{_of(read)}, at {seconds(read.time)}"
            text = f"{cut_json(each['element'])}: {why_known}, {where}"
            yield Finding(text, (*self._scene.messages_of(known), *self._scene.messages_of(read)))
        rest = self._results["lost-count"] - len({value_key(each) for some in self._missing() for each in some})
        if found and rest > _DETAILS:
            yield Finding(f"in all, {quantity(rest, 'value')} were lost before the last reads of the nodes")

    def _missing(self) -> list[list[Any]]:
        return list(self._results.get("missing", {}).values())

    def duplicated(self) -> Iterator[Finding]:
        found = self._results["duplicated"]
        for value, times in found[:_DETAILS]:
            wanted = value_key(value)
            read = next(op for op in self._reads if list(value_keys(op.value)).count(wanted) == times)
            often = "twice" if times == 2 else f"{times:,} times"  # noqa: PLR2004 - a pair
            text = f"the read{_of(read)} at {seconds(read.time)} has the value {cut_json(value)} {often}"
            yield Finding(text, self._scene.messages_of(read))
        if len(found) > _DETAILS:
            rest = [value for value, _ in found[_DETAILS:]]
            yield Finding(f"other values that are in one read more than once: {listed(rest)}")

    def unexpected(self) -> Iterator[Finding]:
        found = self._results["unexpected"]
        for value in found[:_DETAILS]:
            wanted = value_key(value)
            read = next(op for op in self._reads if wanted in set(value_keys(op.value)))
            text = f"the read{_of(read)} at {seconds(read.time)} has the value {cut_json(value)}, which no client added"
            yield Finding(text, self._scene.messages_of(read))
        if len(found) > _DETAILS:
            yield Finding(f"other values in reads that no client added: {listed(found[_DETAILS:])}")

    def undecided(self) -> Iterator[Finding]:
        if self._results["valid?"] == "unknown":
            count = self._results["attempt-count"]
            tried = f"no read saw any of the {quantity(count, 'value')} that clients tried to add" if count else ""
            yield Finding(f"too little was seen to judge: {tried or 'clients added nothing'}")

    def remarks(self) -> Iterator[Finding]:
        for node, values in self._results.get("late", {}).items():
            text = f"{node} lacked {listed(values)} in a final read, but not in the last one"
            yield Finding(text, is_reason=False)
        for each in self._results["worst-stale"][:1]:
            known = self._scene.history[each["known"]["index"]]
            why_known = _read(known) if known in self._reads else _acknowledged(known)
            read = self._scene.history[each["last-absent"]["index"]]
            where = f"the read{_of(read)} at {seconds(read.time)}, {each['stable-latency']:,} ms later"
            text = f"the stalest value was {cut_json(each['element'])}: {why_known}, still missing from {where}"
            numbers = (*self._scene.messages_of(known), *self._scene.messages_of(read))
            yield Finding(text, numbers, is_reason=False)


def _acknowledged(op: Op) -> str:
    return f"acknowledged{'' if op.node is None else f' by {op.node}'} at {seconds(op.time)}"


def _read(op: Op) -> str:
    return f"read{'' if op.node is None else f' from {op.node}'} at {seconds(op.time)}"


def _of(op: Op) -> str:
    return "" if op.node is None else f" of {op.node}"
