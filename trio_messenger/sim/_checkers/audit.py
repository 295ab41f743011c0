"""The audit checker: which nodes answered a final read. It is our own; Jepsen has no such checker."""

from __future__ import annotations

from .._records.history import History
from . import Results


def audit(history: History) -> Results:
    """Count the final reads of each node in *history* that were ok. Always valid.

    If no final read of a node was ok, no checker can tell what that node lacks.

    Returns:
      ``ok-reads``: for each audited node, the number of its final reads that were ok, including audits; empty if the
      workload has no final reads.
    """
    audited = {op.node: 0 for op in history if op.audit and op.node is not None}
    for op in history:
        if op.final and op.type == "ok" and op.node in audited:
            audited[op.node] += 1
    return {"valid?": True, "ok-reads": audited}
