"""Workloads: the operations of the clients, and the judgement of their outcome.

`base.Workload` is the interface. `known.WORKLOADS` lists the workloads of the package; `reference` finds others.
"""

from __future__ import annotations

from .base import Workload as Workload
from .blame import (
    WorkloadError as WorkloadError,
    blaming as blaming,
    blaming_in_task as blaming_in_task,
    refusal as refusal,
)
from .foreign_texts import text_of as text_of
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
from .returned import (
    checked_final as checked_final,
    checked_findings as checked_findings,
    checked_invocation as checked_invocation,
    checked_leftovers as checked_leftovers,
    checked_op as checked_op,
    checked_operations as checked_operations,
    checked_outcome as checked_outcome,
    checked_pictures as checked_pictures,
    checked_results as checked_results,
    checked_setup as checked_setup,
    checked_timeout as checked_timeout,
    checked_value as checked_value,
)
from .seal import HistorySeal as HistorySeal, blaming_reader as blaming_reader, is_foreign as is_foreign
from .shapes import Shape as Shape
from .topologies import TOPOLOGIES as TOPOLOGIES
