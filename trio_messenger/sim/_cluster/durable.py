"""The factory of simulated nodes, and the durable store that outlives a killed node."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias, final

import attrs
import trio

from trio_messenger import MemoryStore, Node

from .._determinism.random_streams import Streams
from .._faults.faults import Storage

Build: TypeAlias = Callable[..., Node]
"""Returns a new node that shares no state with earlier ones. If the function has a parameter named ``store``, it gets a
`SimulatedStore`, which outlives the node; otherwise it gets no arguments."""


@final
@attrs.define(eq=False)
class Disk:
    """The disk of a simulated machine, through all lives of its node, and the faults that affect it.

    The draws for each sync and each kill have keys, so faults do not shift the draws of others.
    """

    streams: Streams = attrs.field(factory=lambda: Streams(0))
    node_id: str = ""
    may_fail: bool = False
    """Whether the schedule has a fault of this disk. Then stores remember each change, and not only the last ones."""
    faults: Collection[Storage] = ()
    """The active faults."""
    effects: int = 0
    """How many syncs were slow, and how many kills found something that was not synced, while a fault was active."""
    _syncs: int = 0
    _kills: int = 0

    def sync_seconds(self) -> float:
        """Return how long the next sync takes."""
        self._syncs += 1
        longest = sum(fault.seconds for fault in self.faults)
        if not longest:
            return 0.0
        self.effects += 1
        return self._draw("sync", self._syncs) * longest

    def survivors(self, unsynced: int) -> int:
        """Return how many of the *unsynced* changes, the earliest ones, a kill leaves while a fault is active."""
        self._kills += 1
        is_torn = self._draw("torn", self._kills) < max(fault.torn for fault in self.faults)
        left = int(self._draw("left", self._kills) * (unsynced + 1)) if is_torn else 0
        self.effects += unsynced > 0
        return left

    def _draw(self, what: str, number: int) -> float:
        return self.streams.stream("disk", self.node_id, what, str(number)).random()


@final
class SimulatedStore(MemoryStore):
    """The durable store of a node in a simulation.

    A kill loses what was not synced, if the node has ever called `sync`, in this life or an earlier one. So a node that
    tells others something before the sync is found out. If a node never calls `sync`, it loses nothing: then a kill is
    that of a process, and the system writes what the process has handed over. A `Storage` fault changes this: a kill is
    then that of the machine, and syncs take time.

    Args:
      former: The store of the node's former life; None for its first life.
      disk: The disk; the simulator gives each node its own. None for a disk without faults.

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

    def __init__(self, former: SimulatedStore | None = None, disk: Disk | None = None) -> None:
        super().__init__()
        self._durable: dict[str, bytes] = {} if former is None else former._durable  # shared by all lives
        self._has_synced: bool = former is not None and former._has_synced  # in this life or an earlier one
        self._values = self._durable.copy()
        self._disk = Disk() if disk is None else disk
        self._changes = 0  # in this life
        self._unsynced: dict[tuple[int, str], bytes | None] = {}
        # By number and name, in order. All changes have the number 0 if the disk cannot fail: then only the last ones
        # of each name matter.
        self._is_detached = False

    def detach(self) -> int:
        """Keep later changes from becoming durable, because the node that has this store is dead.

        Return how many changes were lost because of a `Storage` fault.
        """
        left, total = 0, len(self._unsynced)
        if not self._is_detached and self._disk.faults:
            left = self._disk.survivors(total)
        elif not self._has_synced:
            left = total
        self._keep(left)
        self._unsynced.clear()
        self._is_detached = True
        return total - left if self._disk.faults else 0

    def _write(self, name: str, value: bytes | None) -> None:
        self._changes += self._disk.may_fail
        self._unsynced[self._changes, name] = value
        if not self._has_synced and not self._disk.may_fail:
            self._keep(len(self._unsynced))

    async def sync(self) -> None:
        """Make all changes durable. A kill during this call loses them.

        Takes no virtual time, except during a `Storage` fault.

        Always a checkpoint.
        """
        covered, seconds = self._changes, self._disk.sync_seconds()
        if seconds:
            await trio.sleep(seconds)
        else:
            await trio.lowlevel.checkpoint()
            covered = self._changes
        self._has_synced = True
        self._keep(sum(number <= covered for number, _ in self._unsynced))

    def _keep(self, count: int) -> None:
        """Make the first *count* of the unsynced changes durable, unless the node is dead."""
        for number, name in list(self._unsynced)[:count]:
            value = self._unsynced.pop((number, name))
            if self._is_detached:
                continue
            if value is None:
                self._durable.pop(name, None)
            else:
                self._durable[name] = value
