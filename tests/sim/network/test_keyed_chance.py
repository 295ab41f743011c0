"""Chance on the network is keyed: what one fault draws shifts nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.network_plays import MANY, STEADY, names, play
from support.stage import Stage, staged

from trio_messenger.sim._determinism.random_streams import Streams
from trio_messenger.sim._faults.faults import (
    Fault,
    LinkFault,
    Reordering,
    SlowLinks,
)
from trio_messenger.sim._network.latency_distribution import DISTRIBUTIONS, Distribution, Latency


def fates_by_message(stage: Stage, faults: Sequence[Fault]) -> dict[int, list[tuple[int, str, str | None, Any]]]:
    """Return what became of each message, and when, with the faults themselves in place of their indexes."""
    fates: dict[int, list[tuple[int, str, str | None, Any]]] = {}
    for e in stage.entries("deliver", "drop", "duplicate"):
        assert e.id is not None
        fates.setdefault(e.id, []).append((e.t, e.event, e.reason, None if e.fault is None else faults[e.fault]))
    return fates


@pytest.mark.slow
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


@pytest.mark.slow
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
