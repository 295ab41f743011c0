"""The workloads of the package. Each is a subclass of `Workload` in its own module."""

from __future__ import annotations

from typing import Final

from .base import Workload
from .broadcast import Broadcast
from .counters import GCounter, PnCounter
from .echo import Echo
from .g_set import GSet
from .kafka import Kafka
from .lin_kv import LinKvRegisters
from .transactions import TxnListAppend, TxnRwRegister
from .unique_ids import UniqueIds

WORKLOADS: Final[dict[str, type[Workload]]] = {
    workload.name: workload
    for workload in (
        *(Echo, UniqueIds, Broadcast, GSet, GCounter, PnCounter, LinKvRegisters, Kafka),
        *(TxnListAppend, TxnRwRegister),
    )
}
"""All workloads of the package, by Maelstrom's names."""
