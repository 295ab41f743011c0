"""Backoff: its delays, their bound, and where their jitter comes from."""

from __future__ import annotations

import itertools
import math
from random import Random
from typing import Any

import pytest

from trio_messenger import Backoff


def first(count: int, backoff: Backoff) -> list[float]:
    return list(itertools.islice(backoff, count))


def test_schedule_multiplies_by_the_factor_up_to_the_cap() -> None:
    """The n-th delay is base * factor**n, and from where that passes the cap it is the cap."""
    backoff = Backoff(base=0.25, factor=2, cap=3)
    assert backoff.schedule(6) == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.schedule(1) == [0.25]
    assert backoff.schedule(0) == []


def test_factor_of_1_keeps_the_delay() -> None:
    """A factor of 1 gives the same delay for ever."""
    assert Backoff(base=0.5, factor=1, jitter=0).schedule(3) == [0.5, 0.5, 0.5]


def test_base_beyond_the_cap_gives_the_cap() -> None:
    """No delay is longer than the cap, the first one neither."""
    assert Backoff(base=4, cap=0.5).schedule(2) == [0.5, 0.5]


def test_defaults_start_at_a_tenth_and_stop_at_two_seconds() -> None:
    """Without arguments delays go from 0.1 s, doubling, to 2 s."""
    assert Backoff().schedule(7) == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_schedule_draws_nothing() -> None:
    """Looking at the schedule leaves the generator as it was."""
    random = Random(1)
    Backoff(random=random).schedule(10)
    assert random.getstate() == Random(1).getstate()


def test_without_jitter_iteration_follows_the_schedule() -> None:
    """With a jitter of 0 the delays are those of the schedule, exactly."""
    backoff = Backoff(base=0.125, factor=4, cap=5, jitter=0)
    assert first(5, backoff) == backoff.schedule(5) == [0.125, 0.5, 2.0, 5.0, 5.0]


def test_jitter_only_lengthens_and_by_no_more_than_its_fraction() -> None:
    """Each delay is between the scheduled one and that plus its jitter, and uses the whole of that range."""
    delays = first(2000, Backoff(base=1, factor=1, cap=10, jitter=0.5, random=Random(1)))
    assert 1.0 <= min(delays) < 1.01
    assert 1.49 < max(delays) <= 1.5


def test_jitter_is_a_fraction_of_each_delay() -> None:
    """A longer delay gets longer jitter."""
    delays = first(200, Backoff(base=1, factor=8, cap=8, jitter=0.5, random=Random(1)))
    assert max(delays) <= 8
    long_ones = [first(2, Backoff(base=1, factor=8, cap=100, jitter=0.5, random=Random(seed)))[1] for seed in range(99)]
    assert min(long_ones) >= 8
    assert 11 < max(long_ones) <= 12


def test_cap_includes_the_jitter() -> None:
    """A delay that jitter would lift over the cap is the cap."""
    delays = first(200, Backoff(base=1, factor=1, cap=1.25, jitter=1, random=Random(1)))
    assert max(delays) == 1.25
    assert min(delays) < 1.25


def test_same_seed_gives_the_same_delays() -> None:
    """Delays depend on nothing but the numbers and the generator; each round draws fresh jitter."""
    one, other = Backoff(random=Random(7)), Backoff(random=Random(7))
    delays = first(10, one)
    assert delays == first(10, other)
    assert delays != first(10, one)
    assert delays != first(10, Backoff(random=Random(8)))


def test_iteration_does_not_end() -> None:
    """Delays go on at the cap, however many are taken."""
    assert first(5000, Backoff(jitter=0))[-1] == 2.0


def test_without_a_cap_delays_grow_to_infinity() -> None:
    """Whole numbers and no cap do not end the iteration either: past the largest float delays are infinite."""
    backoff = Backoff(base=1, factor=2, cap=math.inf)
    assert first(2000, backoff)[-1] == math.inf
    assert backoff.schedule(2000)[-1] == math.inf


def test_without_a_generator_each_iteration_has_its_own() -> None:
    """Where there is no node and no generator, jitter still differs from one iteration to the next."""
    assert first(5, Backoff()) != first(5, Backoff())


def test_no_delay_without_base() -> None:
    """A base of 0 means to try again at once, however often."""
    assert first(3, Backoff(base=0)) == [0, 0, 0]


@pytest.mark.parametrize("number", [math.nan, -0.5, -math.inf])
@pytest.mark.parametrize("field", ["base", "cap", "jitter"])
def test_negative_numbers_are_refused(field: str, number: float) -> None:
    """A base, cap or jitter below 0, or no number, raises; the text names it, the value and what to give."""
    numbers: dict[str, Any] = {field: number}
    with pytest.raises(ValueError, match=rf"^{field} is {number}; give 0 or more$"):
        Backoff(**numbers)


@pytest.mark.parametrize("number", [math.nan, 0.5, 0.0, -1.0])
def test_factors_below_1_are_refused(number: float) -> None:
    """A factor below 1, or no number, raises; the text names the value and what to give."""
    with pytest.raises(ValueError, match=rf"^factor is {number}; give 1 \(delays that stay the same\) or more$"):
        Backoff(factor=number)


@pytest.mark.parametrize("numbers", [{"base": 0, "factor": math.inf}, {"base": 0, "jitter": math.inf}])
def test_every_delay_is_a_number(numbers: dict[str, Any]) -> None:
    """Numbers are refused at the start, or give delays that one can wait for: never NaN."""
    try:
        backoff = Backoff(**numbers)
    except ValueError:
        return
    assert not any(math.isnan(delay) for delay in first(3, backoff))


def test_schedule_of_none_is_empty_and_of_less_is_refused() -> None:
    """No retries have no delays; a number below 0 raises, and the text says what to give."""
    assert Backoff().schedule(0) == []
    with pytest.raises(ValueError, match=r"^retries is -1; give 0 or more$"):
        Backoff().schedule(-1)


def test_with_random_gives_the_generator_to_a_backoff_without_one() -> None:
    """The result draws from the generator given and is the same otherwise; the original stays as it was."""
    backoff = Backoff(base=0.5, factor=3, cap=9, jitter=0.25)
    random = Random(3)
    seeded = backoff.with_random(random)
    assert seeded.random is random
    assert backoff.random is None
    assert seeded == backoff
    assert first(5, seeded) == first(5, Backoff(base=0.5, factor=3, cap=9, jitter=0.25, random=Random(3)))


def test_with_random_leaves_a_generator_of_its_own() -> None:
    """A backoff that has a generator keeps it."""
    backoff = Backoff(random=Random(3))
    assert backoff.with_random(Random(4)) is backoff
