"""Random transactions, with the distributions of Elle's generator, which Maelstrom uses."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias

TransactionOps: TypeAlias = list[list[Any]]
"""The operations of a transaction: ``["r", key, null]``, or a write, such as ``["append", key, value]``."""


def random_transactions(
    random: Random, write: str, *, key_count: int = 10, max_txn_length: int = 4, max_writes_per_key: int = 16
) -> Iterator[TransactionOps]:
    """Yield random transactions, endlessly.

    Half of all operations are reads. Keys come from a pool: each key of the pool is twice as likely as the one before
    it, so the last one is the hottest. The values written to a key are 1, 2, 3 and so on. When a key has been written
    *max_writes_per_key* times, the next write to it replaces it in the pool by a new key.

    Args:
      random: The source of all chance.
      write: The name of a write: ``append`` or ``w``.
      key_count: The number of keys in the pool, at least 1.
      max_txn_length: The greatest number of operations of a transaction, at least 1. All lengths are equally likely.
      max_writes_per_key: The number of writes to a key, at least 1.
    """
    pool = list(range(key_count))
    writes = [0] * key_count  # to the key at each place of the pool
    next_key = key_count
    while True:
        transaction: TransactionOps = []
        for _ in range(random.randint(1, max_txn_length)):
            is_write, place = _choose(random, key_count)
            while is_write and writes[place] == max_writes_per_key:
                pool[place], writes[place] = next_key, 0
                next_key += 1
                is_write, place = _choose(random, key_count)
            if is_write:
                writes[place] += 1
                transaction.append([write, pool[place], writes[place]])
            else:
                transaction.append(["r", pool[place], None])
        yield transaction


def _choose(random: Random, key_count: int) -> tuple[bool, int]:
    """Return whether to write, and the place of a key in the pool."""
    is_write = random.random() < 0.5  # noqa: PLR2004 - half of them
    # Of the numbers below 2**key_count, twice as many have their highest bit at a place as at the place before it.
    return is_write, random.randrange(1, 1 << key_count).bit_length() - 1
