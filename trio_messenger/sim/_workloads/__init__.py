"""Workloads: what clients ask of the nodes, and how the outcome is judged.

Each is a class in a module of its own, derived from `base.Workload` and entered here; nothing else has to know of it.
lin-kv, kafka and the two transaction workloads of Maelstrom are not here yet.
"""

from __future__ import annotations

from typing import Final

from .base import Invocation as Invocation, Reply as Reply, Workload as Workload
from .broadcast import Broadcast
from .counters import GCounter, PnCounter
from .echo import Echo
from .g_set import GSet
from .topologies import TOPOLOGIES as TOPOLOGIES
from .unique_ids import UniqueIds

WORKLOADS: Final[dict[str, type[Workload]]] = {
    workload.name: workload for workload in (Echo, UniqueIds, Broadcast, GSet, GCounter, PnCounter)
}
"""All of them, by Maelstrom's names."""
