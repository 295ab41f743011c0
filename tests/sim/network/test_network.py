"""The simulated network: message by message against a model that is slow and obvious, and promise by promise."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import assume, given, settings, strategies as st
from support.stage import Script, Stage, staged

from trio_messenger.sim._determinism.random_streams import Draws, Streams
from trio_messenger.sim._faults.faults import (
    Duplication,
    Fault,
    LinkFault,
    Links,
    Loss,
    Partition,
    Reordering,
    SlowLinks,
)
from trio_messenger.sim._network.latency_distribution import DISTRIBUTIONS, Distribution, Latency
from trio_messenger.sim._network.links import LinkFaults
from trio_messenger.sim._network.network import COPY_DELAY, Delivery
from trio_messenger.sim._records.journal import Journal
from trio_messenger.sim.strategies import fault_schedules

MEMBERS = ("n1", "n2", "n3", "c1", "c2", "lin-kv")

END = 6.0
"""When plays end."""


class Line(NamedTuple):
    """What is said in a play."""

    at: float
    src: str
    dest: str


def play(lines: Sequence[Line]) -> Script:
    """Return a script in which *lines* are said; each says its place among them."""

    async def script(stage: Stage) -> None:
        stage.join(*MEMBERS)
        for number, line in enumerate(lines):
            await trio.sleep_until(stage.start + line.at)  # and wait for nobody else: let there be ties
            stage.say(line.src, line.dest, number)
        await stage.until(END)

    return script


def every(seconds: float, src: str, dest: str, count: int, start: float = 0.0) -> list[Line]:
    """Return *count* lines from *src* to *dest*."""
    return [Line(start + seconds * i, src, dest) for i in range(count)]


# The model


class Fate(NamedTuple):
    """What became of a message."""

    at: float
    event: str
    reason: str | None = None
    fault: int | None = None


ROLES = {"n1": "nodes", "n2": "nodes", "n3": "nodes", "c1": "clients", "c2": "clients", "lin-kv": "services"}


def names(links: Links, src: str, dest: str) -> bool:
    """Tell whether the link from *src* to *dest* is one of *links*."""
    return bool({(s, d) for s in (src, ROLES[src], "all") for d in (dest, ROLES[dest], "all")} & set(links))


class Model:
    """Says what becomes of each message, one after the other, and counts what each fault does."""

    def __init__(self, faults: Sequence[Fault], latency: Latency, base: tuple[float, float], seed: int) -> None:
        self.bites: Counter[int] = Counter()
        self.moments: list[float] = []  # when it mattered which faults were in force
        self._faults = faults
        self._latency = latency
        self._base = base
        self._streams = Streams(seed)
        self._sent: Counter[tuple[str, str]] = Counter()

    def fates(self, line: Line) -> list[Fate]:
        draws = self._streams.draws(line.src, line.dest, self._sent[line.src, line.dest])
        self._sent[line.src, line.dest] += 1
        arrival = line.at + self._delay(line, draws)
        lost = self._cut(line, arrival) or self._lost(line, arrival, draws)
        if lost:
            return [lost]
        duplicate = self._rated(line, arrival, Duplication, self._base[1], draws.duplicate)
        if duplicate is None:
            return [Fate(arrival, "deliver")]
        copy = arrival + draws.delay * max(COPY_DELAY, 2 * self._latency.mean / 1000)
        duplicated = Fate(arrival, "duplicate", fault=None if duplicate < 0 else duplicate)
        return [duplicated, Fate(arrival, "deliver"), self._cut(line, copy) or Fate(copy, "deliver")]

    def _in_force(self, kind: type[LinkFault], line: Line, moment: float) -> list[tuple[int, Any]]:
        self.moments.append(moment)
        return [
            (index, fault)
            for index, fault in sorted(enumerate(self._faults), key=lambda pair: pair[1].at)
            if isinstance(fault, kind) and fault.at <= moment < fault.until and names(fault.links, line.src, line.dest)
        ]

    def _delay(self, line: Line, draws: Draws) -> float:
        has_none = "clients" in (ROLES[line.src], ROLES[line.dest])
        delay = 0.0 if has_none else self._latency.seconds(draws.latency)
        for index, slow in self._in_force(SlowLinks, line, line.at):
            before, delay = delay, delay * slow.factor + slow.extra
            self.bites[index] += before != delay
        held = [(i, fault) for i, fault in self._in_force(Reordering, line, line.at) if draws.reorder < fault.rate]
        for index, fault in held[:1]:
            self.bites[index] += 1
            delay += draws.delay * fault.seconds
        return delay

    def _cut(self, line: Line, moment: float) -> Fate | None:
        for index, _ in self._in_force(Partition, line, moment):
            self.bites[index] += 1
            return Fate(moment, "drop", "partition", index)
        return None

    def _lost(self, line: Line, moment: float, draws: Draws) -> Fate | None:
        loss = self._rated(line, moment, Loss, self._base[0], draws.loss)
        return None if loss is None else Fate(moment, "drop", "loss", None if loss < 0 else loss)

    def _rated(self, line: Line, moment: float, kind: type[LinkFault], base: float, draw: float) -> int | None:
        if ROLES[line.src] == ROLES[line.dest] == "nodes" and draw < base:
            return -1
        for index, fault in self._in_force(kind, line, moment):
            if draw < fault.rate:
                self.bites[index] += 1
                return index
        return None


LINES = st.lists(
    st.builds(
        Line,
        st.integers(0, 80).map(lambda n: n / 16),  # often at the very moment at which a fault begins or ends
        st.sampled_from(MEMBERS),
        st.sampled_from(MEMBERS),
    ),
    max_size=30,
).map(sorted)

OFTEN = st.lists(st.integers(0, 80), min_size=10, max_size=40).map(
    lambda numbers: [Line(n / 16, "n1", "n2") for n in sorted(numbers)]
)

LINK_FAULTS = fault_schedules(
    ["n1", "n2"], time_limit=5, kinds=["partition", "loss", "duplicate", "reorder", "slow"], max_size=6
)

LATENCIES = st.builds(Latency, st.sampled_from([0.0, 7.0, 125.0]), st.sampled_from(DISTRIBUTIONS))


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=100)
@given(st.one_of(LINES, OFTEN), LINK_FAULTS, LATENCIES, st.sampled_from([(0, 0), (0.25, 0.5)]), st.integers(0, 2**70))
def test_each_message_fares_as_in_the_model(
    lines: list[Line], faults: list[Fault], latency: Latency, base: tuple[float, float], seed: int
) -> None:
    """Each message is delivered, lost, cut off, delayed and doubled, and each fault's effects counted, as in the model.

    So each message that was sent is delivered or dropped once, and once more for each copy, or is still on its way.
    """
    model = Model(faults, latency, base, seed)
    expected = [model.fates(line) for line in lines]
    ends = {fault.at for fault in faults} | {fault.until for fault in faults}
    assume(not any(0 < abs(moment - end) < 1e-6 for moment in model.moments for end in ends))
    assume(all(fate.at < END for fates in expected for fate in fates))

    stage = staged(play(lines), faults=faults, latency=latency, loss=base[0], duplicate=base[1], seed=seed)

    assert [entry.id for entry in stage.entries("send")] == list(range(len(lines)))
    assert [entry.t / 1e9 for entry in stage.entries("send")] == [line.at for line in lines]
    for number, fates in enumerate(expected):
        found = [e for e in stage.entries("deliver", "drop", "duplicate") if e.id == number]
        assert [(e.event, e.reason, e.fault) for e in found] == [fate[1:] for fate in fates]
        assert [e.t / 1e9 for e in found] == pytest.approx([fate.at for fate in fates], abs=1e-6)
    assert +stage.bites == +model.bites
    assert len(stage.heard) == sum(fate.event == "deliver" for fates in expected for fate in fates)


def test_what_is_on_its_way_at_the_end_has_no_fate() -> None:
    """A message that is due after the end was sent, and that is all that is known of it."""
    stage = staged(play([Line(END - 1, "n1", "n2")]), latency=Latency(1001))
    assert [entry.event for entry in stage.journal] == ["send"]


def test_a_probability_is_that_of_smaller_draws() -> None:
    """What is drawn is below 1 and may be 0: a probability of 1 always decides, one of 0 never, and 1/4 a quarter."""

    def is_lost(rate: float, draw: float) -> bool:
        effects = LinkFaults(lambda _: "nodes", Counter(), duplicate=1, loss=rate).on("n1", "n2")
        assert effects is not None
        return effects.loss(Draws(latency=0, loss=draw, duplicate=0, delay=0, reorder=0)) is not None

    assert [is_lost(0, 0.0), is_lost(0.25, 0.249), is_lost(0.25, 0.25), is_lost(1, 1 - 2**-53)] == [
        *(False, True, False, True)
    ]


# Who hears what


def test_a_message_is_delivered_as_it_was_sent() -> None:
    """The receiver gets the message decoded, its line, and its number; others get nothing."""
    got: list[Delivery] = []

    async def script(stage: Stage) -> None:
        stage.join("n1", "n3")
        stage.network.attach("n2", "nodes", got.append)
        stage.network.send(b'{"src": "n1","dest":"n2",  "body":{"type":"x","y":[1,"\xc3\xa9"]}}')

    stage = staged(script)
    [delivery] = got
    assert (delivery.message.src, delivery.message.dest, delivery.id) == ("n1", "n2", 0)
    assert delivery.message.body == {"type": "x", "y": [1, "é"]}
    assert delivery.line == b'{"src": "n1","dest":"n2",  "body":{"type":"x","y":[1,"\xc3\xa9"]}}'
    assert stage.heard == []


@pytest.mark.parametrize("line", [b"", b"hello", b"[]", b'{"src": "n1", "dest": "n2"}'])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    """A line that is no message raises where it is sent, and leaves no trace."""

    async def script(stage: Stage) -> None:
        with pytest.raises(msgspec.DecodeError):
            stage.network.send(line)
        stage.join("n2")
        stage.say("n1", "n2")

    assert staged(script).fates() == [(0, "deliver", None, None)]


def test_a_message_to_nobody_is_dropped() -> None:
    """A message to an id that never was in the network is dropped as such; one to itself is heard."""
    stage = staged(play([Line(1, "n1", "n9"), Line(2, "n1", "n1")]))
    assert stage.fates() == [(0, "drop", "unknown", None), (1, "deliver", None, None)]


def test_who_joins_later_is_what_it_is_then() -> None:
    """What was sent to an id before anybody had it settles nothing: whoever joins as a client has no latency."""

    async def script(stage: Stage) -> None:
        stage.join("n1")
        stage.say("n1", "c1", "early")
        stage.join("c1")
        stage.say("n1", "c1", "late")
        assert stage.values() == ["late"]
        await stage.until(2)

    assert staged(script, latency=Latency(1000)).values() == ["late"]


def test_who_has_left_hears_nothing_more() -> None:
    """What is sent to one who has left is dropped; so is what was on its way, even if the receiver is back by then."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.say("n1", "n2", "in flight")
        stage.network.detach("n2")
        assert stage.network.role("n2") == "nodes"
        stage.say("n1", "n2", "while away")
        await stage.until(0.5)
        stage.join("n2")
        stage.say("n1", "n2", "after")
        await stage.until(2)

    stage = staged(script, latency=Latency(1000))
    assert stage.values() == ["after"]
    assert stage.fates() == [(0, "drop", "down", None), (1, "drop", "down", None), (2, "deliver", None, None)]


def test_the_copy_of_what_was_lost_with_a_receiver_is_lost() -> None:
    """A copy of a message from before the receiver came back is as old as the message."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.say("n1", "n2")
        stage.network.detach("n2")
        stage.join("n2")
        await stage.until(1)

    stage = staged(script, duplicate=1)
    assert stage.fates() == [(0, "duplicate", None, None), (0, "deliver", None, None), (0, "drop", "down", None)]


def test_roles_are_known() -> None:
    """The network tells nodes, services and clients apart, and knows no others."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "c1", "lin-kv")
        assert [stage.network.role(name) for name in ("n1", "c1", "lin-kv", "x")] == [
            *("nodes", "clients", "services", None)
        ]

    staged(script)


def test_messages_keep_their_order_on_a_link() -> None:
    """With one latency for all, messages are heard in the order in which they were sent, also within one moment."""
    lines = [Line(1 + i // 4, "n1", "n2") for i in range(12)]
    for latency in (0, 5, 1000):
        assert staged(play(lines), latency=Latency(latency)).values() == list(range(12))


def test_what_is_due_now_goes_before_what_is_sent_now() -> None:
    """A message without latency does not overtake one that is due at the same moment."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.network.begin(0, SlowLinks(extra=1))
        stage.say("n1", "n2", "slow")
        stage.network.end(0)
        await stage.until(0.5)
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(0.5)  # the first is due, and nobody has had the time to deliver it
        stage.say("n1", "n2", "fast")
        assert stage.values() == []
        await stage.until(1)

    assert staged(script).values() == ["slow", "fast"]


@pytest.mark.parametrize("latency", [0, 250])
@pytest.mark.parametrize("fault", [Partition(at=1, until=2), Loss(at=1, until=2, rate=1)])
def test_a_fault_begins_and_ends_before_all_else_at_that_moment(fault: Fault, latency: float) -> None:
    """What arrives just when a fault begins is touched, what arrives just when it ends is not, whatever the seed."""
    lines = [Line(at - latency / 1000, "n1", "n2") for at in (0.75, 1, 1.75, 2)]
    for seed in range(20):
        assert staged(play(lines), faults=[fault], latency=Latency(latency), seed=seed).values() == [0, 3]


def test_links_become_slow_before_all_else_at_that_moment() -> None:
    """The same holds for what is decided when a message is sent."""
    lines = [Line(at, "n1", "n2") for at in (0.75, 1, 1.75, 2)]
    for seed in range(20):
        stage = staged(play(lines), faults=[SlowLinks(at=1, until=2, extra=3)], seed=seed)
        assert [heard.at for heard in stage.heard] == [0.75, 2, 4, 4.75]


def test_without_latency_it_is_heard_while_it_is_sent() -> None:
    """Where nothing delays a message, it has been heard when `send` returns, and what it causes as well."""

    async def script(stage: Stage) -> None:
        def answer(delivery: Delivery) -> None:
            stage.say("n2", "n1", "pong")

        stage.join("n1")
        stage.network.attach("n2", "nodes", answer)
        stage.say("n1", "n2", "ping")
        assert stage.values() == ["pong"]

    assert [entry.event for entry in staged(script).journal] == ["send", "deliver", "send", "deliver"]


# Latency


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("mean", "distribution"),
    [each for each in itertools.product([0, 0.9, 2.5, 30, 100], DISTRIBUTIONS) if each != (0.9, "constant")],
)
def test_latencies_are_whole_milliseconds_of_their_law(distribution: Distribution, mean: float) -> None:
    """Latencies are milliseconds without fraction, and have Maelstrom's distributions, of whatever mean, also 0."""
    streams, latency = Streams(1), Latency(mean, distribution)
    drawn = [latency.seconds(streams.draws("n1", "n2", n).latency) * 1000 for n in range(4000)]
    assert all(value >= 0 and abs(value - round(value)) < 1e-9 for value in drawn)
    values = [round(value) for value in drawn]
    if distribution == "constant" or mean == 0:
        assert set(values) == {int(mean)}
    elif distribution == "uniform":
        assert set(values) <= set(range(math.ceil(2 * mean)))
        assert statistics.mean(values) == pytest.approx(2 * mean / 2 - 0.5, rel=0.05, abs=0.05 + 0.5 * (mean < 1))
        assert max(values) >= 1.9 * mean - 1
    else:
        assert min(values) == 0
        # Rounding down takes away half a millisecond on average, as long as the mean is some milliseconds.
        assert statistics.mean(values) == pytest.approx(1 / math.expm1(1 / mean), rel=0.05)
        assert statistics.median(values) == pytest.approx(mean * math.log(2), rel=0.08, abs=1)
        assert max(values) > 5 * mean


@pytest.mark.parametrize(("mean", "distribution"), [(0.9, "constant"), (0.5, "uniform"), (0.02, "exponential")])
def test_a_latency_that_would_always_be_none_is_refused(mean: float, distribution: Distribution) -> None:
    """Less than a millisecond would be rounded down to nothing, and whoever asked for it would not know."""
    text = (
        f"a {distribution} latency of {mean} ms is always 0, because latencies are whole milliseconds; give 1 or more,"
        " or 0 for no latency"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Latency(mean, distribution)


def test_the_extreme_draws() -> None:
    """Uniform latencies never reach twice their mean; exponential ones are finite for each draw there is."""
    assert Latency(100, "uniform").seconds(1 - 2**-53) == 0.199
    assert Latency(100, "uniform").seconds(0) == 0
    assert Latency(100, "exponential").seconds(0) == 0
    assert Latency(100, "exponential").seconds(1 - 2**-53) == 3.673


@pytest.mark.parametrize("mean", [-1, math.inf, math.nan])
def test_a_latency_that_makes_no_sense_is_refused(mean: float) -> None:
    """A mean is finite and not negative."""
    with pytest.raises(ValueError, match=rf"^a latency is {mean} ms; give a finite number of 0 or more$"):
        Latency(mean)


def test_clients_have_no_latency() -> None:
    """Messages from and to clients take no time; those among nodes and services do, both ways, and to oneself."""
    pairs = [(src, dest) for src in MEMBERS for dest in MEMBERS]
    stage = staged(play([Line(1, *pair) for pair in pairs]), latency=Latency(250))
    took = {(heard.src, heard.dest): heard.at - 1 for heard in stage.heard}
    assert took == {pair: 0 if "c" in (pair[0][0], pair[1][0]) else 0.25 for pair in pairs}


# Faults, kind by kind


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


@pytest.mark.unmeasured
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


# Chance is keyed

STEADY = sorted(
    every(0.03, "n1", "n2", 90)
    + every(0.04, "n2", "n1", 70)
    + every(0.05, "n1", "n3", 50)
    + every(0.07, "c1", "n1", 40)
)
MANY: list[Fault] = [
    Partition(at=0.51, until=1.01, links=[("n1", "n2")]),
    Loss(at=0.25, until=2.01, rate=0.3),
    Loss(at=1.01, until=2.51, rate=0.5, links=[("n1", "n2")]),
    Duplication(at=0.75, until=2.25, rate=0.4),
    Reordering(at=1.26, until=2.01, rate=0.5, seconds=0.3, links=[("n2", "n1")]),
    SlowLinks(at=0.11, until=0.61, extra=0.2, links=[("n1", "n3")]),
    SlowLinks(at=1.51, until=1.81, factor=3, links=[("nodes", "nodes")]),
]


def fates_by_message(stage: Stage, faults: Sequence[Fault]) -> dict[int, list[tuple[int, str, str | None, Any]]]:
    """Return what became of each message, and when, with the faults themselves in place of their indexes."""
    fates: dict[int, list[tuple[int, str, str | None, Any]]] = {}
    for e in stage.entries("deliver", "drop", "duplicate"):
        assert e.id is not None
        fates.setdefault(e.id, []).append((e.t, e.event, e.reason, None if e.fault is None else faults[e.fault]))
    return fates


@pytest.mark.unmeasured
@pytest.mark.parametrize("removed", range(len(MANY)))
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_to_remove_a_fault_changes_only_what_it_touched(removed: int, distribution: Distribution) -> None:
    """Without one of its faults, a schedule does the same to each message that this fault did nothing to."""
    latency = Latency(20, distribution)
    fewer = [fault for index, fault in enumerate(MANY) if index != removed]
    fault = MANY[removed]
    before = staged(play(STEADY), faults=MANY, latency=latency)
    after = staged(play(STEADY), faults=fewer, latency=latency)
    with_it, without = fates_by_message(before, MANY), fates_by_message(after, fewer)
    assert isinstance(fault, LinkFault)
    touched = {number for number, fates in with_it.items() if any(fate[3] == fault for fate in fates)}
    if isinstance(fault, (SlowLinks, Reordering)):  # leave no name in the journal, but at most one window of messages
        touched = {
            number
            for number, line in enumerate(STEADY)
            if fault.at <= line.at < fault.until and names(fault.links, line.src, line.dest)
        }
    changed = {number for number in with_it if with_it[number] != without[number]}
    assert changed <= touched
    assert changed
    assert len(with_it) == len(without) == len(STEADY)


def test_chance_is_the_link_s_own() -> None:
    """What befalls the messages on one link does not depend on what is sent on others."""
    alone = [line for line in STEADY if (line.src, line.dest) == ("n2", "n1")]
    times = [line.at for line in alone]
    both = staged(play(STEADY), faults=MANY, latency=Latency(20, "exponential"))
    one = staged(play(alone), faults=MANY, latency=Latency(20, "exponential"))
    heard = [h.at for h in both.heard if (h.src, h.dest) == ("n2", "n1")]
    assert heard == pytest.approx([h.at for h in one.heard])
    assert len(times) != len(heard)


def test_the_same_seed_is_the_same_play() -> None:
    """Two plays with one seed have one digest; another seed has another."""
    digests = [
        staged(play(STEADY), faults=MANY, latency=Latency(20, "uniform"), seed=seed).journal.digest()
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_draws_are_the_same_everywhere() -> None:
    """Chance depends on seed, names and number only: these figures hold on every machine and Python."""
    assert Streams(7).draws("n1", "n2", 3) == pytest.approx(DRAWN, abs=0)
    assert Streams(7).stream("a", "b").random() == STREAMED
    assert Streams(7).stream("a").random() != Streams(8).stream("a").random() != Streams(8).stream("b").random()
    others = [Streams(8).draws("n1", "n2", 3), Streams(7).draws("n2", "n1", 3), Streams(7).draws("n1", "n2", 4)]
    assert len({*others, Streams(7).draws("n1", "n2", 3)}) == 4
    assert Streams(7).seed == 7


DRAWN = (0.008570787964120141, 0.4640024736376712, 0.602125220177387, 0.6635733702375656, 0.5903960139294793)
STREAMED = 0.6135739109848255


@pytest.mark.parametrize("seed", [-1, 0, 10**63, 10**64, 10**200])
def test_any_integer_is_a_seed(seed: int) -> None:
    """Seeds may be negative, or have hundreds of digits, all of which count."""
    draws = Streams(seed).draws("n1", "n2", 0)
    assert draws != Streams(seed + 1).draws("n1", "n2", 0)
    assert all(0 <= draw < 1 for draw in draws)


# The journal


def test_the_journal_has_everything(tmp_path: Path) -> None:
    """The journal has what was sent, as it was sent, and what became of it; numbered, in the order of time."""
    stage = staged(
        play([Line(0.5, "n1", "n2"), Line(1.5, "n1", "n2")]), faults=[Loss(at=1, until=2, rate=1), Partition(at=3)]
    )
    lines = [msgspec.json.decode(line) for line in stage.journal.lines()]
    assert lines == [
        {"i": 0, "t": 500000000, "event": "send", "id": 0, "message": message(0)},
        {"i": 1, "t": 500000000, "event": "deliver", "id": 0},
        {"i": 2, "t": 1000000000, "event": "begin", "fault": 0, "text": "loss between all nodes rate=1"},
        {"i": 3, "t": 1500000000, "event": "send", "id": 1, "message": message(1)},
        {"i": 4, "t": 1500000000, "event": "drop", "id": 1, "reason": "loss", "fault": 0},
        {"i": 5, "t": 2000000000, "event": "end", "fault": 0},
        {"i": 6, "t": 3000000000, "event": "begin", "fault": 1, "text": "partition between all nodes"},
        {"i": 7, "t": 6000000000, "event": "end", "fault": 1},
    ]
    assert len(stage.journal) == 8
    assert stage.journal[4] is list(stage.journal)[4]


def message(number: int) -> dict[str, Any]:
    return {"src": "n1", "dest": "n2", "body": {"type": "say", "value": number}}


def test_a_journal_that_was_saved_is_the_same(tmp_path: Path) -> None:
    """A journal read from its file has the same entries, the same lines and so the same digest."""
    journal = staged(play(STEADY), faults=MANY).journal
    journal.save(tmp_path / "journal.jsonl")
    again = Journal.load(tmp_path / "journal.jsonl")
    assert list(again) == list(journal)
    assert again.digest() == journal.digest()
    assert (tmp_path / "journal.jsonl").read_bytes().splitlines() == list(journal.lines())


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """The digest is the SHA-256 of the file, so that any tool can check it; an empty journal has one as well."""
    journal = staged(play(STEADY)).journal
    journal.save(tmp_path / "journal.jsonl")
    assert journal.digest() == hashlib.sha256((tmp_path / "journal.jsonl").read_bytes()).hexdigest()
    assert Journal().digest() == hashlib.sha256(b"").hexdigest()
