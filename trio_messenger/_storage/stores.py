"""The interface of durable stores, and a store in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, MutableMapping
from typing import Any

import msgspec
import trio

from .._protocol.lines import encode_value


class DurableStore(MutableMapping[str, Any], ABC):
    """The data that a node keeps across its lives: JSON values by name.

    A value is stored in its state at the assignment. To change a stored list, assign it again. A read returns a copy.

    An assignment alone may be lost when the node ends abruptly. After `sync`, it is safe. So a node syncs before it
    tells others what it has stored. If assignments are lost, these are the latest ones: whenever a value is kept, all
    earlier assignments are kept as well.

    Each store says what it loses. `MemoryStore` loses everything, and is for tests and for nodes without a disk.
    `FileStore` keeps assignments when the process is killed, and loses what was not synced when the machine fails. In
    the simulator, a kill loses what was not synced, if the node has ever called `sync`.

    Example:
      >>> class Voter:
      ...     def __init__(self, store: DurableStore) -> None:
      ...         self.store = store
      ...
      ...     async def vote(self, term, candidate):
      ...         voted_in, voted_for = self.store.get("vote", (0, None))
      ...         if term < voted_in or (term == voted_in and candidate != voted_for):
      ...             return False
      ...         self.store["vote"] = (term, candidate)
      ...         await self.store.sync()  # first make the vote durable, then give it
      ...         return True
      >>> voter = Voter(MemoryStore())
      >>> trio.run(voter.vote, 1, "n1"), trio.run(voter.vote, 1, "n2"), trio.run(voter.vote, 2, "n2")
      (True, False, True)
    """

    @abstractmethod
    async def sync(self) -> None:
        """Wait until everything that was assigned or deleted before this call is durable.

        Always a checkpoint. If cancelled, the changes may or may not be durable.

        Raises:
          trio.BrokenResourceError: if the disk failed. The changes may or may not be durable.
          trio.ClosedResourceError: if the store is closed.
        """


class MemoryStore(DurableStore):
    """A durable store in memory: for tests, and for nodes that keep their data only as long as they run.

    It accepts and returns the same values as the other stores. Several lives of a node may share it.

    Example:
      >>> store = MemoryStore()
      >>> store["log"] = log = ["set x"]
      >>> log.append("set y")
      >>> store["log"]
      ['set x']
      >>> trio.run(store.sync)
      >>> store["pi"] = float("nan")
      Traceback (most recent call last):
        ...
      trio_messenger.LocalProtocolError: JSON has no number nan, found at store['pi']; use null or a string instead
    """

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def _write(self, name: str, value: bytes | None) -> None:
        """Write a change: *value* is JSON, or None if *name* is deleted. Called before the change; may raise."""

    async def sync(self) -> None:
        """See `DurableStore.sync`. Does nothing but a checkpoint, since memory cannot be synced."""
        await trio.lowlevel.checkpoint()

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self._values[name])

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a value in a store is {name!r:.80}; use a string")
        encoded = encode_value(value, f"store[{name!r:.80}]")
        self._write(name, encoded)
        self._values[name] = encoded

    def __delitem__(self, name: str) -> None:
        if name not in self._values:
            raise KeyError(name)
        self._write(name, None)
        del self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
