"""Workloads: the operations of the clients, and the judgement of their outcome.

Each workload is a subclass of `base.Workload` in its own module. `WORKLOADS` lists it; no other module needs to know
it. Maelstrom's lin-kv, kafka and transaction workloads are not available yet.
"""

from __future__ import annotations

from typing import Final

from .base import Invocation as Invocation, Reply as Reply, Workload as Workload
from .broadcast import Broadcast
from .counters import GCounter, PnCounter
from .echo import Echo
from .g_set import GSet
from .shapes import Shape as Shape
from .topologies import TOPOLOGIES as TOPOLOGIES
from .unique_ids import UniqueIds

WORKLOADS: Final[dict[str, type[Workload]]] = {
    workload.name: workload for workload in (Echo, UniqueIds, Broadcast, GSet, GCounter, PnCounter)
}
"""All workloads, by Maelstrom's names."""
