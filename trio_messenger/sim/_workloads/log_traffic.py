"""The operations of the kafka workload: sends, polls and assignments, and the polls of the final phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final, TypeAlias, final

from .._records.history import Op
from .interface import Invocation
from .transaction_generator import TransactionOps, random_transactions

ASSIGN_PROBABILITY: Final = 1 / 64
"""The probability that a client gets new keys instead of sending or polling, as in Jepsen."""

CATCH_UP_PROBABILITY: Final = 1 / 3
"""The probability that new keys include all those with messages that nobody has polled yet, as in Jepsen."""

_WRITE: Final = "append"

Offsets: TypeAlias = dict[str, int]
"""The highest offset of each key."""


@final
class LogTraffic:
    """The operations of the main phase.

    Half of them send and half poll. They are random transactions of one operation: a write sends a message to its key,
    a read polls. Keys are texts. Now and then a client gets other keys to poll: the key of the operation that is next,
    and sometimes also all keys with messages that no client has polled yet. A client without keys gets some instead of
    its first poll; in Maelstrom it polls nothing until chance assigns a key.

    Args:
      key_count: The number of keys in use at the same time.
      max_writes_per_key: The number of messages after which a new key replaces a key.
    """

    def __init__(self, key_count: int, max_writes_per_key: int) -> None:
        self.ends: Final[Offsets] = {}
        """The highest offset of each key that any client knows: final polls go on until they see it."""
        self._sent: Offsets = {}  # of keys with messages that nobody has polled
        self._polled: Offsets = {}
        self._key_count = key_count
        self._max_writes = max_writes_per_key
        self._transactions: Iterator[TransactionOps] | None = None
        self._put_back: TransactionOps | None = None

    def next(self, random: Random, *, has_keys: bool) -> Invocation:
        """Return the next operation of a client.

        Args:
          random: All chance, always the same object.
          has_keys: Whether the client has keys to poll.
        """
        [[f, key, message]] = drawn = self._draw(random)
        if random.random() < ASSIGN_PROBABILITY:
            self._put_back = drawn
            return self._assignment(random, f"{key}")
        if f == _WRITE:
            return "send", [["send", f"{key}", message]]
        return ("poll", [["poll"]]) if has_keys else self._assignment(random, f"{key}")

    def _draw(self, random: Random) -> TransactionOps:
        if self._transactions is None:
            self._transactions = random_transactions(
                random, _WRITE, key_count=self._key_count, max_txn_length=1, max_writes_per_key=self._max_writes
            )
        drawn, self._put_back = self._put_back or next(self._transactions), None
        return drawn

    def _assignment(self, random: Random, key: str) -> Invocation:
        catches_up = random.random() < CATCH_UP_PROBABILITY
        return "assign", list(dict.fromkeys([*self._sent, key])) if catches_up else [key]

    def note(self, value: Any) -> None:
        """Note the *value* of a send or poll that was ok."""
        for offsets, found in ((self._sent, sent_offsets(value)), (self._polled, polled_offsets(value))):
            for key, offset in found.items():
                offsets[key] = max(offsets.get(key, -1), offset)
                self.ends[key] = max(self.ends.get(key, -1), offset)
                if self._polled.get(key, -1) >= self._sent.get(key, -1):
                    self._sent.pop(key, None)
                    self._polled.pop(key, None)


@final
class FinalPolls:
    """The operations of one worker in the final phase: a new client polls all logs from the beginning to their ends.

    Args:
      ends: The highest known offset of each key.
    """

    def __init__(self, ends: Mapping[str, int]) -> None:
        self._waits_for = dict(ends)
        self._assignment: Final[Invocation] = ("assign", sorted(ends, key=lambda key: (len(key), key)))  # 2 before 10
        self._to_do: list[Invocation] = [("crash", None), self._assignment]

    def __iter__(self) -> Iterator[Invocation]:
        """Yield the operations, until polls of this worker returned the ends of all logs."""
        while self._waits_for:
            yield self._to_do.pop(0) if self._to_do else ("poll", [["poll"]])

    def note(self, op: Op) -> None:
        """Note the end of an operation of the worker."""
        if op.type == "ok" and op.f == "poll":
            for key, offset in polled_offsets(op.value).items():
                if offset >= self._waits_for.get(key, -1):
                    self._waits_for.pop(key, None)
        elif op.type == "info":
            self._to_do = [self._assignment]  # the next client is new, and has no keys


def polled_offsets(value: Any) -> Offsets:
    """Return the highest offset of each key in the *value* of an operation that was ok, if it polled messages."""
    return {
        key: max(offset for offset, _ in messages)
        for step in value
        if step[0] == "poll"
        for key, messages in step[1].items()
        if messages
    }


def sent_offsets(value: Any) -> Offsets:
    """Return the offset of the message in the *value* of an operation that was ok, if it sent one."""
    return {step[1]: step[2][0] for step in value if step[0] == "send"}
