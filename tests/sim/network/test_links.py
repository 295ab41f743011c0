"""Faults of links, kind by kind."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from support.network_plays import MEMBERS, Line, every, play
from support.stage import Stage, staged

from trio_messenger.sim._determinism.random_streams import Streams
from trio_messenger.sim._faults.faults import (
    Duplication,
    Links,
    Loss,
    Partition,
    Reordering,
    SlowLinks,
)
from trio_messenger.sim._network.latency_distribution import Latency
from trio_messenger.sim._network.network import COPY_DELAY, Delivery


@pytest.mark.parametrize(
    ("links", "cut"),
    [
        ((("nodes", "nodes"),), {("n1", "n2"), ("n2", "n1"), ("n1", "n1")}),
        ((("n1", "n2"),), {("n1", "n2")}),
        ((("n1", "nodes"),), {("n1", "n2"), ("n1", "n1")}),
        ((("nodes", "services"),), {("n1", "lin-kv"), ("n2", "lin-kv")}),
        ((("services", "n1"),), {("lin-kv", "n1")}),
        ((("clients", "nodes"),), {("c1", "n1"), ("c1", "n2")}),
        ((("nodes", "clients"),), {("n1", "c1"), ("n2", "c1")}),
        ((("all", "n1"),), {("n1", "n1"), ("n2", "n1"), ("c1", "n1"), ("lin-kv", "n1")}),
        ((("c1", "all"),), {("c1", "n1"), ("c1", "n2"), ("c1", "lin-kv"), ("c1", "c1")}),
        ((("n1", "n2"), ("n2", "n1")), {("n1", "n2"), ("n2", "n1")}),
        ((), set()),
    ],
)
def test_links_are_one_way_and_groups_are_all_of_a_kind(links: Links, cut: set[tuple[str, str]]) -> None:
    """A partition cuts the links that it names, in their direction, and those of the groups that it names."""
    members = ("n1", "n2", "c1", "lin-kv")
    pairs = [(src, dest) for src in members for dest in members if src != "n2" or dest != "n2"]
    stage = staged(play([Line(1, *pair) for pair in pairs]), faults=[Partition(links=links)])
    heard = {(heard.src, heard.dest) for heard in stage.heard}
    assert set(pairs) - heard == cut
    assert stage.bites[0] == len(cut)


def test_a_partition_drops_what_is_on_its_way() -> None:
    """What counts is the moment of delivery: sent before the partition it is cut off, sent during it it may arrive."""
    lines = [Line(0.5, "n1", "n2"), Line(1.5, "n1", "n2")]
    stage = staged(play(lines), faults=[Partition(at=1, until=2)], latency=Latency(1000))
    assert stage.fates() == [(0, "drop", "partition", 0), (1, "deliver", None, None)]
    assert stage.bites == {0: 1}


def test_a_partition_cuts_copies_off() -> None:
    """The copy of a message that was delivered before the partition is cut off by it."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.say("n1", "n2")
        stage.network.begin(0, Partition())
        await stage.until(1)

    stage = staged(script, duplicate=1)
    assert stage.fates() == [(0, "duplicate", None, None), (0, "deliver", None, None), (0, "drop", "partition", 0)]


def test_overlapping_partitions_count_for_the_first() -> None:
    """A message that two partitions cut off is put down to the one that began first, until that ends."""
    faults = [Partition(at=1, until=4), Partition(at=0.5, until=3)]
    stage = staged(play(every(1, "n1", "n2", 5, start=0.75)), faults=faults)
    assert [fate[1:] for fate in stage.fates()] == [
        *(("drop", "partition", 1), ("drop", "partition", 1), ("drop", "partition", 1)),
        *(("drop", "partition", 0), ("deliver", None, None)),
    ]
    assert stage.bites == {1: 3, 0: 1}


def test_slow_links_slow_what_is_sent() -> None:
    """What counts is the moment of sending: the factor is applied, then seconds are added; slow faults add up."""
    lines = every(1, "n1", "n2", 3, start=0.5)
    faults = [SlowLinks(at=1, until=2, factor=3, extra=0.5), SlowLinks(at=1.25, until=1.75, factor=2, extra=0)]
    stage = staged(play(lines), faults=faults, latency=Latency(250))
    assert [heard.at for heard in stage.heard] == [0.75, 2.75, 4.0]
    assert stage.values() == [0, 2, 1]
    assert stage.bites == {0: 1, 1: 1}


def test_a_factor_without_latency_takes_no_effect() -> None:
    """Ten times nothing is nothing: the fault is not said to have bitten."""
    stage = staged(play(every(0.5, "n1", "n2", 4)), faults=[SlowLinks(), Reordering(rate=1, seconds=0)])
    assert [heard.at for heard in stage.heard] == [0, 0.5, 1, 1.5]
    assert not any(stage.bites.values())


def test_reordering_lets_later_ones_overtake() -> None:
    """Some messages are held back by up to so many seconds, and others overtake them; none is lost."""
    lines = every(0.05, "n1", "n2", 60)
    stage = staged(play(lines), faults=[Reordering(rate=0.5, seconds=1)])
    assert sorted(stage.values()) == list(range(60))
    assert stage.values() != list(range(60))
    delays = {heard.value: heard.at - lines[heard.value].at for heard in stage.heard}
    held = [delay for delay in delays.values() if delay > 1e-9]
    assert len(held) == stage.bites[0]
    assert 15 < len(held) < 45
    assert 0.8 < max(held) < 1


def test_a_message_is_held_back_once() -> None:
    """Of several faults that would hold a message back, the first to have begun does so, and the others do not."""
    faults = [Reordering(at=1, rate=1, seconds=2), Reordering(rate=0.5, seconds=1)]
    stage = staged(play(every(1 / 64, "n1", "n2", 100, start=1.5)), faults=faults)
    assert sum(stage.bites.values()) == 100
    assert 30 < stage.bites[1] < 70
    draws = [Streams(0).draws("n1", "n2", n) for n in range(100)]
    longest = {0: 2, 1: 1}
    late = {heard.value: heard.at - 1.5 - heard.value / 64 for heard in stage.heard}
    for number, draw in enumerate(draws):
        assert late[number] == pytest.approx(draw.delay * longest[draw.reorder < 0.5])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_rates_are_kept(rate: float) -> None:
    """Of many messages the fraction that a fault names is lost, doubled or held back; and so with the network's own."""
    count = 1500
    lines = every(1 / 512, "n1", "n2", count)
    stage = staged(play(lines), faults=[Loss(rate=rate), Duplication(rate=rate), Reordering(rate=rate)])
    deviation = 3 * math.sqrt(count * rate)
    lost, doubled, held = count * rate, count * (1 - rate) * rate, count * rate
    assert [stage.bites[index] for index in range(3)] == pytest.approx([lost, doubled, held], abs=deviation)
    stage = staged(play(lines), loss=rate, duplicate=rate)
    assert [len(stage.entries("drop")), len(stage.entries("duplicate"))] == pytest.approx(
        [lost, doubled], abs=deviation
    )
    assert stage.bites == {}


def test_the_chances_of_one_message_are_independent() -> None:
    """That a message is lost says nothing about whether another fault doubles it or holds it back."""
    draws = [Streams(3).draws("n1", "n2", n) for n in range(3000)]
    for one in range(5):
        for other in range(one):
            both = sum(draw[one] < 0.5 and draw[other] < 0.5 for draw in draws)
            assert both == pytest.approx(750, rel=0.12)


def test_rates_of_nothing_and_of_all() -> None:
    """With a probability of 0 no message is touched, with 1 each one."""
    lines = every(0.01, "n1", "n2", 50)
    kinds = [Loss, Duplication, Reordering]
    for number, kind in enumerate(kinds):
        assert not any(staged(play(lines), faults=[kind(rate=0)]).bites.values()), number
        assert staged(play(lines), faults=[kind(rate=1)]).bites == {0: 50}


def test_losses_of_the_network_are_between_nodes() -> None:
    """The network's own loss and duplication spare clients and services, and no fault is blamed for them."""
    pairs = [(src, dest) for src in MEMBERS for dest in MEMBERS]
    stage = staged(play([Line(1, *pair) for pair in pairs]), loss=1)
    lost = {(src, dest) for src, dest in pairs if src[0] == dest[0] == "n"}
    assert {(heard.src, heard.dest) for heard in stage.heard} == set(pairs) - lost
    assert {(e.reason, e.fault) for e in stage.entries("drop")} == {("loss", None)}
    stage = staged(play([Line(1, *pair) for pair in pairs]), duplicate=1)
    twice = Counter((heard.src, heard.dest) for heard in stage.heard)
    assert twice == {pair: 2 if pair in lost else 1 for pair in pairs}


def test_a_copy_comes_later_and_is_not_lost() -> None:
    """A message is doubled once: its copy, a message of its own, comes up to a tenth of a second later, lost or not."""
    got: list[Delivery] = []

    async def script(stage: Stage) -> None:
        stage.join("n1")
        stage.network.attach("n2", "nodes", got.append)
        stage.say("n1", "n2", ["x"])
        [first] = got
        first.message.body["value"].append("changed")
        stage.network.end(0)
        stage.network.begin(1, Loss(rate=1))
        stage.network.begin(2, Duplication(rate=1))
        await stage.until(COPY_DELAY)

    async def whole(stage: Stage) -> None:
        stage.network.begin(0, Duplication(rate=1))
        await script(stage)

    stage = staged(whole)
    assert stage.fates() == [(0, "duplicate", None, 0), (0, "deliver", None, None), (0, "deliver", None, None)]
    assert [delivery.id for delivery in got] == [0, 0]
    assert got[1].message.body["value"] == ["x"]
    assert got[1].line == got[0].line
    times = [entry.t for entry in stage.entries("deliver")]
    assert times[0] == 0 < times[1] < 1e8
    assert stage.bites == {0: 1}


def test_copies_are_spread_over_twice_the_latency() -> None:
    """With much latency copies come later, so that they are overtaken as well."""
    stage = staged(play(every(0.01, "n1", "n2", 100)), latency=Latency(1000), duplicate=1)
    delivered: dict[int, list[int]] = {}
    for entry in stage.entries("deliver"):
        assert entry.id is not None
        delivered.setdefault(entry.id, []).append(entry.t)
    late = [(copy - original) / 1e9 for original, copy in delivered.values()]
    assert 1.8 < max(late) < 2
    assert min(late) < 0.2


def test_a_loss_goes_before_a_duplication() -> None:
    """A message that is lost is not doubled."""
    stage = staged(play(every(0.01, "n1", "n2", 100)), faults=[Duplication(rate=1), Loss(rate=0.5)])
    lost = {entry.id for entry in stage.entries("drop")}
    doubled = {entry.id for entry in stage.entries("duplicate")}
    assert len(lost) + len(doubled) == 100
    assert not lost & doubled
    assert stage.bites == {1: len(lost), 0: len(doubled)}
