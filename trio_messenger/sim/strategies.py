"""Hypothesis strategies that generate fault schedules for property tests.

    @given(fault_schedules(["n1", "n2", "n3"], time_limit=10))
    def test_no_broadcast_is_lost(faults):
        report = simulate("broadcast", build, nodes=["n1", "n2", "n3"], time_limit=10, faults=faults)
        assert report.valid is True, str(report)

Do not use `Report.assert_valid` here: it searches for a smaller schedule each time, and Hypothesis already does that.
Hypothesis reduces a failing schedule to fewer faults, then to milder ones.

No other module of the package imports Hypothesis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypedDict

from hypothesis import strategies as st

from .._protocol.known_names import unknown
from ._faults.faults import (
    BETWEEN_NODES,
    KINDS,
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
from ._faults.schedules import LONGEST_SKEW

MAX_SIZE: Final = 5
"""Default limit of faults in a schedule. Larger schedules rarely find more failures, but take longer to reduce."""

_QUARTERS: Final = 4
"""Times are multiples of a quarter of a second, because those are exact in binary."""

_EIGHTHS: Final = 8
"""Probabilities are multiples of an eighth, for the same reason."""

_LONGEST_DELAY: Final = 8 * _QUARTERS  # the longest delay of a message
_SKEW_IN_QUARTERS: Final = round(LONGEST_SKEW) * _QUARTERS


class _Times(TypedDict):
    at: float
    until: float


def fault_schedules(
    nodes: Sequence[str],
    *,
    time_limit: float = 60.0,
    kinds: Sequence[str] = tuple(KINDS),
    max_size: int = MAX_SIZE,
) -> st.SearchStrategy[list[Fault]]:
    """Return a strategy for schedules of faults. The simplest schedule is empty; mild and short faults are simpler.

    Args:
      nodes: The ids of the simulated nodes.
      time_limit: Length of the main phase in seconds; every fault ends by then.
      kinds: The kinds of faults to generate, by name, such as ``partition``.
      max_size: The largest number of faults in a schedule.

    Raises:
      ValueError: if a kind does not exist, *nodes* is empty, or *time_limit* is less than a quarter of a second or
        infinite.

    Example:
      >>> from hypothesis import given, settings
      >>> @settings(max_examples=3, deadline=None, derandomize=True, database=None)
      ... @given(fault_schedules(["n1", "n2"], time_limit=2, kinds=["loss", "kill"], max_size=2))
      ... def test_nothing_is_lost(faults):
      ...     report = simulate("broadcast", broadcast.build, nodes=["n1", "n2"], time_limit=2, faults=faults)
      ...     assert report.valid is not False, str(report)
      >>> test_nothing_is_lost()
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(unknown("fault of kind", kind, KINDS))
    if not nodes:
        raise ValueError("there are no nodes; give the id of one or more")
    if not 1 / _QUARTERS <= time_limit < math.inf:
        raise ValueError(f"time_limit is {time_limit} s; give a finite number of {1 / _QUARTERS} or more")
    times = _times(math.floor(time_limit * _QUARTERS))
    makers = {**_link_faults(times, _links(nodes)), **_node_faults(times, _some(nodes))}
    # Hypothesis can replace a part of its draw by the simplest value in one step, but it cannot leave out a part of
    # this size. So the simplest fault is None.
    some = st.lists(st.one_of(st.none(), *(makers[kind] for kind in kinds)), max_size=max_size)
    return some.map(lambda drawn: [fault for fault in drawn if fault is not None])


# To Hypothesis, a schedule is simpler if it takes fewer choices, and with equally many if the choices are smaller. So
# all alternatives for one place take the same number of choices. Otherwise Hypothesis would prefer, for example, all
# links to a single one.


def _times(quarters: int) -> st.SearchStrategy[_Times]:
    """Return a strategy for the begin and end times of faults."""

    def times(drawn: tuple[int, int]) -> _Times:
        at, duration = drawn
        return _Times(at=at / _QUARTERS, until=min(at + duration, quarters) / _QUARTERS)

    return st.tuples(st.integers(0, quarters - 1), st.integers(1, quarters)).map(times)


def _links(nodes: Sequence[str]) -> st.SearchStrategy[Links]:
    """Return a strategy for links: a single link, the links between two sides (one way or both), or all links."""
    if len(nodes) == 1:
        return st.just(BETWEEN_NODES)
    single = [(src, dest) for src in nodes for dest in nodes if src != dest]
    sides = 2 ** len(nodes) - 2

    def links(drawn: tuple[str, int]) -> Links:
        shape, which = drawn
        if shape == "single":
            return (single[which % len(single)],)
        side = _subset(nodes, which % sides + 1)
        out = tuple((src, dest) for src in side for dest in nodes if dest not in side)
        back = tuple((dest, src) for src, dest in out)
        return {"from": out, "to": back, "both": out + back, "all": BETWEEN_NODES}[shape]

    shapes = st.sampled_from(("single", "from", "to", "both", "all"))
    return st.tuples(shapes, st.integers(0, max(len(single), sides) - 1)).map(links)


def _some(nodes: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a strategy for one node or several."""
    one = st.integers(0, len(nodes) - 1).map(lambda index: (nodes[index],))
    return st.one_of(one, st.integers(1, 2 ** len(nodes) - 1).map(lambda bits: _subset(nodes, bits)))


def _subset(nodes: Sequence[str], bits: int) -> tuple[str, ...]:
    return tuple(node for index, node in enumerate(nodes) if bits >> index & 1)


def _link_faults(
    times: st.SearchStrategy[_Times], links: st.SearchStrategy[Links]
) -> dict[str, st.SearchStrategy[Fault]]:
    rates = st.integers(1, _EIGHTHS).map(lambda rate: rate / _EIGHTHS)
    delays = st.integers(1, _LONGEST_DELAY).map(lambda delay: delay / _QUARTERS)
    factors = st.integers(1, 10).map(float)
    return {
        "partition": _build(lambda when, where: Partition(**when, links=where), times, links),
        "loss": _build(lambda when, where, rate: Loss(**when, links=where, rate=rate), times, links, rates),
        "duplicate": _build(lambda when, where, rate: Duplication(**when, links=where, rate=rate), times, links, rates),
        "reorder": _build(
            lambda when, where, rate, seconds: Reordering(**when, links=where, rate=rate, seconds=seconds),
            *(times, links, rates, delays),
        ),
        "slow": _build(
            lambda when, where, factor, extra: SlowLinks(**when, links=where, factor=factor, extra=extra),
            *(times, links, factors, delays),  # always some delay: without latency, a factor has no effect
        ),
    }


def _node_faults(
    times: st.SearchStrategy[_Times], nodes: st.SearchStrategy[tuple[str, ...]]
) -> dict[str, st.SearchStrategy[Fault]]:
    ahead = st.integers(1, _SKEW_IN_QUARTERS).map(lambda skew: skew / _QUARTERS)
    syncs = st.integers(0, _QUARTERS).map(lambda seconds: seconds / _QUARTERS)
    skews = st.one_of(ahead, ahead.map(lambda skew: -skew))
    return {
        "kill": _build(lambda when, who: Kill(**when, nodes=who), times, nodes),
        "pause": _build(lambda when, who: Pause(**when, nodes=who), times, nodes),
        "clock": _build(lambda when, who, skew: ClockSkew(**when, nodes=who, seconds=skew), times, nodes, skews),
        "storage": _build(
            lambda when, who, torn, seconds: Storage(**when, nodes=who, torn=torn / _EIGHTHS, seconds=seconds),
            *(times, nodes, st.integers(0, _EIGHTHS), syncs),
        ),
    }


def _build(make: Callable[..., Fault], *parts: st.SearchStrategy[object]) -> st.SearchStrategy[Fault]:
    return st.tuples(*parts).map(lambda drawn: make(*drawn))
