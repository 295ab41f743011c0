"""Schedules made by chance: Maelstrom's partitions, gaps and alternation, and the same manner for the other kinds."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence

import pytest

from trio_messenger.sim._faults.faults import (
    BETWEEN_NODES,
    ClockSkew,
    Duplication,
    Fault,
    LinkFault,
    Loss,
    NodeFault,
    Reordering,
    SlowLinks,
    Storage,
    describe,
    fault_from_json,
    fault_to_json,
)
from trio_messenger.sim._faults.schedules import NEMESES, make_schedule

KINDS = [
    *("partition", "oneway", "links", "loss", "duplicate", "reorder", "slow", "kill", "pause", "services", "clock"),
    "storage",
]

RECORDS = dict.fromkeys(["partition", "oneway", "links", "services"], "partition")
"""The kinds of records that each nemesis makes, where they are called otherwise."""


def ids(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def made(
    kind: str, nodes: int = 5, *, seed: int = 0, interval: float = 10.0, time_limit: float = 10_000.0
) -> list[Fault]:
    """Return a schedule of one kind."""
    return make_schedule([kind], ids(nodes), seed, interval=interval, time_limit=time_limit)


def cut(fault: Fault) -> frozenset[tuple[str, str]]:
    """Return the links that *fault* names, each one."""
    assert isinstance(fault, LinkFault)
    assert len(set(fault.links)) == len(fault.links)
    return frozenset(fault.links)


def sides(fault: Fault, nodes: Sequence[str]) -> frozenset[frozenset[str]] | None:
    """Return the two sides between which all links are cut, both ways, and no others; None if it is not so."""
    links = cut(fault)
    side = {node for node in nodes if (nodes[0], node) not in links}
    others = set(nodes) - side
    if others and links == {(a, b) for a in nodes for b in nodes if (a in side) != (b in side)}:
        return frozenset({frozenset(side), frozenset(others)})
    return None


def heard(fault: Fault, nodes: Sequence[str]) -> dict[str, set[str]]:
    """Return whom each node hears."""
    links = cut(fault)
    return {dest: {src for src in nodes if (src, dest) not in links} for dest in nodes}


# Names and errors


def test_the_kinds_are_named_and_explained() -> None:
    """Each kind has a name, in this order, and a help of one line."""
    assert [kind.name for kind in NEMESES] == KINDS
    assert all(kind.help and "\n" not in kind.help and len(kind.help) < 100 for kind in NEMESES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_makes_its_records(kind: str) -> None:
    """A schedule of one kind has faults of that kind, about one in twenty seconds, which a file can keep."""
    faults = made(kind)
    assert {fault.kind for fault in faults} == {RECORDS.get(kind, kind)}
    rounds = {fault.at for fault in faults}
    assert len(rounds) == pytest.approx(500, rel=0.15)
    assert [fault_from_json(fault_to_json(fault)) for fault in faults] == faults


def test_a_kind_that_does_not_exist_is_refused() -> None:
    """An unknown name is an error that lists those there are."""
    text = re.escape(f"there is no nemesis 'fire'; there are: {', '.join(KINDS)}")
    with pytest.raises(ValueError, match=f"^{text}$"):
        make_schedule(["kill", "fire"], ids(3), 0, time_limit=10)


@pytest.mark.parametrize("interval", [0, -1, 0.0009, math.inf, math.nan])
def test_an_interval_that_makes_no_sense_is_refused(interval: float) -> None:
    """Intervals are finite and a millisecond or more."""
    text = re.escape(f"the nemesis interval is {interval} s; give a finite number of 0.001 or more")
    with pytest.raises(ValueError, match=f"^{text}$"):
        make_schedule(["kill"], ids(3), 0, interval=interval, time_limit=10)


@pytest.mark.parametrize("time_limit", [-1, math.inf, math.nan])
def test_a_time_limit_that_makes_no_sense_is_refused(time_limit: float) -> None:
    """A main phase without end has no schedule."""
    text = re.escape(f"time_limit is {time_limit} s; give a finite number of 0 or more")
    with pytest.raises(ValueError, match=f"^{text}$"):
        make_schedule(["kill"], ids(3), 0, time_limit=time_limit)


def test_no_kinds_or_no_time_is_no_schedule() -> None:
    """Where there is nothing to make, nothing is made, and nothing else is looked at."""
    assert make_schedule([], ids(3), 0, interval=0, time_limit=math.inf) == []
    assert make_schedule(KINDS, ids(3), 0, time_limit=0) == []


def test_the_least_interval() -> None:
    """An interval of a millisecond makes some thousand faults a second, each of a millisecond or two."""
    faults = made("kill", interval=0.001, time_limit=1)
    assert 300 < len(faults) < 700
    assert {round(fault.until - fault.at, 6) for fault in faults[:-1]} <= {0.001, 0.002}


# Times


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interval", [1.0, 10.0])
def test_faults_begin_and_end_in_turn(kind: str, interval: float) -> None:
    """The first fault begins at 0; then each ends before the next begins, with gaps from 0 to twice the interval."""
    limit = 1000 * interval
    faults = made(kind, interval=interval, time_limit=limit)
    times = sorted({(fault.at, fault.until) for fault in faults})
    assert times[0][0] == 0
    moments = [moment for pair in times for moment in pair]
    assert moments == sorted(moments)
    last = moments.pop()
    assert last < limit or last == math.inf
    assert all(moment < limit for moment in moments)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(0 <= gap < 2 * interval + 0.001 for gap in gaps)  # they are rounded
    assert statistics.mean(gaps) == pytest.approx(interval, rel=0.1)
    assert statistics.quantiles(gaps, n=4) == pytest.approx([interval / 2, interval, 1.5 * interval], rel=0.15)
    assert max(gaps) > 1.95 * interval
    assert all(moment == round(moment, 3) for moment in moments)


def test_a_fault_that_would_outlast_the_main_phase_has_no_end() -> None:
    """What would end after the main phase lasts until its end, whenever that is."""
    ends = {seed: made("kill", seed=seed, time_limit=30)[-1] for seed in range(40)}
    assert {fault.until == math.inf for fault in ends.values()} == {True, False}
    for seed, fault in ends.items():
        longer = made("kill", seed=seed, time_limit=100)
        same = next(other for other in longer if other.at == fault.at)
        assert (same.until >= 30) == (fault.until == math.inf)


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_run_begins_alike(kind: str) -> None:
    """A schedule for a longer time is the same as far as the shorter one goes."""
    short, long = made(kind, time_limit=100), made(kind, time_limit=200)
    finite = [fault for fault in short if fault.until < math.inf]
    assert len(finite) > 2
    assert long[: len(finite)] == finite


def test_another_interval_finds_the_same_victims() -> None:
    """The interval changes when faults happen, not whom they befall, nor how badly."""
    for kind in KINDS:
        slow, fast = made(kind, interval=10, time_limit=1000), made(kind, interval=1, time_limit=100)
        assert [describe(fault) for fault in slow][:20] == [describe(fault) for fault in fast][:20]


# Chance


def test_schedules_depend_on_the_seed() -> None:
    """The same seed makes the same schedule, another one another."""
    schedules = [make_schedule(KINDS, ids(5), seed, time_limit=60) for seed in (1, 1, 2)]
    assert schedules[0] == schedules[1] != schedules[2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_shifts_nothing_in_the_others(kind: str) -> None:
    """To add a kind, or take it away, leaves the others' faults as they are, in whatever order kinds are named."""
    every = make_schedule(KINDS, ids(5), 3, time_limit=60)
    without = make_schedule([name for name in KINDS[::-1] if name != kind], ids(5), 3, time_limit=60)
    alone = made(kind, seed=3, time_limit=60)
    assert Counter(every) == Counter(without) + Counter(alone)
    assert [fault for fault in every if fault not in alone] == [fault for fault in without if fault not in alone]
    assert [fault.at for fault in every] == sorted(fault.at for fault in every)


def test_a_kind_named_twice_is_one() -> None:
    """To name a kind twice is to name it once."""
    assert make_schedule(["kill", "kill"], ids(3), 0, time_limit=60) == made("kill", 3, time_limit=60)


def test_kinds_have_chances_of_their_own() -> None:
    """Different kinds do not begin at the same times, nor pick the same victims."""
    kills, pauses = made("kill"), made("pause")
    assert [fault.at for fault in kills][1:3] != [fault.at for fault in pauses][1:3]
    who = [[fault.nodes for fault in faults if isinstance(fault, NodeFault)] for faults in (kills, pauses)]
    assert who[0][:10] != who[1][:10]


def test_when_does_not_depend_on_whom() -> None:
    """A larger cluster is befallen at the same times."""
    assert [fault.at for fault in made("kill", 5)] == [fault.at for fault in made("kill", 9)]


# Partitions


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 9])
def test_partitions_are_maelstrom_s(count: int) -> None:
    """Half of the partitions or so are clean cuts of Maelstrom's sizes, the others leave each node a majority."""
    nodes = ids(count)
    faults = made("partition", count)
    sizes: Counter[int] = Counter()
    for fault in faults:
        two = sides(fault, nodes)
        if two is not None:
            sizes[min(len(side) for side in two)] += 1
    rings = [fault for fault in faults if sides(fault, nodes) is None]
    assert len(rings) + sum(sizes.values()) == len(faults)
    share = {1: 0, 2: 0}.get(count, 1)  # of two nodes, each is a majority's member only if it hears the other
    assert len(rings) == pytest.approx(500 / 4 * share, rel=0.3)
    expected: Counter[int] = Counter()
    for size in (1, count // 2, (count - 1) // 3):
        expected[size if count > 1 else 0] += 1
    del expected[0]
    assert sizes == {size: pytest.approx(500 / 4 * times, rel=0.3) for size, times in expected.items()}


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8, 9, 12])
def test_overlapping_majorities(count: int) -> None:
    """In a ring each node hears a majority, itself among them, and up to five nodes no two hear the same one."""
    nodes = ids(count)
    rings = [fault for fault in made("partition", count) if sides(fault, nodes) is None]
    majority = count // 2 + 1
    for fault in rings:
        hears = heard(fault, nodes)
        assert all(node in others and len(others) >= majority for node, others in hears.items())
        if count != 3:
            assert all(node in hears[other] for node in nodes for other in hears[node])  # both ways
        if count <= 5:
            assert all(len(others) == majority for others in hears.values())
            assert len({frozenset(others) for others in hears.values()}) == count
        else:
            assert statistics.mean(map(len, hears.values())) < majority + 1  # no more links than it takes
    assert len({cut(fault) for fault in rings}) > (1 if count < 5 else 5)


def test_three_nodes_hear_each_other_in_a_ring() -> None:
    """Of three nodes, each drops the messages of the next: a one-way ring, in one of its two directions."""
    rings = {cut(fault) for fault in made("partition", 3) if len(cut(fault)) == 3}
    assert rings == {
        frozenset({("n2", "n1"), ("n3", "n2"), ("n1", "n3")}),
        frozenset({("n1", "n2"), ("n2", "n3"), ("n3", "n1")}),
    }


def test_four_nodes_lose_who_is_opposite() -> None:
    """Of four nodes in a ring, those opposite to each other are cut off from each other."""
    rings = {cut(fault) for fault in made("partition", 4) if sides(fault, ids(4)) is None}
    assert rings == {
        frozenset({("n1", b), (b, "n1"), (c, d), (d, c)})
        for b, c, d in (("n2", "n3", "n4"), ("n3", "n2", "n4"), ("n4", "n2", "n3"))
    }


def test_five_nodes_hear_their_neighbours() -> None:
    """Of five nodes in a ring, each hears the two beside it: any order of the ring is possible."""
    rings = {cut(fault) for fault in made("partition", 5) if sides(fault, ids(5)) is None}
    assert len(rings) == 12  # 4! orders of a ring of five, each in two directions that are the same


def test_eight_nodes_hear_majorities_of_many_shapes() -> None:
    """Of more than five nodes, those that hear least are linked by chance: not in one shape alone."""
    nodes = ids(8)
    triangles = Counter(
        sum(b in hears[a] and c in hears[b] and a in hears[c] for a, b, c in itertools.combinations(nodes, 3))
        for fault in made("partition", 8)
        if sides(fault, nodes) is None and (hears := heard(fault, nodes))
    )
    assert len(triangles) > 3


def test_sides_are_drawn_evenly() -> None:
    """Each node is as likely as any other to be cut off."""
    alone = Counter(
        min(two, key=len)
        for fault in made("partition", 5, time_limit=40_000)
        if (two := sides(fault, ids(5))) and min(map(len, two)) == 1
    )
    assert alone == {frozenset({node}): pytest.approx(200, rel=0.25) for node in ids(5)}


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_one_way_partitions(count: int) -> None:
    """All links from one side to the other are cut, and none back; to the smaller side as often as from it."""
    nodes = ids(count)
    small_is_deaf: Counter[bool] = Counter()
    sizes: Counter[int] = Counter()
    for fault in made("oneway", count):
        links = cut(fault)
        senders, receivers = {src for src, _ in links}, {dest for _, dest in links}
        assert links == {(src, dest) for src in senders for dest in receivers}
        assert senders | receivers == set(nodes)
        assert not senders & receivers
        sizes[min(len(senders), len(receivers))] += 1
        small_is_deaf[len(receivers) < len(senders)] += 1
    assert set(sizes) == {1, count // 2, (count - 1) // 3} - {0}
    if count > 2:
        assert small_is_deaf[True] == pytest.approx(small_is_deaf[False], rel=0.25)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_nodes_without_services(count: int) -> None:
    """Some nodes, as many as are killed, hear nothing of any service, nor any of them; links between nodes stay."""
    sizes = set()
    for fault in made("services", count):
        links = cut(fault)
        alone = {src for src, dest in links if dest == "services"}
        assert links == {(node, "services") for node in alone} | {("services", node) for node in alone}
        assert alone <= set(ids(count))
        sizes.add(len(alone))
    majority = count // 2 + 1
    assert sizes == {1, majority - 1, majority, count} - {0}


def test_single_links() -> None:
    """One, two or three different links of single nodes are cut, each one way, none to the node itself."""
    faults = made("links", 3)
    assert Counter(len(cut(fault)) for fault in faults) == dict.fromkeys(
        (1, 2, 3), pytest.approx(len(faults) / 3, rel=0.2)
    )
    every = Counter(link for fault in faults for link in cut(fault))
    assert every == {(a, b): pytest.approx(len(faults) / 3, rel=0.25) for a in ids(3) for b in ids(3) if a != b}
    assert {len(cut(fault)) for fault in made("links", 2)} == {1, 2}


# Bad links


@pytest.mark.parametrize("kind", ["loss", "duplicate", "reorder", "slow"])
def test_where_links_are_bad(kind: str) -> None:
    """Bad links are all between nodes, or those of one node, or a few: one in three each."""
    shapes: Counter[str] = Counter()
    for fault in made(kind):
        assert isinstance(fault, LinkFault)
        if fault.links == BETWEEN_NODES:
            shapes["all"] += 1
        elif sides(fault, ids(5)) is not None:
            assert min(map(len, sides(fault, ids(5)) or ())) == 1
            shapes["one"] += 1
        else:
            assert len(fault.links) <= 3
            shapes["few"] += 1
    assert shapes == dict.fromkeys(("all", "one", "few"), pytest.approx(500 / 3, rel=0.2))


@pytest.mark.parametrize("kind", ["loss", "duplicate", "reorder"])
def test_rates_are_of_some_size(kind: str) -> None:
    """A tenth to a half of the messages are touched, in whole hundredths."""
    rates = [fault.rate for fault in made(kind) if isinstance(fault, (Loss, Duplication, Reordering))]
    assert all(rate == round(rate, 2) for rate in rates)
    assert [min(rates), max(rates)] == pytest.approx([0.1, 0.5], abs=0.01)
    assert statistics.mean(rates) == pytest.approx(0.3, rel=0.05)
    assert all(0.1 <= rate <= 0.5 for rate in rates)


def test_delays_are_of_some_size() -> None:
    """Messages are held back by up to a second; slow links always add something, since ten times nothing is nothing."""
    held = [fault.seconds for fault in made("reorder") if isinstance(fault, Reordering)]
    assert 0.05 <= min(held) < 0.1
    assert 0.95 < max(held) <= 1
    slow = [fault for fault in made("slow") if isinstance(fault, SlowLinks)]
    assert Counter(fault.factor for fault in slow) == dict.fromkeys((1, 2, 10), pytest.approx(len(slow) / 3, rel=0.2))
    extras = [fault.extra for fault in slow]
    assert 0.05 <= min(extras) < 0.1
    assert 2.4 < max(extras) <= 2.5


# Bad nodes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "pause", "clock", "storage"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_who_is_befallen(kind: str, count: int) -> None:
    """One node, a minority, a majority or all, each as often as the others, and each node as often as another."""
    victims: dict[float, list[str]] = {}
    for fault in made(kind, count):
        assert isinstance(fault, NodeFault)
        victims.setdefault(fault.at, []).extend(fault.nodes)
    assert all(nodes == sorted(set(nodes)) for nodes in victims.values())  # in their order, each once
    majority = count // 2 + 1
    expected = Counter((1, majority - 1, majority, count))
    del expected[0]
    assert Counter(map(len, victims.values())) == {
        size: pytest.approx(500 / 4 * times, rel=0.35) for size, times in expected.items()
    }
    every = Counter(itertools.chain.from_iterable(victims.values()))
    assert every == dict.fromkeys(ids(count), pytest.approx(sum(every.values()) / count, rel=0.15))


def test_clocks_are_wrong_each_by_itself() -> None:
    """Each node has its own skew of 0.1 to 60 s, ahead or behind, small ones as often as large ones."""
    faults = [fault for fault in made("clock") if isinstance(fault, ClockSkew)]
    assert all(len(fault.nodes) == 1 for fault in faults)
    skews = [fault.seconds for fault in faults]
    assert all(0.1 <= abs(skew) <= 60 and skew == round(skew, 1) for skew in skews)
    assert sum(skew > 0 for skew in skews) == pytest.approx(len(skews) / 2, rel=0.1)
    up_to = [sum(abs(skew) < limit for skew in skews) / len(skews) for limit in (1, 10)]
    assert up_to == pytest.approx([math.log(10, 600), math.log(100, 600)], rel=0.15)
    assert max(map(abs, skews)) > 50


def test_disks_are_slow_and_tear() -> None:
    """Syncs take up to 0.01 to 1 s, short ones as often as long ones, and kills leave a part with any probability."""
    faults = [fault for fault in made("storage") if isinstance(fault, Storage)]
    seconds = [fault.seconds for fault in faults]
    assert min(seconds) == 0.01
    assert 0.95 < max(seconds) <= 1
    assert sum(each < 0.1 for each in seconds) == pytest.approx(len(seconds) / 2, rel=0.15)
    assert {fault.torn for fault in faults} == {tenth / 10 for tenth in range(11)}


def test_a_single_node_can_only_be_befallen_itself() -> None:
    """With one node there are no links to cut; what there is besides befalls the links to itself, or the node."""
    assert made("partition", 1) == made("oneway", 1) == made("links", 1) == []
    assert {cut(fault) for fault in made("loss", 1)} == {frozenset(BETWEEN_NODES)}
    assert made("kill", 1)
