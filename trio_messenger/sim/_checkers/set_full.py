"""The checker of sets that only grow, for broadcast and g-set: what was added is seen, and stays.

It is Jepsen's set-full, and stricter.

Of each element it finds

- when it was *known*: its add was ok, or a read that saw it, whichever came first;
- the last read that saw it, and the last one that did not. Last means begun last. Only reads that ended after the add
  began count; the others could not have seen it.

From these follows what became of it:

- ``stable``: the last read saw it;
- ``lost``: the last read did not see it, and began when it was known already;
- ``never-read``: neither. It was never known, or no read began once it was.

Three things are judged that Jepsen lets pass.

- An element is also lost if the last final read of *any* node does not see it, and began when it was known already.
  Jepsen looks at one read only, the one that began last. All final reads begin at the same instant, so chance says
  which node that is, and a node that lacks half of all elements for good passes most of the time. Here the second of
  two rounds of final reads decides: an element that a node lacks in the first round only is stale.
- An element more than once in one read makes a history invalid, as Jepsen's source intends (its comparison is the wrong
  way round): what is read is a set, broadcast's messages as well.
- So does an element that nobody had begun to add when the read was over: it cannot have come from anywhere.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import Any, Final, Literal, TypeAlias, final

import attrs

from .._records.history import History, Op
from . import Results, Valid
from .quantiles import quantiles
from .values import Identity, identities, identity, in_order, mention, original

POINTS: Final = (0, 0.5, 0.95, 0.99, 1)
"""The quantiles of latencies that are told."""

WORST: Final = 8
"""Stale elements that are described, those with the greatest latencies; and lost ones, the first that were added."""

_Outcome: TypeAlias = Literal["stable", "lost", "never-read"]


def set_full(history: History, *, add: str = "add", read: str = "read") -> Results:
    """Judge whether what was added in *history* was read from some time on.

    Args:
      history: What happened.
      add: The function that adds its value to the set.
      read: The function that reads the whole set, as a list.

    Returns:
      ``valid?``: False if an element was lost, duplicated or unexpected; ``unknown`` if none was stable; else True.

      ``attempt-count``: how many elements were added, successfully or not. How many were stable, lost, never read, and
      stale (stable, but a read that began a millisecond or more after they were known did not see them):
      ``stable-count``, ``lost-count``, ``never-read-count``, ``stale-count``. Which ones: ``lost``, ``never-read``,
      ``stale``. ``worst-stale`` describes up to `WORST` of the stale ones.

      In ours alone, ``missing``: for each node the elements that make it lose, those that its last final read lacks;
      ``late``: for each node those that an earlier final read of it lacks, but not the last one; ``worst-lost``:
      describes up to `WORST` of the lost ones, with the nodes that they are ``missing-from``. Each is left out
      if it is empty, as ``missing`` and ``late`` are if the history does not say which node was asked.

      ``stable-latencies`` and ``lost-latencies``: quantiles (`POINTS`) of the milliseconds from the time an element
      was known to the last read that did not see it, and to the last one that did; left out if there are none.

      ``duplicated-count`` and ``duplicated``: elements that some read had more than once, each in a pair with how often
      at the most. ``unexpected-count`` and ``unexpected``: elements of reads that were over before their add began.
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
    added: int  # the index of the invocation of its (first) add
    known: Op | None = None  # a completion
    last_present: Op | None = None  # these two are invocations
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
        """Return whole milliseconds from when it was known to right after *last*; 0 if there is none."""
        if last is None or self.known is None:
            return 0
        return max(0, last.time + 1 - self.known.time) // 1_000_000


@final
class _Walk:
    """One pass through the history, in its order, to find when elements were known and what reads had too much."""

    def __init__(self, add: str, read: str) -> None:
        self.elements: dict[Identity, _Element] = {}  # in the order of their adds
        self.reads: list[tuple[Op, Op]] = []  # those that are ok: beginning and end
        self.duplicated: dict[Identity, int] = {}
        self.unexpected: set[Identity] = set()
        self.missing: dict[str, set[Identity]] = {}  # by node; the elements that its last final read lacks
        self.late: dict[str, set[Identity]] = {}  # and those that only an earlier one lacks
        self._add = add
        self._read = read
        self._begun: dict[int, Op] = {}
        self._unknown: set[Identity] = set()

    def step(self, op: Op) -> None:
        if op.type == "invoke":
            self._begun[op.process] = op
            if op.f == self._add:
                self._begin_add(op)
        elif op.type == "ok":
            begun = self._begun[op.process]
            if op.f == self._add:
                self._know({identity(begun.value)}, op)
            elif op.f == self._read:
                self.reads.append((begun, op))
                self._see(identities(op.value), op)

    def _begin_add(self, op: Op) -> None:
        element = identity(op.value)
        if element not in self.elements:
            self.elements[element] = _Element(op.value, op.index)
            self._unknown.add(element)

    def _know(self, elements: set[Identity], op: Op) -> None:
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
    """Find the last read with each element and the last one without it, from the last read backwards.

    Elements drop out when both are found, or when no earlier read ended after their add began. So this costs a few set
    operations for each read, and not a step for each element of each read.
    """
    reads = sorted(walk.reads, key=lambda read: read[0].index)
    latest_ends = list(accumulate((end.index for _, end in reads), max))  # of this read and those before it
    elements = walk.elements
    awaited = list(elements)
    no_present, no_absent = set(elements), set(elements)
    for (begun, end), latest_end in zip(reversed(reads), reversed(latest_ends), strict=True):
        while awaited and elements[awaited[-1]].added > latest_end:
            element = awaited.pop()
            no_present.discard(element)
            no_absent.discard(element)
        seen = set(identities(end.value))
        for element in no_present & seen:
            if elements[element].added < end.index:
                elements[element].last_present = begun
                no_present.discard(element)
        for element in no_absent - seen:
            if elements[element].added < end.index:
                elements[element].last_absent = begun
                no_absent.discard(element)


def _find_what_nodes_lack(walk: _Walk) -> None:
    """Find what each node's final reads lack of what was known when they began."""
    final: dict[str, list[set[Identity]]] = {}
    for begun, end in sorted(walk.reads, key=lambda read: read[0].index):
        if begun.final and begun.node is not None:
            unseen = walk.elements.keys() - set(identities(end.value))
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
        "stable-latencies": quantiles((each.latency_to(each.last_absent) for each in stable), POINTS),
        "lost-latencies": quantiles((each.latency_to(each.last_present) for each in lost), POINTS),
    }
    evidence = {
        "worst-lost": [
            {**_described(each, "lost-latency"), "missing-from": each.missing_from} for each in lost[:WORST]
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
        "duplicated": [[each, walk.duplicated[identity(each)]] for each in in_order(map(original, walk.duplicated))],
        **_listed("unexpected", [original(element) for element in walk.unexpected]),
    }


def _verdict(walk: _Walk, groups: dict[_Outcome, list[_Element]]) -> Valid:
    if groups["lost"] or walk.duplicated or walk.unexpected:
        return False
    return True if groups["stable"] else "unknown"


def _listed(name: str, values: list[Any]) -> Results:
    return {f"{name}-count": len(values), name: in_order(values)}


def _by_node(elements: dict[str, set[Identity]]) -> Results:
    return {node: in_order(map(original, some)) for node, some in elements.items() if some}


def _worst(stale: list[_Element]) -> list[_Element]:
    return sorted(stale, key=lambda element: -element.latency_to(element.last_absent))[:WORST]


def _described(element: _Element, latency: str) -> Results:
    """Describe an element, in Jepsen's words but without what the reads mentioned had read."""
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
