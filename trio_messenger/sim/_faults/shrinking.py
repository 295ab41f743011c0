"""Reducing a schedule of faults that fails to what matters.

First as many faults as possible are taken away, by delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
failure-inducing input", 2002), then each one left is made milder: fewer nodes or links, a shorter time, smaller and
rounder figures; and so on, until neither finds anything. Since all chance of a run is keyed, a fault that is taken away
or made milder shifts nothing else: most of what fails goes on failing, for the same reason.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar, final

import attrs

from .faults import Fault, LinkFault, Links, NodeFault

_T = TypeVar("_T")

BUDGET: Final = 500
"""Runs that are made at the most. With five nodes and a minute each that is some minutes of the machine's time."""

SHORTEST: Final = 0.25
"""Seconds: times are reduced to multiples of it. A power of two, so that they stay exact."""

LONGEST: Final = 64.0
"""Seconds: a fault without an end is tried with up to this duration, and with a beginning up to then."""

SMALLEST: Final = 0.01
"""How far from having no effect a figure of a fault is at the least: probabilities, factors and seconds alike."""

_STEPS: Final = tuple(SHORTEST * 2**k for k in range(int(math.log2(LONGEST / SHORTEST)) + 1))

_NO_FIGURES: Final = ("at", "until", "links", "nodes")

Fails: TypeAlias = Callable[[Sequence[Fault]], bool]
"""Runs with a schedule, and tells whether it fails in the way that is sought."""


class DoesNotFail(ValueError):
    """The schedule that was to be reduced does not fail."""


@final
@attrs.frozen(kw_only=True)
class Shrunk:
    """How far the search for a smaller schedule is."""

    faults: tuple[Fault, ...]
    """The smallest schedule so far that fails; empty if it fails without any fault."""
    runs: int
    """Schedules that were run; none is run twice."""
    failures: int
    """How many of them failed."""
    is_minimal: bool
    """Whether the search has come to its end: then it passes without any one of the faults."""


def shrink(
    faults: Sequence[Fault],
    fails: Fails,
    *,
    nodes: Sequence[str] = (),
    budget: int = BUDGET,
    progress: Callable[[Shrunk], object] = lambda _: None,
) -> Shrunk:
    """Reduce a schedule that fails to a smaller one that fails as well.

    The same schedule is reduced in the same way each time, if *fails* says the same of the same schedule each time.

    Args:
      faults: The schedule.
      fails: Runs with a schedule, and tells whether that fails. Not called twice with the same one. What it raises
        ends the search.
      nodes: The ids of all nodes, so that faults of the links between all of them can be reduced to some of these.
      budget: How many runs to make at the most, the two that verify that *faults* fail, and that it takes faults to
        fail, among them.
      progress: Called after each run with how far the search is.

    Raises:
      DoesNotFail: if *faults* do not fail.
      ValueError: if *budget* is less than 1.
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}; give 1 run or more")
    search = _Search(fails, budget, progress)
    if not search.fails(faults):
        raise DoesNotFail(f"with its {len(faults)} faults the run does not fail, so there is nothing to reduce")
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
        """Tell whether *faults*, which are milder than the best so far, fail, and are the best then."""
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
    """Take faults away and make them milder, until nothing changes."""
    before: tuple[Fault, ...] | None = None
    while search.best != before:
        before = search.best
        ddmin(search.best, search.fails)
        for index in range(len(search.best)):
            _make_milder(search, index, nodes)


def ddmin(items: Sequence[_T], fails: Callable[[Sequence[_T]], bool]) -> Sequence[_T]:
    """Return some of *items*, in their order, that fail, while without any one of them they do not.

    Zeller and Hildebrandt's algorithm, which takes for granted that *items* fail, and that it takes at least one.
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
    """Yield each of so many *pieces* of *items*, then all but each; and into how many pieces to cut those then."""
    borders = [len(items) * k // pieces for k in range(pieces + 1)]
    for start, stop in itertools.pairwise(borders):
        yield items[start:stop], 2
    for start, stop in itertools.pairwise(borders):
        yield (*items[:start], *items[stop:]), max(pieces - 1, 2)


# Making one fault milder

_FailsWith: TypeAlias = Callable[[Fault], bool]  # tells whether the schedule fails with that in the fault's place


def _make_milder(search: _Search, index: int, nodes: Sequence[str]) -> None:
    def fails_with(fault: Fault) -> bool:
        return search.fails((*search.best[:index], fault, *search.best[index + 1 :]))

    _narrow(search.best[index], fails_with, nodes)
    _shorten(search.best[index], fails_with)
    _lower(search.best[index], fails_with)


def _narrow(fault: Fault, fails_with: _FailsWith, nodes: Sequence[str]) -> None:
    """Let *fault* befall fewer nodes or links."""
    if isinstance(fault, NodeFault):
        ddmin(fault.nodes, lambda fewer: fails_with(attrs.evolve(fault, nodes=fewer)))
    else:
        assert isinstance(fault, LinkFault)
        ddmin(single_links(fault.links, nodes), lambda fewer: fails_with(attrs.evolve(fault, links=fewer)))


def single_links(links: Links, nodes: Sequence[str]) -> Links:
    """Return *links* with all links from one of *nodes* to another in place of those between all nodes."""
    single: dict[tuple[str, str], None] = {}
    for link in links:
        if link == ("nodes", "nodes") and nodes:
            single.update({(src, dest): None for src in nodes for dest in nodes if src != dest})
        else:
            single[link] = None
    return tuple(single)


def _shorten(fault: Fault, fails_with: _FailsWith) -> None:
    """Let *fault* begin and end at round times, then end, if it does not, then begin later and end sooner."""

    def attempt(at: float, until: float) -> None:
        nonlocal fault
        if fault.at <= at < until <= fault.until and (at, until) != (fault.at, fault.until):
            shorter = attrs.evolve(fault, at=at, until=until)
            if fails_with(shorter):
                fault = shorter

    attempt(math.ceil(fault.at / SHORTEST) * SHORTEST, fault.until)
    for step in _STEPS:
        if math.isinf(fault.until):
            attempt(fault.at, _after(fault.at, step))
    if not math.isinf(fault.until):
        attempt(fault.at, math.floor(fault.until / SHORTEST) * SHORTEST)
    for step in reversed(_STEPS):
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
    """Give *fault* smaller and rounder figures."""
    for name in [field.name for field in attrs.fields(type(fault)) if field.name not in _NO_FIGURES]:
        without_effect = 1.0 if name == "factor" else 0.0
        lower: Fault | None = fault
        while lower is not None:
            fault = lower
            figures = _milder_figures(getattr(fault, name), without_effect)
            milder = [attrs.evolve(fault, **{name: figure}) for figure in figures]
            lower = next((candidate for candidate in milder if fails_with(candidate)), None)


def _milder_figures(figure: float, without_effect: float) -> Iterator[float]:
    """Yield *without_effect*, then figures between that and *figure*."""
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
    """Return *figure* without its digits after the first."""
    digits, _, exponent = f"{figure:.12e}".partition("e")
    return float(f"{digits.partition('.')[0]}e{exponent}")
