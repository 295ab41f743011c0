"""The picture of the reference on transactions: a cycle that a run with a partition leaves.

``write_skew.svg``: two transactions on two sides of a partition, each of which does not see what the other one wrote.
"""

from __future__ import annotations

from trio_messenger.nodes import txn_rw_register_read_committed
from trio_messenger.sim import simulate


def write_skew() -> str:
    """Draw the cycle that the report of the run has as well."""
    report = simulate(
        "txn-rw-register",
        txn_rw_register_read_committed.build,
        nodes=2,
        concurrency=4,
        seed=7,
        rate=20,
        latency=10,
        time_limit=4,
        nemesis=["partition"],
        nemesis_interval=1,
        consistency_models=["serializable"],
    )
    [picture] = report.pictures()
    return picture.svg


PICTURES = {"write_skew.svg": write_skew}
