"""Random transactions: lengths, keys and values as in Elle's generator."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any

from trio_messenger.sim._workloads.transaction_generator import random_transactions


def ops(count: int, **options: Any) -> list[list[list[Any]]]:
    return list(itertools.islice(random_transactions(Random(1), "append", **options), count))


def test_the_same_seed_gives_the_same_transactions() -> None:
    """All chance comes from the argument."""
    assert ops(50) == ops(50)
    assert ops(3) == [
        [["r", 9, None], ["r", 8, None]],
        [["append", 8, 1]],
        [["r", 9, None], ["append", 8, 2], ["append", 9, 1], ["append", 9, 2]],
    ]


def test_lengths_and_functions_are_equally_likely() -> None:
    """A transaction has 1 to 4 operations, half of them reads."""
    txns = ops(4000)
    lengths = Counter(map(len, txns))
    assert set(lengths) == {1, 2, 3, 4}
    assert all(900 < count < 1100 for count in lengths.values())
    fs = Counter(f for txn in txns for f, _, _ in txn)
    assert abs(fs["r"] - fs["append"]) < 400


def test_each_key_is_twice_as_likely_as_the_one_before_it() -> None:
    """The last key of the pool is the hottest."""
    keys = Counter(key for txn in ops(4000, key_count=4, max_writes_per_key=100_000) for _, key, _ in txn)
    assert set(keys) == {0, 1, 2, 3}
    assert all(1.7 < keys[key + 1] / keys[key] < 2.3 for key in range(3))


def test_values_of_a_key_count_up_and_a_key_that_is_full_is_replaced() -> None:
    """No value is written twice to a key; new keys have new numbers."""
    written: dict[int, list[int]] = {}
    for txn in ops(2000, key_count=3, max_writes_per_key=5):
        for f, key, value in txn:
            if f == "append":
                written.setdefault(key, []).append(value)
            else:
                assert value is None
    assert all(values == list(range(1, len(values) + 1)) for values in written.values())
    assert max(map(len, written.values())) == 5
    assert len(set(range(max(written) + 1)) - set(written)) <= 3  # keys of the pool that were not written yet
    assert sum(len(values) < 5 for values in written.values()) <= 3  # those in the pool at the end


def test_options_at_their_least() -> None:
    """One key, one operation, one write."""
    txns = ops(100, key_count=1, max_txn_length=1, max_writes_per_key=1)
    writes = [txn[0][1:] for txn in txns if txn[0][0] == "append"]
    assert writes == [[key, 1] for key in range(len(writes))]
