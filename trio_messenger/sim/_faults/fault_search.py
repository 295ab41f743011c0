"""Searches: how a schedule of faults is drawn from a seed, where `make_schedule` draws all kinds in the same manner.

No way to draw them finds every mistake first, so there are several, and ``mix`` draws one of them for each seed. Each
gives an ordinary schedule. The lengths of its faults are log-uniform: short ones hit what takes milliseconds, and long
ones outlast timeouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final, TypeAlias, final

import attrs

from ..._protocol.known_names import unknown
from .._determinism.random_streams import Streams
from .faults import Fault, Kill, Partition, Pause, SlowLinks, describe
from .schedules import MOST_FAULTS, NEMESES, SHORTEST_INTERVAL, check_interval, make_schedule

UNIFORM: Final = "uniform"
AIMED: Final = "aimed"
SWARM: Final = "swarm"
SWIZZLE: Final = "swizzle"
MIX: Final = "mix"

SEARCHES: Final = (UNIFORM, AIMED, SWARM, SWIZZLE, MIX)
"""The names of all searches, for ``--search``."""

MOST_LATENCY: Final = 100.0
"""The greatest latency that a swarm draws, in milliseconds."""

LENGTHS: Final = (0.01, 4.0)
"""The least and the greatest length of a fault in a search, in intervals of the nemesis. Their logarithms are uniformly
distributed, so the mean is about two thirds of an interval."""


@final
@attrs.frozen(kw_only=True)
class Aim:
    """An event of a run without faults, at which a fault is aimed.

    Example:
      >>> aim = Aim(at=1.25, node="n1", peer="c7", event="n1 sent echo_ok to c7")
      >>> FaultSearch("aimed", aims=[aim]).aims[0].node
      'n1'
    """

    at: float
    """When it happened, in seconds since the main phase began."""
    node: str
    """The node that sent or received the message, or that changed its role."""
    peer: str | None = None
    """Who is at the other end of the message."""
    event: str
    """What happened, in words."""


def _as_aims(aims: Sequence[Aim] | None) -> tuple[Aim, ...] | None:
    return None if aims is None else tuple(aims)


@final
@attrs.frozen
class FaultSearch:
    """How the nemesis draws its schedule from the seed.

    Example:
      >>> options = Options(workload="echo", nemesis=["kill"], search="swizzle")
      >>> options.search
      FaultSearch(strategy='swizzle', aims=None)
      >>> options.search.of_seed(["kill"], seed=1)
      'swizzle'
    """

    strategy: str = attrs.field(default=UNIFORM)
    """``uniform``, ``aimed``, ``swarm``, ``swizzle``, or ``mix``, which is one of the others, drawn from the seed."""
    aims: tuple[Aim, ...] | None = attrs.field(default=None, converter=_as_aims)
    """What an aimed schedule aims at; None as long as there was no run without faults."""

    @strategy.validator
    def _is_known(self, _: object, strategy: str) -> None:
        if strategy not in SEARCHES:
            raise ValueError(unknown("search", strategy, SEARCHES))

    def of_seed(self, kinds: Sequence[str], seed: int) -> str:
        """Return the strategy for *seed*, given the kinds of the nemesis: not ``mix``, but what that draws."""
        if self.strategy != MIX:
            return self.strategy
        possible = [UNIFORM, SWARM, *([AIMED, SWIZZLE] if stopping_kinds(kinds) else [])]
        return Streams(seed).stream("search", MIX).choice(possible)


def as_search(value: str | FaultSearch) -> FaultSearch:
    """Return *value*, a search or the name of its strategy, as a search.

    Raises:
      ValueError: if there is no such search.
    """
    return value if isinstance(value, FaultSearch) else FaultSearch(value)


def check_search(search: FaultSearch, kinds: Sequence[str]) -> None:
    """Check that *search* can draw a schedule of *kinds*.

    Raises:
      ValueError: if it cannot; the text says what would help.
    """
    strategy = search.strategy
    if strategy == UNIFORM:
        return
    if not kinds:
        raise ValueError(f"search is {strategy!r}, which draws the faults of a nemesis; give a nemesis, too")
    if strategy in (AIMED, SWIZZLE) and not stopping_kinds(kinds):
        raise ValueError(
            f"search is {strategy!r}, which stops nodes or links, and the nemesis ({', '.join(kinds)}) does not; give"
            f" one of {', '.join(_STOPS)}, or search with {UNIFORM} or {SWARM}"
        )


@final
@attrs.frozen
class Drawn:
    """A schedule that a search has drawn."""

    strategy: str
    """How it was drawn; never ``mix``."""
    faults: tuple[Fault, ...]
    """The schedule."""
    lines: tuple[str, ...] = ()
    """What was drawn, in words, besides the faults."""


def draw_schedule(
    search: FaultSearch, kinds: Sequence[str], nodes: Sequence[str], seed: int, *, interval: float, time_limit: float
) -> Drawn:
    """Draw a schedule of faults; see `make_schedule` for the arguments and the errors.

    An aimed schedule is empty as long as *search* has no aims.
    """
    strategy = search.of_seed(kinds, seed)
    if strategy == UNIFORM:
        return Drawn(UNIFORM, tuple(make_schedule(kinds, nodes, seed, interval=interval, time_limit=time_limit)))
    if not kinds:
        return Drawn(strategy, ())
    check_interval(interval, time_limit)
    place = _Place(tuple(kinds), tuple(nodes), Streams(seed), interval, time_limit)
    if strategy == SWARM:
        return _swarm(place)
    return _swizzle(place) if strategy == SWIZZLE else _aimed(place, search.aims)


@attrs.frozen
class _Place:
    """What every search needs to draw."""

    kinds: tuple[str, ...]
    nodes: tuple[str, ...]
    streams: Streams
    interval: float
    time_limit: float

    def stream(self, *names: str) -> Random:
        return self.streams.stream("search", *names)

    def until(self, at: float, seconds: float) -> float:
        """Return the end of a fault that begins at *at*: that of the main phase, if it comes first."""
        end = round(at + max(seconds, SHORTEST_INTERVAL), 3)
        return end if end < self.time_limit else math.inf


def _log_uniform(chance: Random, least: float, greatest: float) -> float:
    return least * math.pow(greatest / least, chance.random())


def _length(chance: Random, interval: float) -> float:
    return interval * _log_uniform(chance, *LENGTHS)


def _log_rounds(chance: Random, interval: float, time_limit: float) -> Iterator[tuple[float, float]]:
    """Yield the begin and end time of each fault of a kind, as `uniform_rounds` does, with other lengths."""
    at = round(chance.uniform(0, interval), 3)
    while at < time_limit:
        until = round(at + max(_length(chance, interval), SHORTEST_INTERVAL), 3)
        yield at, until if until < time_limit else math.inf
        at = round(until + chance.uniform(0, 2 * interval), 3)


# Swarm


def _swarm(place: _Place) -> Drawn:
    """Draw some of the kinds, an interval for each, and a latency."""
    chance = place.stream(SWARM)
    known = [kind for kind in NEMESES if kind.name in place.kinds]
    drawn = chance.sample([kind.name for kind in known], chance.randint(1, len(known)))
    least = max(SHORTEST_INTERVAL, place.interval / 10, place.time_limit / MOST_FAULTS)
    faults: list[Fault] = []
    lines = []
    for kind in known:
        if kind.name not in drawn:
            continue
        interval = round(_log_uniform(chance, least, max(least, place.interval)), 3)
        faults += kind.faults(place.nodes, place.streams, interval, place.time_limit, rounds=_log_rounds)
        lines.append(f"{kind.name} every {interval:g} s")
    latency = round(_log_uniform(chance, 1.0, MOST_LATENCY), 1) if chance.random() < 1 / 2 else 0.0
    if latency:
        faults.append(SlowLinks(links=_INSIDE, factor=1.0, extra=latency / 1000))
        lines.append(f"{latency:g} ms of latency")
    return Drawn(SWARM, tuple(sorted(faults, key=lambda fault: fault.at)), tuple(lines))


_INSIDE: Final = (("nodes", "nodes"), ("nodes", "services"), ("services", "nodes"))


# Faults that stop one node, or links of it


@attrs.frozen
class _Stop:
    """What is stopped, and when: a node, and perhaps the other end of one of its messages."""

    node: str
    peer: str | None
    at: float
    until: float
    nodes: tuple[str, ...]
    chance: Random

    def cut(self, *links: tuple[str, str]) -> Fault:
        return Partition(at=self.at, until=self.until, links=links)

    def others(self) -> list[str]:
        return [node for node in self.nodes if node != self.node]

    def other(self) -> str:
        return self.peer if self.peer in self.others() else self.chance.choice(self.others())


_MakeStop: TypeAlias = Callable[[_Stop], Fault]


def _cut_off(stop: _Stop) -> Fault:
    return Partition.between([stop.node], stop.others(), at=stop.at, until=stop.until)


def _cut_one_way(stop: _Stop) -> Fault:
    is_deaf = stop.chance.random() < 1 / 2
    return stop.cut(*[(node, stop.node) if is_deaf else (stop.node, node) for node in stop.others()])


def _cut_link(stop: _Stop) -> Fault:
    other = stop.other()
    return stop.cut((stop.node, other) if stop.chance.random() < 1 / 2 else (other, stop.node))


def _cut_services(stop: _Stop) -> Fault:
    return stop.cut((stop.node, "services"), ("services", stop.node))


_OF_TWO_NODES: Final[dict[str, _MakeStop]] = {"partition": _cut_off, "oneway": _cut_one_way, "links": _cut_link}
"""Those that need two nodes."""

_STOPS: Final[dict[str, _MakeStop]] = {
    "kill": lambda stop: Kill(at=stop.at, until=stop.until, nodes=[stop.node]),
    "pause": lambda stop: Pause(at=stop.at, until=stop.until, nodes=[stop.node]),
    **_OF_TWO_NODES,
    "services": _cut_services,
}
"""How each kind of the nemesis stops a node or links of it."""


def stopping_kinds(kinds: Sequence[str]) -> list[str]:
    """Return those of *kinds* that stop nodes or links, and so can be aimed at an event or swizzled."""
    return [kind for kind in _STOPS if kind in kinds]


def _stops(place: _Place) -> list[str]:
    return [kind for kind in stopping_kinds(place.kinds) if len(place.nodes) > 1 or kind not in _OF_TWO_NODES]


# Swizzle


def _swizzle(place: _Place) -> Drawn:
    """Stop some nodes, or their links, one after another, release them in another order, and begin again."""
    chance, faults, lines = place.stream(SWIZZLE), [], []
    kinds = _stops(place)
    for at, until in _log_rounds(chance, place.interval, place.time_limit) if kinds else ():
        end, kind = min(until, place.time_limit), chance.choice(kinds)
        members = chance.sample(place.nodes, chance.randint(min(2, len(place.nodes)), len(place.nodes)))
        middle = (at + end) / 2
        begins = [at, *sorted(round(chance.uniform(at, middle), 3) for _ in members[1:])]
        for node, begin in zip(members, begins, strict=True):
            stop = place.until(begin, chance.uniform(middle, end) - begin)
            faults.append(_STOPS[kind](_Stop(node, None, begin, stop, place.nodes, chance)))
        lines.append(f"{kind} of {', '.join(members)}, one after another, from {at:g} s until {end:g} s")
    return Drawn(SWIZZLE, tuple(sorted(faults, key=lambda fault: fault.at)), tuple(lines))


# Aimed

_OFFSETS: Final = (0.0001, 0.1)
"""The least and the greatest offset of an aimed fault from its event, in seconds, unless there is no offset at all."""


def most_aims(interval: float, time_limit: float) -> int:
    """Return the largest number of events that an aimed schedule aims at."""
    return max(1, min(MOST_AIMS, round(2 * time_limit / interval)))


MOST_AIMS: Final = 100
"""The largest number of events that an aimed schedule aims at. Each fault makes the rest of the run differ from the run
without faults, so late aims are only near to events."""


def _aimed(place: _Place, aims: Sequence[Aim] | None) -> Drawn:
    """Stop a node, or links of it, at or shortly after each of *aims*."""
    if aims is None:
        return Drawn(AIMED, (), ("no fault: the run without faults fails",))
    chance, kinds = place.stream(AIMED, "faults"), _stops(place)
    if not aims or not kinds:
        return Drawn(AIMED, (), ("no fault: there is no event to aim at",))
    faults, lines = [], []
    for aim in aims:
        kind = chance.choice(kinds)
        offset = 0.0 if chance.random() < 1 / 4 else _log_uniform(chance, *_OFFSETS)
        at = round(aim.at + offset, 9 if not offset else 6)
        until = place.until(at, _length(chance, place.interval))
        if at < place.time_limit:
            fault = _STOPS[kind](_Stop(aim.node, aim.peer, at, until, place.nodes, chance))
            when = f"{1000 * offset:.3g} ms after" if offset else "when"
            faults.append(fault)
            lines.append(f"{describe(fault)} {when} {aim.event} at {aim.at:.3f} s")
    return Drawn(AIMED, tuple(sorted(faults, key=lambda fault: fault.at)), tuple(lines))
