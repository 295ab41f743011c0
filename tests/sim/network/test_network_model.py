"""The simulated network, message by message, against a model that is slow and obvious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings, strategies as st
from support.network_plays import END, MEMBERS, ROLES, Line, names, play
from support.stage import staged

from trio_messenger.sim._determinism.random_streams import Draws, Streams
from trio_messenger.sim._faults.faults import (
    Duplication,
    Fault,
    LinkFault,
    Loss,
    Partition,
    Reordering,
    SlowLinks,
)
from trio_messenger.sim._network.latency_distribution import DISTRIBUTIONS, Latency
from trio_messenger.sim._network.links import LinkFaults
from trio_messenger.sim._network.network import COPY_DELAY
from trio_messenger.sim.strategies import fault_schedules


class Fate(NamedTuple):
    """What became of a message."""

    at: float
    event: str
    reason: str | None = None
    fault: int | None = None


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


@pytest.mark.slow
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
