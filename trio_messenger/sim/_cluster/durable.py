"""The factory of simulated nodes, and the durable store that outlives a killed node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import trio

from trio_messenger import MemoryStore, Node

Build: TypeAlias = Callable[..., Node]
"""Returns a new node that shares no state with earlier ones. If the function has a parameter named ``store``, it gets a
`SimulatedStore`, which outlives the node; otherwise it gets no arguments."""


@final
class SimulatedStore(MemoryStore):
    """The durable store of a node in a simulation.

    A kill loses what was not synced, if the node has ever called `sync`, in this life or an earlier one. So a node that
    tells others something before the sync is found out. If a node never calls `sync`, it loses nothing: then a kill is
    that of a process, and the system writes what the process has handed over.

    Args:
      former: The store of the node's former life; None for its first life.

    Example:
      A node that counts its lives in the store, and answers ``init`` when the count is durable:

      >>> def build(store):
      ...     node = Node()
      ...     store["lives"] = store.get("lives", 0) + 1
      ...     print(f"this is life {store['lives']}")
      ...     node.on_init(store.sync)
      ...     node.on("echo")(lambda request: request.body)
      ...     return node
      >>> faults = [Kill(nodes=["n1"], at=1, until=2)]
      >>> simulate("echo", build, nodes=["n1"], time_limit=3, faults=faults).logs["n1"]
      ['this is life 1', 'this is life 2']
    """

    def __init__(self, former: SimulatedStore | None = None) -> None:
        super().__init__()
        self._durable: dict[str, bytes] = {} if former is None else former._durable  # shared by all lives
        self._has_synced: bool = former is not None and former._has_synced  # in this life or an earlier one
        self._values = self._durable.copy()
        self._unsynced: dict[str, None] = {}  # the names of changed values, in order
        self._is_detached = False

    def detach(self) -> None:
        """Keep later changes from becoming durable, because the node that has this store is dead."""
        self._is_detached = True

    def _write(self, name: str, value: bytes | None) -> None:
        if self._has_synced:
            self._unsynced[name] = None
        else:
            self._keep(name, value)

    async def sync(self) -> None:
        """Make all changes durable. Takes no virtual time. A kill during this call loses them.

        Always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        self._has_synced = True
        for name in self._unsynced:
            self._keep(name, self._values.get(name))
        self._unsynced.clear()

    def _keep(self, name: str, value: bytes | None) -> None:
        """Make the change of one value durable, unless the node is dead."""
        if self._is_detached:
            return
        if value is None:
            self._durable.pop(name, None)
        else:
            self._durable[name] = value
