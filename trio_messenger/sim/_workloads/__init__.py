"""Workloads: the operations of the clients, and the judgement of their outcome.

`base.Workload` is the interface. `known.WORKLOADS` lists the workloads of the package; `reference` finds others.
"""

from __future__ import annotations

from .base import Workload as Workload
from .blame import (
    WorkloadError as WorkloadError,
    blaming as blaming,
    checked_invocation as checked_invocation,
    checked_results as checked_results,
    checked_value as checked_value,
)
from .interface import (
    ClientCrash as ClientCrash,
    GeneratorContext as GeneratorContext,
    Invocation as Invocation,
    Reply as Reply,
    Setting as Setting,
    WorkloadClient as WorkloadClient,
)
from .known import WORKLOADS as WORKLOADS
from .reference import (
    can_be_imported as can_be_imported,
    make_workload as make_workload,
    reference_to as reference_to,
    workload_class as workload_class,
)
from .shapes import Shape as Shape
from .topologies import TOPOLOGIES as TOPOLOGIES
