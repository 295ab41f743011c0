"""The checker of sets that only grow, for broadcast and g-set: added elements appear in reads, and stay there.

It is Jepsen's set-full checker, but stricter.

For each element it finds

- when it became *known*: the end of its add (if ok) or of a read that saw it, whichever came first;
- the last read that saw it, and the last read that did not. "Last" means begun last. Only reads that ended after the
  add began count; earlier reads could not have seen it.

These determine the outcome of the element:

- ``stable``: the last read saw it;
- ``lost``: the last read did not see it, and began after it was known;
- ``never-read``: neither. It was never known, or no read began after it was known.

The checker finds three errors that Jepsen accepts:

- An element is also lost if the last final read of *any* node does not see it, and began after it was known. Jepsen
  looks only at the one read that began last. All final reads begin at the same instant, so chance decides which node
  answers that read, and a node that permanently lacks half of all elements usually passes. Here the second of two
  rounds of final reads decides: an element that a node lacks only in the first round is stale.
- A history is invalid if one read has an element more than once. Jepsen's source intends this too (but its comparison
  is the wrong way round): a read returns a set, also in broadcast.
- A history is invalid if a read has an element that no client had begun to add before the read ended.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import Any, Final, Literal, TypeAlias, final

import attrs

from .._records.history import History, Op
from . import Results, Valid
from .quantiles import quantiles
from .values import ValueKey, in_order, mention, original, value_key, value_keys

VISIBILITY_POINTS: Final = (0, 0.5, 0.95, 0.99, 1)
"""The quantiles of latencies in the results."""

DESCRIBED: Final = 8
"""The number of stale elements that are described, with the greatest latencies first; and of lost ones, the first that
were added."""

_Outcome: TypeAlias = Literal["stable", "lost", "never-read"]


def set_full(history: History, *, add: str = "add", read: str = "read") -> Results:
    """Judge whether the elements added in *history* appear in reads from some time on.

    Args:
      history: The operations.
      add: The function that adds its value to the set.
      read: The function that reads the whole set, as a list.

    Returns:
      ``valid?``: False if an element was lost, duplicated or unexpected; ``unknown`` if none was stable; else True.

      ``attempt-count``: the number of elements added, successfully or not. ``stable-count``, ``lost-count``,
      ``never-read-count`` and ``stale-count``: the number of elements with this outcome. ``lost``, ``never-read`` and
      ``stale``: these elements. An element is stale if it is stable, but a read that began a millisecond or more after
      it was known did not see it. ``worst-stale`` describes up to `DESCRIBED` stale elements.

      Jepsen does not have the next three. ``missing``: for each node, the known elements that its last final read
      lacks. ``late``: for each node, those that an earlier final read lacks, but not the last one. ``worst-lost``
      describes up to `DESCRIBED` lost elements, with the nodes that they are ``missing-from``. Empty ones are left out;
      ``missing`` and ``late`` also if the history does not name the nodes.

      ``stable-latencies`` and ``lost-latencies``: quantiles (`VISIBILITY_POINTS`) of the milliseconds from the time
      when an element was known to the last read that did not see it (stable) or that did (lost); left out if there are
      none.

      ``duplicated-count`` and ``duplicated``: elements that occur more than once in a read, each in a pair with its
      greatest number of occurrences. ``unexpected-count`` and ``unexpected``: elements in reads that ended before the
      element's add began.
    """
    walk = _Walk(add, read)
    for op in history:
        walk.step(op)
    _find_last_reads(walk)
    _find_what_nodes_lack(walk)
    return _results(walk)


@final
@attrs.define(eq=False)
class _Element:
    value: Any
    added: int  # the index of the invocation of its first add
    known: Op | None = None  # a completion
    last_present: Op | None = None  # this and the next are invocations
    last_absent: Op | None = None
    missing_from: list[str] = attrs.Factory(list)  # the nodes whose last final read lacks it

    @property
    def outcome(self) -> _Outcome:
        if self.missing_from:
            return "lost"
        present = -1 if self.last_present is None else self.last_present.index
        absent = -1 if self.last_absent is None else self.last_absent.index
        if present > absent:
            return "stable"
        return "lost" if self.known is not None and self.known.index < absent else "never-read"

    def is_known_before(self, op: Op) -> bool:
        return self.known is not None and self.known.index < op.index

    def latency_to(self, last: Op | None) -> int:
        """Return the whole milliseconds from when the element was known to just after *last*; 0 if either is None."""
        if last is None or self.known is None:
            return 0
        return max(0, last.time + 1 - self.known.time) // 1_000_000


@final
class _Walk:
    """One pass through the history, to find when elements were known, and wrong elements in reads."""

    def __init__(self, add: str, read: str) -> None:
        self.elements: dict[ValueKey, _Element] = {}  # in the order of their adds
        self.reads: list[tuple[Op, Op]] = []  # the ok reads: invocation and completion
        self.duplicated: dict[ValueKey, int] = {}
        self.unexpected: set[ValueKey] = set()
        self.missing: dict[str, set[ValueKey]] = {}  # by node: the elements that its last final read lacks
        self.late: dict[str, set[ValueKey]] = {}  # by node: those that only an earlier final read lacks
        self._add = add
        self._read = read
        self._begun: dict[int, Op] = {}
        self._unknown: set[ValueKey] = set()

    def step(self, op: Op) -> None:
        if op.type == "invoke":
            self._begun[op.process] = op
            if op.f == self._add:
                self._begin_add(op)
        elif op.type == "ok":
            begun = self._begun[op.process]
            if op.f == self._add:
                self._know({value_key(begun.value)}, op)
            elif op.f == self._read:
                self.reads.append((begun, op))
                self._see(value_keys(op.value), op)

    def _begin_add(self, op: Op) -> None:
        element = value_key(op.value)
        if element not in self.elements:
            self.elements[element] = _Element(op.value, op.index)
            self._unknown.add(element)

    def _know(self, elements: set[ValueKey], op: Op) -> None:
        for element in elements & self._unknown:
            self.elements[element].known = op
            self._unknown.discard(element)

    def _see(self, listed: Any, op: Op) -> None:
        seen = set(listed)
        self._know(seen, op)
        if not self.elements.keys() >= seen:
            self.unexpected |= seen - self.elements.keys()
        if len(seen) < len(listed):
            for element, times in Counter(listed).items():
                if times > max(1, self.duplicated.get(element, 1)):
                    self.duplicated[element] = times


def _find_last_reads(walk: _Walk) -> None:
    """Find the last read with each element and the last read without it, going backwards from the last read.

    The search for an element stops when both are found, or when no earlier read ended after its add began. So each read
    costs a few set operations, not a step for each of its elements.
    """
    reads = sorted(walk.reads, key=lambda read: read[0].index)
    latest_ends = list(accumulate((end.index for _, end in reads), max))  # of this read and all earlier ones
    elements = walk.elements
    awaited = list(elements)
    no_present, no_absent = set(elements), set(elements)
    for (begun, end), latest_end in zip(reversed(reads), reversed(latest_ends), strict=True):
        while awaited and elements[awaited[-1]].added > latest_end:
            element = awaited.pop()
            no_present.discard(element)
            no_absent.discard(element)
        seen = set(value_keys(end.value))
        for element in no_present & seen:
            if elements[element].added < end.index:
                elements[element].last_present = begun
                no_present.discard(element)
        for element in no_absent - seen:
            if elements[element].added < end.index:
                elements[element].last_absent = begun
                no_absent.discard(element)


def _find_what_nodes_lack(walk: _Walk) -> None:
    """Find the elements that each node's final reads lack although they were known when the read began."""
    final: dict[str, list[set[ValueKey]]] = {}
    for begun, end in sorted(walk.reads, key=lambda read: read[0].index):
        if begun.final and begun.node is not None:
            unseen = walk.elements.keys() - set(value_keys(end.value))
            lacked = {element for element in unseen if walk.elements[element].is_known_before(begun)}
            final.setdefault(begun.node, []).append(lacked)
    for node, (*earlier, last) in final.items():
        walk.missing[node] = last
        walk.late[node] = set().union(*earlier) - last
        for element in last:
            walk.elements[element].missing_from.append(node)


def _results(walk: _Walk) -> Results:
    groups: dict[_Outcome, list[_Element]] = {"stable": [], "lost": [], "never-read": []}
    for element in walk.elements.values():
        groups[element.outcome].append(element)
    stable, lost, never_read = groups.values()
    stale = [element for element in stable if element.latency_to(element.last_absent) > 0]
    latencies = {
        "stable-latencies": quantiles((each.latency_to(each.last_absent) for each in stable), VISIBILITY_POINTS),
        "lost-latencies": quantiles((each.latency_to(each.last_present) for each in lost), VISIBILITY_POINTS),
    }
    evidence = {
        "worst-lost": [
            {**_described(each, "lost-latency"), "missing-from": each.missing_from} for each in lost[:DESCRIBED]
        ],
        "missing": _by_node(walk.missing),
        "late": _by_node(walk.late),
    }
    return {
        "valid?": _verdict(walk, groups),
        "attempt-count": len(walk.elements),
        "stable-count": len(stable),
        **_listed("lost", [element.value for element in lost]),
        **_listed("never-read", [element.value for element in never_read]),
        **_listed("stale", [element.value for element in stale]),
        "worst-stale": [_described(each, "stable-latency") for each in _worst(stale)],
        **{name: found for name, found in (latencies | evidence).items() if found},
        "duplicated-count": len(walk.duplicated),
        "duplicated": [[each, walk.duplicated[value_key(each)]] for each in in_order(map(original, walk.duplicated))],
        **_listed("unexpected", [original(element) for element in walk.unexpected]),
    }


def _verdict(walk: _Walk, groups: dict[_Outcome, list[_Element]]) -> Valid:
    if groups["lost"] or walk.duplicated or walk.unexpected:
        return False
    return True if groups["stable"] else "unknown"


def _listed(name: str, values: list[Any]) -> Results:
    return {f"{name}-count": len(values), name: in_order(values)}


def _by_node(elements: dict[str, set[ValueKey]]) -> Results:
    return {node: in_order(map(original, some)) for node, some in elements.items() if some}


def _worst(stale: list[_Element]) -> list[_Element]:
    return sorted(stale, key=lambda element: -element.latency_to(element.last_absent))[:DESCRIBED]


def _described(element: _Element, latency: str) -> Results:
    """Describe an element in Jepsen's terms, but without the values of the reads it mentions."""
    ops = {"known": element.known, "last-present": element.last_present, "last-absent": element.last_absent}
    if element.outcome == "stable":
        del ops["last-present"]
    last = element.last_absent if element.outcome == "stable" else element.last_present
    return {
        "element": element.value,
        "outcome": element.outcome,
        latency: element.latency_to(last),
        **{name: mention(op) for name, op in ops.items() if op},
    }
