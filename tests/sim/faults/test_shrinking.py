"""Reducing schedules: what is left fails, takes each of its faults, and is as mild as it was found to be."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import attrs
import pytest
from hypothesis import assume, given, settings, strategies as st

from trio_messenger import Node, Request
from trio_messenger.sim import simulate
from trio_messenger.sim._faults.faults import (
    ClockSkew,
    Duplication,
    Fault,
    Kill,
    LinkFault,
    Loss,
    NodeFault,
    Partition,
    Pause,
    Reordering,
    SlowLinks,
    Storage,
)
from trio_messenger.sim._faults.shrinking import DoesNotFail, Shrunk, ddmin, shrink, single_links
from trio_messenger.sim.strategies import fault_schedules

NODES = ["n1", "n2", "n3"]


class Recorder:
    """A predicate that notes what it was asked."""

    def __init__(self, fails: Callable[[Sequence[Fault]], bool]) -> None:
        self.asked: list[tuple[Fault, ...]] = []
        self.failed = 0
        self._fails = fails

    def __call__(self, faults: Sequence[Fault]) -> bool:
        self.asked.append(tuple(faults))
        verdict = self._fails(faults)
        self.failed += verdict
        return verdict


def token(number: int) -> Pause:
    """Return one of many faults that are told apart by whom they befall, and cannot be made milder."""
    return Pause(at=0, until=0.25, nodes=[f"n{number}"])


def numbers(faults: Iterable[Fault]) -> list[int]:
    """Return which tokens *faults* are."""
    return [int(fault.nodes[0][1:]) for fault in faults if isinstance(fault, NodeFault)]


def shrunk(count: int, fails: Callable[[list[int]], bool]) -> list[int]:
    """Return which of so many tokens are left."""
    found = shrink([token(number) for number in range(count)], lambda faults: fails(numbers(faults)))
    assert found.is_minimal
    return numbers(found.faults)


# Which faults are left


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 20])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_matters_is_left(count: int, size: int) -> None:
    """Where so many faults together make it fail, wherever they are, these are left, in their order."""
    for needed in list(combinations(range(count), size))[::7]:
        assert shrunk(count, lambda present, needed=needed: set(needed) <= set(present)) == list(needed)  # type: ignore[misc]


def test_one_of_several_ways_to_fail_is_left() -> None:
    """Where one fault or another would do, one is left."""
    assert shrunk(8, lambda present: 2 in present or 5 in present) == [2]
    assert shrunk(8, lambda present: {1, 6} <= set(present) or 7 in present) == [7]


def test_all_may_be_needed() -> None:
    """Where each fault is needed, all are left."""
    assert shrunk(7, lambda present: len(present) == 7) == list(range(7))


def test_faults_that_hide_others() -> None:
    """Where a fault prevents the failure that others make, a schedule without it is found."""
    assert shrunk(8, lambda present: len(present) == 8 or (3 in present and 4 not in present)) == [3]


def test_an_odd_number_of_faults() -> None:
    """A failure that comes and goes with each fault leaves a schedule that passes without any one of its faults."""
    assert len(shrunk(9, lambda present: len(present) % 2 == 1)) == 1
    assert len(shrunk(9, lambda present: len(present) in (9, 6))) in (6, 9)


def test_few_runs_suffice() -> None:
    """One fault of 64 is found in some twice as many runs as it takes to halve them."""
    found = shrink([token(number) for number in range(64)], lambda faults: 41 in numbers(faults))
    assert numbers(found.faults) == [41]
    assert found.runs <= 2 + 2 * 6


@pytest.mark.parametrize(("needed", "runs"), [([3, 60], 45), ([10, 30, 50], 80), ([1, 20, 40, 60], 115)])
def test_few_runs_suffice_for_several(needed: list[int], runs: int) -> None:
    """Faults that are far apart are found without trying each one: after a piece is left out, pieces stay as small."""
    found = shrink([token(number) for number in range(64)], lambda faults: set(needed) <= set(numbers(faults)))
    assert numbers(found.faults) == needed
    assert found.runs <= runs


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(1, 2**n - 2) if n > 1 else st.nothing()))
    )
)
def test_it_passes_without_any_one_of_what_is_left(drawn: tuple[int, set[int]]) -> None:
    """Whatever sets of faults fail, what is left does, and no longer if any one of its faults is taken away."""
    count, failing = drawn
    failing = failing | {2**count - 1}

    def fails(present: list[int]) -> bool:
        return sum(1 << number for number in present) in failing

    left = shrunk(count, fails)
    assert fails(left)
    assert left == sorted(set(left))
    assert not any(fails([other for other in left if other != number]) for number in left)


def test_ddmin_takes_any_items() -> None:
    """The algorithm works on any sequence, and gives it back as it is when nothing can be taken away."""
    assert "".join(ddmin("abcdef", lambda part: {"b", "e"} <= set(part))) == "be"
    assert ddmin([1], lambda _: False) == [1]
    assert ddmin([], lambda _: False) == []
    assert ddmin([1, 2, 3], lambda _: False) == [1, 2, 3]


# What is verified first


def test_a_schedule_that_does_not_fail_is_refused() -> None:
    """If the whole schedule passes there is nothing to reduce, and the error says so."""
    recorder = Recorder(lambda _: False)
    with pytest.raises(DoesNotFail, match=r"^the run does not fail with its 2 faults, so there is nothing to reduce$"):
        shrink([token(1), token(2)], recorder)
    assert recorder.asked == [(token(1), token(2))]


def test_a_run_that_fails_without_faults_has_none_left() -> None:
    """If it fails without any fault, the schedule had nothing to do with it: that is tried second."""
    recorder = Recorder(lambda _: True)
    found = shrink([token(1), token(2)], recorder)
    assert found == Shrunk(faults=(), runs=2, failures=2, is_minimal=True)
    assert recorder.asked == [(token(1), token(2)), ()]


def test_an_empty_schedule_that_fails() -> None:
    """Nothing is reduced to nothing, in one run."""
    assert shrink([], lambda _: True) == Shrunk(faults=(), runs=1, failures=1, is_minimal=True)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_makes_no_sense_is_refused(budget: int) -> None:
    """It takes a run to know anything."""
    with pytest.raises(ValueError, match=rf"^budget is {budget}; give 1 or more runs$"):
        shrink([token(1)], lambda _: True, budget=budget)


def test_an_error_of_the_run_is_passed_on() -> None:
    """What the run raises ends the search."""

    def fails(faults: Sequence[Fault]) -> bool:
        if len(faults) < 2:
            raise RuntimeError("boom")
        return True

    with pytest.raises(RuntimeError, match=r"^boom$"):
        shrink([token(1), token(2)], fails)


# How it searches


def chaotic(salt: int, whole: Sequence[Fault]) -> Callable[[Sequence[Fault]], bool]:
    """Return a predicate without rhyme or reason, but for the whole schedule and the empty one."""

    def fails(faults: Sequence[Fault]) -> bool:
        if tuple(faults) in ((), tuple(whole)):
            return bool(faults)
        return zlib.crc32(f"{salt} {list(faults)}".encode()) % 4 == 0

    return fails


def is_milder(fault: Fault, than: Fault) -> bool:
    """Tell whether *fault* may have been made of another."""
    if type(fault) is not type(than) or not than.at <= fault.at < fault.until <= than.until:
        return False
    if isinstance(fault, NodeFault) and isinstance(than, NodeFault) and not set(fault.nodes) <= set(than.nodes):
        return False
    if isinstance(fault, LinkFault) and isinstance(than, LinkFault):
        links = set(than.links) | set(single_links(than.links, NODES))
        if not set(fault.links) <= links:
            return False
    figures = {"rate": 0, "seconds": 0, "extra": 0, "factor": 1}
    return all(
        min(nothing, getattr(than, name)) <= getattr(fault, name) <= max(nothing, getattr(than, name))
        for name, nothing in figures.items()
        if hasattr(fault, name)
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(fault_schedules(NODES, max_size=6), st.integers(0, 99))
def test_a_chaotic_failure(faults: list[Fault], salt: int) -> None:
    """Even then what is left fails, takes each of its faults, and is milder; no schedule is run twice."""
    assume(faults)
    fails = chaotic(salt, faults)
    recorder = Recorder(fails)
    progress: list[Shrunk] = []
    found = shrink(faults, recorder, nodes=NODES, progress=progress.append)
    assert fails(found.faults)
    if found.is_minimal:
        for index in range(len(found.faults)):
            assert not fails(found.faults[:index] + found.faults[index + 1 :])
    assert len(set(recorder.asked)) == len(recorder.asked) == found.runs <= 500
    assert found.failures == recorder.failed
    rest = iter(faults)
    assert all(any(is_milder(fault, original) for original in rest) for fault in found.faults)  # in their order
    assert [state.runs for state in progress] == list(range(1, found.runs + 1))
    assert attrs.evolve(progress[-1], is_minimal=found.is_minimal) == found
    assert all(fails(state.faults) and not state.is_minimal for state in progress)
    assert shrink(faults, fails, nodes=NODES) == found


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 10])
def test_the_budget_is_kept(budget: int) -> None:
    """After so many runs the search ends with the best so far, and does not claim more."""
    faults = [token(number) for number in range(8)]
    recorder = Recorder(lambda faults: {2, 5} <= set(numbers(faults)))
    found = shrink(faults, recorder, budget=budget)
    assert len(recorder.asked) == found.runs == budget
    assert not found.is_minimal
    assert {2, 5} <= set(numbers(found.faults))
    assert (budget < 8) == (len(found.faults) == 8)


def test_a_budget_that_just_suffices() -> None:
    """A search that needs its whole budget has come to its end."""
    faults = [token(number) for number in range(8)]

    def fails(present: Sequence[Fault]) -> bool:
        return {2, 5} <= set(numbers(present))

    runs = shrink(faults, fails).runs
    assert shrink(faults, fails, budget=runs).is_minimal
    assert not shrink(faults, fails, budget=runs - 1).is_minimal


# How faults are made milder


def milder(fault: Fault, fails: Callable[[Fault], bool], nodes: Sequence[str] = ()) -> Fault:
    """Return what is left of one fault, where *fails* judges it."""
    found = shrink([fault], lambda faults: len(faults) == 1 and fails(faults[0]), nodes=nodes)
    assert found.is_minimal
    return found.faults[0]


def test_fewer_nodes() -> None:
    """Of a fault's nodes those are left that matter; one at the least."""
    fault = Kill(at=0, until=0.25, nodes=["n1", "n2", "n3", "n4", "n5"])
    assert milder(fault, lambda kill: isinstance(kill, Kill) and {"n2", "n5"} <= set(kill.nodes)) == attrs.evolve(
        fault, nodes=("n2", "n5")
    )
    assert milder(fault, lambda _: True) == attrs.evolve(fault, nodes=("n1",))


def names(fault: Fault, src: str, dest: str) -> bool:
    return isinstance(fault, LinkFault) and bool({(src, dest), ("nodes", "nodes")} & set(fault.links))


def test_fewer_links() -> None:
    """Of a fault's links those are left that matter, and of all between nodes, if these are known, as well."""
    sides = Partition.between(["n1", "n2"], ["n3", "n4", "n5"], until=0.25)
    for fault in (sides, Partition(until=0.25)):
        left = milder(fault, lambda cut: names(cut, "n4", "n1"), ["n1", "n2", "n3", "n4", "n5"])
        assert left == Partition(until=0.25, links=[("n4", "n1")])
    assert milder(Partition(until=0.25), lambda cut: names(cut, "n4", "n1")) == Partition(until=0.25)


def test_links_of_which_all_matter_stay_a_group() -> None:
    """All links between nodes stay as they are called, if it takes each one."""

    def fails(fault: Fault) -> bool:
        return all(names(fault, src, dest) for src in NODES for dest in NODES if src != dest)

    assert milder(Partition(until=0.25), fails, NODES) == Partition(until=0.25)


def test_the_links_of_a_group() -> None:
    """Groups are resolved where their nodes are known; others stay."""
    links = (("n1", "n2"), ("nodes", "nodes"), ("nodes", "lin-kv"))
    assert single_links(links, []) == links
    assert single_links(links, ["n1", "n2"]) == (("n1", "n2"), ("n2", "n1"), ("nodes", "lin-kv"))


def during(begin: float, end: float) -> Callable[[Fault], bool]:
    """Return a predicate that fails if the fault is in force all this time."""
    return lambda fault: fault.at <= begin and fault.until >= end


@pytest.mark.parametrize("until", [41.237, math.inf])
@pytest.mark.parametrize(
    ("begin", "end", "left"),
    [
        (17.3, 17.4, (17.25, 17.5)),
        (16, 24, (16, 24)),
        (3.217, 41.0, (3.217, 41)),
        (3.3, 40.6, (3.25, 40.75)),
        (20, 20.01, (20, 20.25)),
        (39.9, 41.2, (39.75, 41.237)),
    ],
)
def test_a_shorter_time(until: float, begin: float, end: float, left: tuple[float, float]) -> None:
    """A fault begins as late and ends as soon as it may, at round times; where none is shorter, it stays as it is."""
    fault = milder(Pause(at=3.217, until=until, nodes=["n1"]), during(begin, end))
    if until == math.inf and left[1] == until:
        left = (left[0], 41.25)
    assert (fault.at, min(fault.until, 41.237)) == left


def test_a_fault_that_has_to_last_to_the_end() -> None:
    """One that needs to have no end begins as late as it may, up to a minute."""
    fault = Kill(at=1.5, nodes=["n1"])
    assert milder(fault, lambda kill: kill.until == math.inf and kill.at <= 33.7) == Kill(at=33.5, nodes=["n1"])
    assert milder(fault, lambda kill: kill.until == math.inf) == Kill(at=63.75, nodes=["n1"])
    assert milder(Kill(at=100, nodes=["n1"]), lambda kill: kill.until == math.inf) == Kill(at=100, nodes=["n1"])


def test_round_times_where_they_do_not_matter() -> None:
    """A fault that fails however short it is becomes a quarter of a second at a round time."""
    assert milder(Pause(at=3.217, until=41.237, nodes=["n1"]), lambda _: True) == Pause(
        at=40.75, until=41, nodes=["n1"]
    )
    assert milder(Pause(at=3.217, nodes=["n1"]), lambda _: True) == Pause(at=3.25, until=3.5, nodes=["n1"])


@pytest.mark.parametrize(
    ("fault", "fails", "left"),
    [
        (Loss(rate=0.47, until=0.25), lambda fault: fault.rate >= 0.29, Loss(rate=0.3, until=0.25)),
        (Loss(rate=1, until=0.25), lambda fault: fault.rate > 0, Loss(rate=0.01, until=0.25)),
        (Duplication(rate=0.47, until=0.25), lambda fault: fault.rate >= 0.47, Duplication(rate=0.47, until=0.25)),
        (
            Reordering(rate=0.8, seconds=0.97, until=0.25),
            lambda fault: fault.rate > 0.15 and fault.seconds > 0.4,
            Reordering(rate=0.2, seconds=0.48, until=0.25),
        ),
        (
            SlowLinks(factor=10, extra=2, until=0.25),
            lambda fault: fault.factor >= 4,
            SlowLinks(factor=4, extra=0, until=0.25),
        ),
        (
            SlowLinks(factor=10, extra=2.31, until=0.25),
            lambda fault: fault.extra >= 2,
            SlowLinks(factor=1, extra=2, until=0.25),
        ),
        (SlowLinks(factor=0, until=0.25), lambda fault: fault.factor < 1, SlowLinks(factor=0.99, until=0.25)),
        (
            ClockSkew(nodes=["n1"], seconds=-47.3, until=0.25),
            lambda fault: fault.seconds < -0.9,
            ClockSkew(nodes=["n1"], seconds=-1, until=0.25),
        ),
        (
            ClockSkew(nodes=["n1"], seconds=60, until=0.25),
            lambda _: True,
            ClockSkew(nodes=["n1"], seconds=0, until=0.25),
        ),
        (
            Storage(nodes=["n1"], seconds=0.77, torn=0.9, until=0.25),
            lambda fault: fault.torn > 0.4,
            Storage(nodes=["n1"], seconds=0, torn=0.45, until=0.25),
        ),
    ],
)
def test_lower_and_rounder_figures(fault: Fault, fails: Callable[[Fault], bool], left: Fault) -> None:
    """Figures become lower and rounder while it fails, and come to nothing if it takes none."""
    assert milder(fault, fails) == left


# With a real run


def build() -> Node:
    """Return a wrong broadcast node: it tells each peer once, and never knows whether that heard it."""
    node = Node()
    messages: dict[int, None] = {}

    @node.on("topology")
    def topology() -> dict[str, object]:
        return {}

    @node.on("broadcast")
    def broadcast(request: Request) -> dict[str, object]:
        messages[request.body["message"]] = None
        for peer in node.peers:
            node.send_nowait(peer, {"type": "gossip", "message": request.body["message"]})
        return {}

    @node.on("gossip")
    def gossip(request: Request) -> None:
        messages[request.body["message"]] = None

    @node.on("read")
    def read() -> dict[str, object]:
        return {"messages": list(messages)}

    return node


HARMLESS: list[Fault] = [
    Duplication(at=0, until=9, rate=0.5),
    SlowLinks(at=1, until=4, extra=0.5),
    Reordering(at=0.5, until=6, rate=0.5, seconds=0.5),
    Pause(at=2, until=5, nodes=["n2", "n3"]),
    ClockSkew(at=0, nodes=["n1"], seconds=30),
    Partition(at=1, until=8, links=[("nodes", "services")]),
    Duplication(at=5, until=7, rate=0.3, links=[("n1", "n2")]),
]


@pytest.mark.slow
def test_a_real_failure_is_reduced_to_the_fault_that_matters() -> None:
    """Of eight faults the one partition that loses a message is left, of one link and for a moment."""
    schedule = [*HARMLESS[:4], Partition.between(["n1"], ["n2", "n3"], at=2.317, until=7.923), *HARMLESS[4:]]

    def fails(faults: Sequence[Fault]) -> bool:
        report = simulate("broadcast", build, nodes=NODES, time_limit=10, rate=4, seed=11, faults=faults)
        return report.valid is False

    assert not fails(HARMLESS)
    found = shrink(schedule, fails, nodes=NODES)
    assert found.is_minimal
    [partition] = found.faults
    assert isinstance(partition, Partition)
    assert len(partition.links) == 1
    assert 2.317 <= partition.at < partition.until <= 7.923
    assert partition.until - partition.at == 0.25
    assert fails(found.faults)
    assert found.runs < 60
