"""The designs that the benchmark compares do the same thing."""

from __future__ import annotations

import math

import pytest
from bench.designs import DESIGNS, RATE, SLICE, TIMEOUT, table


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_expires_what_is_due_and_was_not_answered(name: str) -> None:
    """No RPC expires before its deadline, and none that was answered."""
    design = DESIGNS[name]()
    for number in range(3 * SLICE):
        design.add(number, number / RATE)
    for number in range(0, 3 * SLICE, 3):
        design.answer(number)
    assert design.expire(TIMEOUT - 1.0) == []
    expired = [number for _ in range(4) for number in design.expire(math.inf)]
    assert sorted(expired) == [number for number in range(3 * SLICE) if number % 3]


def test_the_table_has_a_line_for_each_design() -> None:
    """With as many figures as there are headings."""
    lines = table(600, 1).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [*DESIGNS]
    assert len({line.count("|") for line in lines}) == 1
