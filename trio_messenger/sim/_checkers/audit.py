"""Whether every node could be looked at in the end; of our own, Jepsen has no such checker."""

from __future__ import annotations

from .._records.history import History
from . import Results


def audit(history: History) -> Results:
    """Count the final reads of each node in *history* that were ok. Always valid.

    A node none of whose final reads was ok may lack anything: no other checker can judge it.

    Returns:
      ``ok-reads``: for each node that was audited the number of its final reads that were ok, audits among them; empty
      if the workload has no final reads.
    """
    audited = {op.node: 0 for op in history if op.audit and op.node is not None}
    for op in history:
        if op.final and op.type == "ok" and op.node in audited:
            audited[op.node] += 1
    return {"valid?": True, "ok-reads": audited}
