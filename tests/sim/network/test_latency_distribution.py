"""Latencies of links: their laws, and who has none."""

from __future__ import annotations

import itertools
import math
import re
import statistics

import pytest
from support.network_plays import MEMBERS, Line, play
from support.stage import staged

from trio_messenger.sim._determinism.random_streams import Streams
from trio_messenger.sim._network.latency_distribution import DISTRIBUTIONS, Distribution, Latency


@pytest.mark.slow
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
