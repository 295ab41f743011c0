"""Random schedules of faults, like those of Maelstrom's nemesis.

A nemesis of one kind begins a fault at once, ends it, begins the next one, and so on. The times between are uniformly
distributed from 0 to twice the interval. For each fault it draws new targets and new figures. Partitions are those of
Maelstrom, and targets are those of Jepsen (``jepsen/nemesis.clj``, ``jepsen/nemesis/combined.clj``). The other kinds
work in the same way.

Each kind has its own random streams, so adding or removing a kind does not change the faults of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final, TypeAlias, final

import attrs

from ..._protocol.known_names import unknown
from .._determinism.random_streams import Streams
from .faults import (
    BETWEEN_NODES,
    ClockSkew,
    Duplication,
    Fault,
    Kill,
    Links,
    Loss,
    Partition,
    Pause,
    Reordering,
    SlowLinks,
    Storage,
)

SHORTEST_INTERVAL: Final = 0.001
"""The shortest interval of a nemesis, in seconds. Times are rounded to milliseconds to keep them readable."""

MOST_FAULTS: Final = 100_000
"""The approximate limit of faults of one kind. All faults are created before the run begins."""

RATES: Final = (0.1, 0.5)
"""The least and the greatest probability that a message is lost, duplicated or held back."""

LONGEST_SKEW: Final = 60.0
"""The largest clock error in seconds. The smallest is 0.1 s, and all magnitudes between are equally likely."""

SLOWEST_SYNC: Final = 1.0
"""The largest limit, in seconds, of the time that a sync takes. The smallest is 0.01 s, and all magnitudes between are
equally likely."""

PERFECT_RING: Final = 5
"""Up to this number of nodes, overlapping majorities are consecutive nodes of a ring. With more nodes, Jepsen links
them at random, and so do we."""


@attrs.frozen
class _Round:
    """The place of one fault in the schedule."""

    nodes: tuple[str, ...]
    chance: Random
    at: float
    until: float

    def shuffled(self) -> list[str]:
        return self.chance.sample(self.nodes, len(self.nodes))

    def some(self, count: int) -> list[str]:
        """Return *count* random nodes, in their original order, for readability."""
        chosen = self.shuffled()[:count]
        return [node for node in self.nodes if node in chosen]

    def rate(self) -> float:
        return round(self.chance.uniform(*RATES), 2)


_Make: TypeAlias = Callable[[_Round], list[Fault]]

Rounds: TypeAlias = Callable[[Random, float, float], Iterator[tuple[float, float]]]
"""Yields the begin and end time of each fault of a kind, given its random stream, the interval and the time limit."""


@final
@attrs.frozen
class NemesisKind:
    """A kind of fault in random schedules."""

    name: str
    """Its name for ``--nemesis``."""
    help: str
    """Its effect, in one line."""
    _make: _Make = attrs.field(repr=False)

    def faults(
        self,
        nodes: Sequence[str],
        streams: Streams,
        interval: float,
        time_limit: float,
        *,
        rounds: Rounds | None = None,
    ) -> Iterator[Fault]:
        """Yield the faults of this kind; see `make_schedule`. *rounds* yields the begin and end time of each."""
        chance = streams.stream("nemesis", self.name, "targets")
        for at, until in (rounds or _rounds)(streams.stream("nemesis", self.name, "times"), interval, time_limit):
            yield from self._make(_Round(tuple(nodes), chance, at, until))


def make_schedule(
    kinds: Sequence[str], nodes: Sequence[str], seed: int, *, interval: float = 10.0, time_limit: float
) -> list[Fault]:
    """Return a random schedule of faults.

    The first fault of each kind begins at 0. A fault that would end after the main phase lasts to its end. If the
    drawn target is empty, such as a third of three nodes, that fault is left out.

    Args:
      kinds: Names in `NEMESES`, in any order.
      nodes: The ids of all nodes.
      seed: The seed of the run.
      interval: The average length of a fault, and of the gap to the next one, in seconds.
      time_limit: Length of the main phase in seconds.

    Returns:
      The faults, ordered by when they begin.

    Raises:
      ValueError: if a kind does not exist, or a figure is out of range; the text names the allowed values.

    Example:
      >>> for fault in make_schedule(["kill", "loss"], ["n1", "n2"], seed=1, interval=5, time_limit=15):
      ...     print(fault)
      Loss(at=0.0, until=0.885, links=(('n1', 'n2'), ('n2', 'n1')), rate=0.22)
      Kill(at=0.0, until=7.002, nodes=('n1', 'n2'))
      Loss(at=8.541, until=inf, links=(('n1', 'n2'), ('n2', 'n1')), rate=0.48)
      Kill(at=13.795, until=inf, nodes=('n1', 'n2'))
    """
    check_kinds(kinds)
    if not kinds:
        return []
    check_interval(interval, time_limit)
    streams = Streams(seed)
    faults = [
        fault for kind in NEMESES if kind.name in kinds for fault in kind.faults(nodes, streams, interval, time_limit)
    ]
    return sorted(faults, key=lambda fault: fault.at)


def check_interval(interval: float, time_limit: float) -> None:
    """Raise `ValueError` if a nemesis cannot have this *interval*; see `make_schedule`."""
    if not SHORTEST_INTERVAL <= interval < math.inf:
        raise ValueError(f"the nemesis interval is {interval} s; give a finite number of {SHORTEST_INTERVAL} or more")
    if not 0 <= time_limit < math.inf:
        raise ValueError(f"time_limit is {time_limit} s; give a finite number of 0 or more")
    if time_limit / interval > MOST_FAULTS:
        raise ValueError(
            f"the nemesis interval of {interval:g} s makes about {time_limit / interval:.0e} faults of a kind in"
            f" {time_limit:g} s; give a longer interval, for {MOST_FAULTS:,} faults or fewer"
        )


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise `ValueError` if one of *kinds* is not in `NEMESES`."""
    known = [kind.name for kind in NEMESES]
    for name in kinds:
        if name not in known:
            raise ValueError(unknown("nemesis", name, known))


def _rounds(chance: Random, interval: float, time_limit: float) -> Iterator[tuple[float, float]]:
    """Yield the begin and end time of each fault."""
    at = 0.0
    while at < time_limit:
        until = round(at + max(chance.uniform(0, 2 * interval), SHORTEST_INTERVAL), 3)
        yield at, until if until < time_limit else math.inf
        at = round(until + chance.uniform(0, 2 * interval), 3)


# Partitions


def _partition(now: _Round) -> list[Fault]:
    shape = now.chance.choice((_one, _majority, _minority_third, _majorities_ring))
    return _cut(shape(now), now)


def _one_way(now: _Round) -> list[Fault]:
    links = now.chance.choice((_one, _majority, _minority_third))(now)
    # `between` lists both directions: first the links from the smaller side, then the links to it.
    half = len(links) // 2
    return _cut(links[:half] if now.chance.random() < 1 / 2 else links[half:], now)


def _single_links(now: _Round) -> list[Fault]:
    return _cut(_few(now), now)


def _services(now: _Round) -> list[Fault]:
    return _cut(tuple(link for node in _some_nodes(now) for link in ((node, "services"), ("services", node))), now)


def _cut(links: Links, now: _Round) -> list[Fault]:
    return [Partition(at=now.at, until=now.until, links=links)] if links else []


def _one(now: _Round) -> Links:
    return _apart(now, 1)


def _majority(now: _Round) -> Links:
    return _apart(now, len(now.nodes) // 2)


def _minority_third(now: _Round) -> Links:
    return _apart(now, (len(now.nodes) - 1) // 3)


def _apart(now: _Round, count: int) -> Links:
    """Return the links, in both directions, between *count* random nodes and the others."""
    side = now.some(count)
    return Partition.between(side, [node for node in now.nodes if node not in side]).links


def _majorities_ring(now: _Round) -> Links:
    """Return the links to cut so that each node hears a majority, and no two nodes hear the same one."""
    ring = now.shuffled()
    heard = _perfect_ring(ring) if len(ring) <= PERFECT_RING else _linked_by_chance(ring, now.chance)
    return tuple((src, dest) for dest in now.nodes for src in now.nodes if src not in heard[dest])


def _perfect_ring(ring: Sequence[str]) -> dict[str, set[str]]:
    """Return whom each node hears: a majority of consecutive nodes of *ring*, with the node itself in the middle."""
    majority = len(ring) // 2 + 1
    windows = [[ring[(start + i) % len(ring)] for i in range(majority)] for start in range(len(ring))]
    return {window[majority // 2]: set(window) for window in windows}


def _linked_by_chance(nodes: Sequence[str], chance: Random) -> dict[str, set[str]]:
    """Return whom each node hears: link the two nodes that hear the fewest others until each hears a majority."""
    majority = len(nodes) // 2 + 1
    heard = {node: {node} for node in nodes}
    while True:
        least_first = sorted(chance.sample(nodes, len(nodes)), key=lambda node: len(heard[node]))
        one = least_first[0]
        if len(heard[one]) >= majority:
            return heard
        other = next(node for node in least_first if node not in heard[one])
        heard[one].add(other)
        heard[other].add(one)


# Link faults


def _loss(now: _Round) -> list[Fault]:
    links = _some_links(now)
    return [Loss(at=now.at, until=now.until, links=links, rate=now.rate())] if links else []


def _duplicate(now: _Round) -> list[Fault]:
    links = _some_links(now)
    return [Duplication(at=now.at, until=now.until, links=links, rate=now.rate())] if links else []


def _reorder(now: _Round) -> list[Fault]:
    links, seconds = _some_links(now), round(now.chance.uniform(0.05, 1), 2)
    return [Reordering(at=now.at, until=now.until, links=links, rate=now.rate(), seconds=seconds)] if links else []


def _slow(now: _Round) -> list[Fault]:
    # Without latency, a factor has no effect, so there is always an extra delay.
    links, factor = _some_links(now), now.chance.choice((1.0, 2.0, 10.0))
    extra = round(now.chance.uniform(0.05, 2.5), 2)
    return [SlowLinks(at=now.at, until=now.until, links=links, factor=factor, extra=extra)] if links else []


def _some_links(now: _Round) -> Links:
    return now.chance.choice((lambda _: BETWEEN_NODES, _one, _few))(now)


def _few(now: _Round) -> Links:
    """Return one to three single links, or fewer if there are not that many."""
    links = [(src, dest) for src in now.nodes for dest in now.nodes if src != dest]
    return tuple(now.chance.sample(links, min(now.chance.randint(1, 3), len(links))))


# Node faults


def _kill(now: _Round) -> list[Fault]:
    nodes = _some_nodes(now)
    return [Kill(at=now.at, until=now.until, nodes=nodes)] if nodes else []


def _pause(now: _Round) -> list[Fault]:
    nodes = _some_nodes(now)
    return [Pause(at=now.at, until=now.until, nodes=nodes)] if nodes else []


def _clock(now: _Round) -> list[Fault]:
    return [ClockSkew(at=now.at, until=now.until, nodes=[node], seconds=_skew(now.chance)) for node in _some_nodes(now)]


def _skew(chance: Random) -> float:
    seconds = round(LONGEST_SKEW * math.pow(0.1 / LONGEST_SKEW, chance.random()), 1)
    return seconds if chance.random() < 1 / 2 else -seconds


def _storage(now: _Round) -> list[Fault]:
    nodes, seconds = _some_nodes(now), round(SLOWEST_SYNC * math.pow(0.01 / SLOWEST_SYNC, now.chance.random()), 2)
    torn = round(now.chance.random(), 1)
    return [Storage(at=now.at, until=now.until, nodes=nodes, seconds=seconds, torn=torn)] if nodes else []


def _some_nodes(now: _Round) -> list[str]:
    """Return one node, a minority, a majority or all nodes, like Jepsen's targets."""
    majority = len(now.nodes) // 2 + 1
    return now.some(now.chance.choice((1, majority - 1, majority, len(now.nodes))))


NEMESES: Final = (
    NemesisKind(
        "partition", "Maelstrom's: isolates a node, a third or a half, or leaves overlapping majorities", _partition
    ),
    NemesisKind("oneway", "cuts the links between two groups of nodes, in one direction only", _one_way),
    NemesisKind("links", "cuts one to three single links, each in one direction", _single_links),
    NemesisKind("loss", "loses a tenth to a half of the messages on all links, or on some", _loss),
    NemesisKind("duplicate", "delivers a tenth to a half of the messages twice", _duplicate),
    NemesisKind("reorder", "holds back a tenth to a half of the messages, by up to a second", _reorder),
    NemesisKind("slow", "delays messages: multiplies their latency by up to 10, then adds up to 2.5 s", _slow),
    NemesisKind("kill", "kills one node, some or all, and starts them again", _kill),
    NemesisKind("pause", "pauses one node, some or all, and resumes them", _pause),
    NemesisKind("services", "cuts one node, some or all off from the services, such as lin-kv", _services),
    NemesisKind("clock", "sets the clocks of one node, some or all wrong, by 0.1 s to 60 s", _clock),
    NemesisKind("storage", "slows syncs by up to 1 s; a kill then loses what was not synced, or its end", _storage),
)
"""All kinds of faults in random schedules."""
