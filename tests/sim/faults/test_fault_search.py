"""Searches: what each strategy draws for a seed, and what it refuses."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from trio_messenger.sim import NEMESES, Aim, FaultSearch, Kill, LinkFault, NodeFault, Options, Partition, SlowLinks
from trio_messenger.sim._faults.fault_search import AIMED, MIX, SEARCHES, SWARM, SWIZZLE, UNIFORM, Drawn, draw_schedule
from trio_messenger.sim._faults.schedules import make_schedule

NODES = ("n1", "n2", "n3", "n4", "n5")
INSIDE = [("nodes", "nodes"), ("nodes", "services"), ("services", "nodes")]
KINDS = tuple(kind.name for kind in NEMESES)


def drawn(
    search: str | FaultSearch,
    seed: int = 0,
    *,
    kinds: Sequence[str] = KINDS,
    nodes: Sequence[str] = NODES,
    interval: float = 10.0,
    time_limit: float = 60.0,
) -> Drawn:
    """Return what a search draws."""
    found = FaultSearch(search) if isinstance(search, str) else search
    return draw_schedule(found, kinds, nodes, seed, interval=interval, time_limit=time_limit)


def lengths(found: Drawn) -> list[float]:
    return [fault.until - fault.at for fault in found.faults if fault.until < math.inf]


def aimed(*events: tuple[float, str, str | None]) -> FaultSearch:
    aims = [Aim(at=at, node=node, peer=peer, event=f"{node} did something") for at, node, peer in events]
    return FaultSearch(AIMED, aims)


@pytest.mark.parametrize("seed", range(5))
def test_uniform_is_the_schedule_of_the_nemesis(seed: int) -> None:
    """It is what it always was, and there is nothing to tell of it."""
    found = drawn(UNIFORM, seed)
    assert found == Drawn(UNIFORM, tuple(make_schedule(KINDS, NODES, seed, time_limit=60.0)))
    assert Options(workload="echo", nemesis=["kill"], seed=seed, search=UNIFORM) == Options(
        workload="echo", nemesis=["kill"], seed=seed
    )


@pytest.mark.parametrize("search", SEARCHES)
def test_a_seed_gives_one_schedule(search: str) -> None:
    """The same seed draws the same, another seed something else, and all faults begin in the main phase, in order."""
    assert drawn(search, 5, time_limit=300.0) == drawn(search, 5, time_limit=300.0)
    assert search == AIMED or drawn(search, 5) != drawn(search, 6)
    faults = drawn(search, 5, time_limit=300.0).faults
    assert all(0 <= fault.at < 300 and (fault.until < 300 or math.isinf(fault.until)) for fault in faults)
    assert list(faults) == sorted(faults, key=lambda fault: fault.at)


def test_a_mix_draws_one_strategy_for_each_seed() -> None:
    """Each of the others comes as often, and gives what it would give alone; without stops, two are left."""
    chosen = Counter(FaultSearch(MIX).of_seed(KINDS, seed) for seed in range(400))
    assert set(chosen) == set(SEARCHES) - {MIX}
    assert min(chosen.values()) > 70
    assert all(drawn(MIX, seed) == drawn(drawn(MIX, seed).strategy, seed) for seed in range(8))
    assert {FaultSearch(MIX).of_seed(["loss"], seed) for seed in range(50)} == {UNIFORM, SWARM}


def test_a_swarm_draws_kinds_intervals_and_latency() -> None:
    """Each seed has some of the kinds, each with its own interval, and half of the seeds a latency."""
    found = [drawn(SWARM, seed, nodes=["n1", "n2"], time_limit=2.0) for seed in range(200)]
    counts = Counter(len([line for line in each.lines if " every " in line]) for each in found)
    assert set(counts) == set(range(1, len(KINDS) + 1))
    latencies = [each for each in found if each.lines[-1].endswith(" ms of latency")]
    for each in latencies:
        extra = float(each.lines[-1].partition(" ")[0]) / 1000
        assert SlowLinks(links=INSIDE, factor=1.0, extra=extra) in each.faults
    assert 60 < len(latencies) < 140
    intervals = [
        float(line.removesuffix(" s").rpartition(" ")[2]) for each in found for line in each.lines if " every " in line
    ]
    assert 1 <= min(intervals) < 1.1
    assert 9.5 < max(intervals) <= 10
    assert 2.8 < statistics.median(intervals) < 3.6  # the square root of 10, as for log-uniform numbers


def test_lengths_are_log_uniform() -> None:
    """As many faults last from 0.1 s to 1 s as from 1 s to 10 s."""
    [found] = [drawn(SWARM, seed, kinds=["kill"], time_limit=20_000.0) for seed in (3,)]
    mean = float(found.lines[0].removesuffix(" s").rpartition(" ")[2])
    relative = [length / mean for length in lengths(found)]
    assert len(relative) > 1000
    assert 0.009 < min(relative) < 0.02
    assert 3.5 < max(relative) < 4.01
    assert 0.17 < statistics.median(relative) < 0.24  # the root of 0.01 times 4


def test_a_swizzle_stops_one_after_another_and_releases_in_another_order() -> None:
    """In a round, one kind stops some nodes one by one, and their releases are not in the order of the stops."""
    found = drawn(SWIZZLE, 4, kinds=["kill", "loss"], time_limit=2000.0)
    assert found.lines[0].startswith("kill of n")
    assert len(found.lines) > 50
    rounds, faults = [], list(found.faults)
    for line in found.lines:
        count = line.partition(", one after")[0].count(",") + 1
        rounds.append([faults.pop(0) for _ in range(count)])
    orders = 0
    for each in rounds:
        assert all(isinstance(fault, Kill) for fault in each)
        assert len({fault.nodes for fault in each if isinstance(fault, NodeFault)}) == len(each)
        last, first = max(fault.at for fault in each), min(fault.until for fault in each)
        assert last <= first + 0.002  # all are stopped before the first is released
        orders += [fault.until for fault in each] != sorted(fault.until for fault in each)
    assert orders > len(rounds) / 2


@pytest.mark.parametrize("kind", ["partition", "oneway", "links", "services", "kill", "pause"])
@pytest.mark.parametrize("search", [SWIZZLE, AIMED])
def test_each_kind_stops_a_node_or_its_links(kind: str, search: str) -> None:
    """A search stops nothing but what it was told: the node, or links to it and from it."""
    aims = aimed(*((at, NODES[at % 5], NODES[(at + 1) % 5]) for at in range(20)))
    found = drawn(aims if search == AIMED else search, kinds=[kind, "loss"], time_limit=400.0)
    assert len(found.faults) > 15
    for fault in found.faults:
        if isinstance(fault, NodeFault):
            assert (fault.kind, len(fault.nodes)) == (kind, 1)
        else:
            assert isinstance(fault, Partition)
            node = min(set.intersection(*map(set, fault.links)) & set(NODES))
            cut = {"links": 1, "services": 2, "oneway": 4, "partition": 8}[kind]
            assert len(fault.links) == cut
            assert all(node in link for link in fault.links)


def test_an_aimed_link_is_that_of_the_message() -> None:
    """A cut of links is between the node and the other end of its message, if that is a node, in either direction."""
    found = drawn(aimed((1, "n2", "n4"), (2, "n2", "n4"), (3, "n2", "n4")), 1, kinds=["links"])
    assert {link for fault in found.faults if isinstance(fault, LinkFault) for link in fault.links} == {
        ("n2", "n4"),
        ("n4", "n2"),
    }
    assert all(
        isinstance(fault, Partition) and {"n2"} < set(fault.links[0]) < {*NODES, "n2"}
        for fault in drawn(aimed((1, "n2", "c7"), (2, "n2", None)), 1, kinds=["links"]).faults
    )


def test_an_aimed_fault_begins_at_its_event_or_shortly_after() -> None:
    """A quarter begins with the event, the others 0.1 ms to 100 ms later, as often below 3.2 ms as above."""
    found = drawn(aimed(*((at, "n1", None) for at in range(1000))), kinds=["kill"], time_limit=2000.0)
    offsets = [fault.at - round(fault.at) for fault in found.faults]
    later = [offset for offset in offsets if offset > 0]
    assert 200 < len(offsets) - len(later) < 300
    assert 0.00009 < min(later) < 0.00012
    assert 0.09 < max(later) <= 0.1
    assert 0.0025 < statistics.median(later) < 0.004
    assert found.lines[offsets.index(0)].startswith("kill n1 when n1 did something at ")
    assert " ms after n1 did something at " in found.lines[offsets.index(later[0])]


def test_an_aim_at_the_end_gives_no_fault_after_it() -> None:
    """An event just before the end of the main phase has only a fault that still begins in it."""
    for seed in range(20):
        found = drawn(aimed((1, "n1", None), (9.999, "n2", None)), seed, kinds=["kill"], time_limit=10.0)
        assert all(fault.at < 10 for fault in found.faults)
        assert len(found.faults) == len(found.lines) >= 1


def test_without_an_aim_there_is_no_fault() -> None:
    """The words say why: the first run has failed, or nothing happened in it, or one node has no links to cut."""
    assert drawn(AIMED) == Drawn(AIMED, (), ("no fault: the run without faults fails",))
    nothing = Drawn(AIMED, (), ("no fault: there is no event to aim at",))
    assert drawn(FaultSearch(AIMED, [])) == nothing
    assert drawn(aimed((1, "n1", None)), kinds=["partition"], nodes=["n1"]) == nothing
    assert drawn(SWIZZLE, kinds=["oneway"], nodes=["n1"]).faults == ()
    assert drawn(SWIZZLE, kinds=["kill"], nodes=["n1"]).faults[0].kind == "kill"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"search": "best"}, "there is no search 'best'; there are: uniform, aimed, swarm, swizzle, mix"),
        ({"search": "swarm"}, "search is 'swarm', which draws the faults of a nemesis; give a nemesis, too"),
        (
            {"search": "aimed", "nemesis": ["loss", "clock"]},
            "search is 'aimed', which stops nodes or links, and the nemesis (loss, clock) does not; give one of kill,"
            " pause, partition, oneway, links, services, or search with uniform or swarm",
        ),
        (
            {"search": "swizzle", "nemesis": ["slow"]},
            "search is 'swizzle', which stops nodes or links, and the nemesis",
        ),
        ({"search": "swarm", "nemesis": ["kill"], "nemesis_interval": 0.0}, "the nemesis interval is 0.0 s; give"),
    ],
)
def test_what_cannot_be_searched_is_refused(given: dict[str, Any], message: str) -> None:
    """The text names the value, and says what would help."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        Options(workload="echo", **given)
    assert str(caught.value).startswith(message)


def test_a_run_of_other_faults_was_not_drawn() -> None:
    """Options whose faults were replaced, as shrinking does, do not say that a search drew them."""
    options = Options(workload="echo", nemesis=["kill"], search="swizzle", seed=1)
    found = options.drawn()
    assert found is not None
    assert found.faults == options.faults
    assert Options.from_json({**options.to_json(), "faults": []}).drawn() is None
    assert options.with_schedule(seed=2).drawn() == drawn(SWIZZLE, 2, kinds=["kill"])
    assert Options(workload="echo", nemesis=["kill"]).drawn() is None
