"""The picture of the page on the node ``raft``, from a run of it.

``raft_write.svg``: a write that reaches a follower, and all messages that it causes.
"""

from __future__ import annotations

from trio_messenger.nodes import raft
from trio_messenger.sim import simulate
from trio_messenger.sim.pictures import space_time


def write() -> str:
    """Draw a write at `n1`, while `n2` leads."""
    report = simulate("lin-kv", raft.build, nodes=3, seed=1, latency=10, rate=4, time_limit=1)
    return space_time(report.journal, since=0.38, until=0.44, scripted=False)


PICTURES = {"raft_write.svg": write}
