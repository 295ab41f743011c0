"""Latencies: quantiles near the exact ones, an exact mean, and flat memory."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from trio_messenger import Latencies

DURATIONS = st.floats(1e-6, 86400.0)


def recorded(durations: list[float]) -> Latencies:
    latencies = Latencies()
    for seconds in durations:
        latencies.record(seconds)
    return latencies


def exact_quantile(durations: list[float], q: float) -> float:
    return sorted(durations)[max(math.ceil(q * len(durations)), 1) - 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draw", [lambda r: r.expovariate(100), lambda r: 10 ** r.uniform(-6, 4), lambda r: r.random()])
def test_quantiles_are_within_one_percent(draw: object, seed: int) -> None:
    """On ten thousand random durations every quantile is within 1 % of that of the sorted list."""
    assert callable(draw)
    source = random.Random(seed)
    durations = [max(draw(source), 1e-6) for _ in range(10_000)]
    latencies = recorded(durations)
    for q in (0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1):
        assert latencies.quantile(q) == pytest.approx(exact_quantile(durations, q), rel=0.01)


@given(st.lists(DURATIONS, min_size=1, max_size=50), st.floats(0, 1))
def test_quantile_is_near_the_exact_one(durations: list[float], q: float) -> None:
    """Whatever the durations and the fraction, the quantile is a bucket's width from the exact one at the most."""
    assert recorded(durations).quantile(q) == pytest.approx(exact_quantile(durations, q), rel=0.0102)


@pytest.mark.parametrize("bucket", [-600, -100, 0, 1, 333])
def test_durations_between_two_buckets_are_within_one_percent(bucket: int) -> None:
    """The durations that are furthest from the middle of their buckets are no more than 1 % off either."""
    latencies = recorded([0.5])
    widest = max(
        abs(recorded([seconds]).quantile(1) / seconds - 1)
        for seconds in (math.exp((bucket + step / 1000) / 50) for step in range(-510, 511))
    )
    assert latencies.count == 1
    assert widest <= 0.01


@given(st.lists(DURATIONS, max_size=50))
def test_quantiles_grow_with_their_fraction(durations: list[float]) -> None:
    """A larger fraction never has a smaller quantile."""
    latencies = recorded(durations)
    quantiles = [latencies.quantile(q / 20) for q in range(21)]
    assert quantiles == sorted(quantiles)


def test_quantiles_of_few() -> None:
    """The quantile is the duration that the fraction did not exceed: of four, the second at 0.5, the third above."""
    latencies = recorded([0.008, 0.001, 0.004, 0.002])
    ranks = [(0, 0.001), (0.25, 0.001), (0.26, 0.002), (0.5, 0.002), (0.51, 0.004), (0.75, 0.004), (1, 0.008)]
    for q, expected in ranks:
        assert latencies.quantile(q) == pytest.approx(expected, rel=0.01)


def test_mean_and_count_are_exact() -> None:
    """They come from no bucket."""
    latencies = recorded([0.25, 0.5, 4.0, 0.25])
    assert (latencies.count, latencies.total, latencies.mean()) == (4, 5.0, 1.25)


def test_without_durations_everything_is_zero() -> None:
    """Neither a mean nor a quantile fails where there is nothing."""
    latencies = Latencies()
    assert (latencies.count, latencies.total, latencies.mean()) == (0, 0.0, 0.0)
    assert [latencies.quantile(q) for q in (0, 0.5, 1)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seconds", [0.0, 1e-12, -0.0, -1.0])
def test_what_is_too_short_counts_as_a_nanosecond(seconds: float) -> None:
    """No duration at all, and a clock that went back, are recorded all the same."""
    latencies = recorded([seconds])
    assert latencies.quantile(0.5) == pytest.approx(1e-9, rel=0.01)
    assert (latencies.count, latencies.total) == (1, seconds)


@pytest.mark.parametrize("q", [-0.01, 1.01, 99, math.nan])
def test_fraction_is_from_zero_to_one(q: float) -> None:
    """A percentage is refused with a text that says what to give, also where nothing was recorded."""
    with pytest.raises(ValueError, match=rf"^q is {q}; give a fraction from 0 to 1, such as 0\.99$"):
        Latencies().quantile(q)


def test_memory_stays_flat() -> None:
    """A hundred thousand durations over eleven orders of magnitude take no more than 1300 integers."""
    source = random.Random(1)
    latencies = recorded([10 ** source.uniform(-6, 5) for _ in range(100_000)])
    assert len(latencies._buckets) <= 1300
