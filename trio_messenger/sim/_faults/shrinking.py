"""Shrinking: reduces a failing schedule of faults to the faults that matter.

The first step removes as many faults as possible by delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
failure-inducing input", 2002). The second step makes each remaining fault milder: fewer nodes or links, a shorter time,
smaller and rounder figures. The steps alternate until neither of them changes anything. All random draws of a run are
keyed, so removing a fault, or making it milder, shifts no other draw. Most failures therefore persist, for the same
reason.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar, final

import attrs

from .faults import Fault, LinkFault, Links, NodeFault

_T = TypeVar("_T")

SHRINK_BUDGET: Final = 500
"""The default limit of runs. With five nodes and a minute of virtual time each, 500 runs take some minutes."""

SHORTEST: Final = 0.25
"""Seconds. Times are reduced to multiples of this, a power of two, so that they stay exact."""

LONGEST: Final = 64.0
"""Seconds. A fault without an end is tried with durations up to this, and with begin times up to this."""

SMALLEST: Final = 0.01
"""The smallest distance of a figure from its value without effect. Applies to probabilities, factors and seconds."""

_DURATIONS: Final = tuple(SHORTEST * 2**k for k in range(int(math.log2(LONGEST / SHORTEST)) + 1))

_NO_FIGURES: Final = ("at", "until", "links", "nodes")

Fails: TypeAlias = Callable[[Sequence[Fault]], bool]
"""Runs with a schedule, and tells whether the run fails in the way that the search is for."""


class DoesNotFail(ValueError):
    """The schedule to reduce does not fail."""


@final
@attrs.frozen(kw_only=True)
class Shrunk:
    """The progress of the search for a smaller schedule."""

    faults: tuple[Fault, ...]
    """The smallest failing schedule so far; empty if the run fails without any fault."""
    runs: int
    """The number of runs. Each schedule is run once."""
    failures: int
    """How many of the runs failed."""
    is_minimal: bool
    """Whether the search is complete: the run then passes as soon as any one of the faults is removed."""


def shrink(
    faults: Sequence[Fault],
    fails: Fails,
    *,
    nodes: Sequence[str] = (),
    budget: int = SHRINK_BUDGET,
    progress: Callable[[Shrunk], object] = lambda _: None,
) -> Shrunk:
    """Reduce a failing schedule to a smaller one that also fails.

    The search is deterministic if *fails* is.

    Args:
      faults: The schedule.
      fails: Runs with a schedule, and tells whether the run fails. It is called once for each schedule. An exception
        from it ends the search.
      nodes: The ids of all nodes. The search needs them to reduce faults of the links between all nodes to some links.
      budget: The limit of runs. It includes the first two, which check that the run fails with *faults* and that it
        passes without faults.
      progress: Called after each run with the progress of the search.

    Raises:
      DoesNotFail: if *faults* do not fail.
      ValueError: if *budget* is less than 1.

    Example:
      A run that fails whenever ``n1`` is killed:

      >>> def fails(faults):
      ...     return any(isinstance(fault, Kill) and "n1" in fault.nodes for fault in faults)
      >>> faults = make_schedule(["kill", "loss"], ["n1", "n2"], seed=1, interval=5, time_limit=15)
      >>> shrunk = shrink(faults, fails)
      >>> shrunk.faults
      (Kill(at=6.75, until=7.0, nodes=('n1',)),)
      >>> len(faults), shrunk.runs, shrunk.failures, shrunk.is_minimal
      (4, 11, 9, True)
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}; give 1 or more runs")
    search = _Search(fails, budget, progress)
    if not search.fails(faults):
        raise DoesNotFail(f"the run does not fail with its {len(faults)} faults, so there is nothing to reduce")
    try:
        if not search.fails(()):
            _reduce(search, nodes)
    except _BudgetSpent:
        return search.state()
    return attrs.evolve(search.state(), is_minimal=True)


class _BudgetSpent(Exception):
    pass


@final
class _Search:
    def __init__(self, fails: Fails, budget: int, progress: Callable[[Shrunk], object]) -> None:
        self.best: tuple[Fault, ...] = ()  # set once the whole schedule was run
        self._fails = fails
        self._budget = budget
        self._progress = progress
        self._verdicts: dict[tuple[Fault, ...], bool] = {}

    def fails(self, faults: Sequence[Fault]) -> bool:
        """Tell whether *faults*, which are milder than the best so far, fail. If they do, they become the best."""
        key = tuple(faults)
        is_new = key not in self._verdicts
        if is_new:
            if len(self._verdicts) == self._budget:
                raise _BudgetSpent
            self._verdicts[key] = bool(self._fails(key))
        if self._verdicts[key]:
            self.best = key
        if is_new:
            self._progress(self.state())
        return self._verdicts[key]

    def state(self) -> Shrunk:
        verdicts = self._verdicts.values()
        return Shrunk(faults=self.best, runs=len(verdicts), failures=sum(verdicts), is_minimal=False)


def _reduce(search: _Search, nodes: Sequence[str]) -> None:
    """Remove faults and make the others milder, until nothing changes."""
    before: tuple[Fault, ...] | None = None
    while search.best != before:
        before = search.best
        ddmin(search.best, search.fails)
        for index in range(len(search.best)):
            _make_milder(search, index, nodes)


def ddmin(items: Sequence[_T], fails: Callable[[Sequence[_T]], bool]) -> Sequence[_T]:
    """Return a subset of *items*, in their order, that fails but passes as soon as any one item is removed.

    This is Zeller and Hildebrandt's algorithm. It assumes that *items* fail and that the empty subset passes.
    """
    pieces = 2
    while len(items) > 1:
        found = next(((part, then) for part, then in _parts(items, pieces) if fails(part)), None)
        if found is not None:
            items, pieces = found
        elif pieces < len(items):
            pieces = min(2 * pieces, len(items))
        else:
            break
    return items


def _parts(items: Sequence[_T], pieces: int) -> Iterator[tuple[Sequence[_T], int]]:
    """Cut *items* into *pieces*. Yield each piece, then the rest without each piece.

    Each comes with the number of pieces to cut it into next.
    """
    borders = [len(items) * k // pieces for k in range(pieces + 1)]
    for start, stop in itertools.pairwise(borders):
        yield items[start:stop], 2
    for start, stop in itertools.pairwise(borders):
        yield (*items[:start], *items[stop:]), max(pieces - 1, 2)


# Making one fault milder

_FailsWith: TypeAlias = Callable[[Fault], bool]  # tells whether the schedule fails with this fault as a replacement


def _make_milder(search: _Search, index: int, nodes: Sequence[str]) -> None:
    def fails_with(fault: Fault) -> bool:
        return search.fails((*search.best[:index], fault, *search.best[index + 1 :]))

    _narrow(search.best[index], fails_with, nodes)
    _shorten(search.best[index], fails_with)
    _lower(search.best[index], fails_with)


def _narrow(fault: Fault, fails_with: _FailsWith, nodes: Sequence[str]) -> None:
    """Reduce the nodes or links that *fault* affects."""
    if isinstance(fault, NodeFault):
        ddmin(fault.nodes, lambda fewer: fails_with(attrs.evolve(fault, nodes=fewer)))
    else:
        assert isinstance(fault, LinkFault)
        ddmin(single_links(fault.links, nodes), lambda fewer: fails_with(attrs.evolve(fault, links=fewer)))


def single_links(links: Links, nodes: Sequence[str]) -> Links:
    """Return *links*, with the group of all nodes expanded to single links from each of *nodes* to each other."""
    single: dict[tuple[str, str], None] = {}
    for link in links:
        if link == ("nodes", "nodes") and nodes:
            single.update({(src, dest): None for src in nodes for dest in nodes if src != dest})
        else:
            single[link] = None
    return tuple(single)


def _shorten(fault: Fault, fails_with: _FailsWith) -> None:
    """Round the times of *fault*, give it an end if it has none, then make it begin later and end earlier."""

    def attempt(at: float, until: float) -> None:
        nonlocal fault
        if fault.at <= at < until <= fault.until and (at, until) != (fault.at, fault.until):
            shorter = attrs.evolve(fault, at=at, until=until)
            if fails_with(shorter):
                fault = shorter

    attempt(math.ceil(fault.at / SHORTEST) * SHORTEST, fault.until)
    for step in _DURATIONS:
        if math.isinf(fault.until):
            attempt(fault.at, _after(fault.at, step))
    if not math.isinf(fault.until):
        attempt(fault.at, math.floor(fault.until / SHORTEST) * SHORTEST)
    for step in reversed(_DURATIONS):
        at = _after(fault.at, step)
        if at < LONGEST or not math.isinf(fault.until):
            attempt(at, fault.until)
        if not math.isinf(fault.until):
            attempt(fault.at, _before(fault.until, step))


def _after(seconds: float, step: float) -> float:
    """Return the first multiple of *step* after *seconds*."""
    return (math.floor(seconds / step) + 1) * step


def _before(seconds: float, step: float) -> float:
    """Return the last multiple of *step* before *seconds*."""
    return (math.ceil(seconds / step) - 1) * step


def _lower(fault: Fault, fails_with: _FailsWith) -> None:
    """Make the figures of *fault* smaller and rounder."""
    for name in [field.name for field in attrs.fields(type(fault)) if field.name not in _NO_FIGURES]:
        without_effect = 1.0 if name == "factor" else 0.0
        lower: Fault | None = fault
        while lower is not None:
            fault = lower
            figures = _milder_figures(getattr(fault, name), without_effect)
            milder = [attrs.evolve(fault, **{name: figure}) for figure in figures]
            lower = next((candidate for candidate in milder if fails_with(candidate)), None)


def _milder_figures(figure: float, without_effect: float) -> Iterator[float]:
    """Yield *without_effect*, then figures between it and *figure*."""
    distance = figure - without_effect
    if distance:
        yield without_effect
    for nearer in (_in_two_digits(distance / 2), _in_two_digits(distance * 3 / 4), _in_one_digit(distance)):
        milder = without_effect + nearer
        if abs(nearer) >= SMALLEST and abs(milder - without_effect) < abs(distance):
            yield milder


def _in_two_digits(figure: float) -> float:
    return float(f"{figure:.2g}")


def _in_one_digit(figure: float) -> float:
    """Return *figure* cut to its first digit."""
    digits, _, exponent = f"{figure:.12e}".partition("e")
    return float(f"{digits.partition('.')[0]}e{exponent}")
