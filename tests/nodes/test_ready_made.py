"""All ready-made nodes: no leaks, whatever breaks around them, and the figures that the Gossip Glomers ask for."""

from __future__ import annotations

from typing import Any

import pytest

from trio_messenger import Node
from trio_messenger._cli.finding import find_build
from trio_messenger.nodes import NODES
from trio_messenger.sim import WORKLOADS, Report, simulate
from trio_messenger.testing import assert_no_rpc_leaked

WORKLOAD_OF = {
    "broadcast-frugal": "broadcast",
    "lin-kv-proxy": "lin-kv",
    "raft": "lin-kv",
    "seq-kv-counter": "g-counter",
}
"""The workloads of those nodes whose names differ from them."""

TESTED = [name for name in NODES if WORKLOAD_OF.get(name, name) in WORKLOADS]
"""The nodes of all workloads."""


@pytest.mark.parametrize("name", TESTED)
def test_no_node_leaks_an_rpc(name: str) -> None:
    """After each life, killed or not, no RPC is pending, and the counters say how each one ended."""
    lives: list[Node] = []
    build = find_build(name)

    def build_and_note(store: Any) -> Node:
        lives.append(build(store=store) if takes_store else build())
        return lives[-1]

    takes_store = "store" in build.__code__.co_varnames[: build.__code__.co_argcount]
    report = simulate(
        WORKLOAD_OF.get(name, name),
        build_and_note,
        nodes=3,
        time_limit=10,
        latency=20,
        loss=0.1,
        nemesis=["partition", "kill"],
        nemesis_interval=2,
    )
    assert report.valid is True, report
    assert len(lives) > 4
    for node in lives:
        assert_no_rpc_leaked(node)


def challenge(name: str, time_limit: float) -> Report:
    """Run the efficient broadcast of the Gossip Glomers, for *time_limit* seconds instead of 20."""
    nodes = [f"n{number}" for number in range(25)]
    return simulate("broadcast", find_build(name), nodes=nodes, rate=100, latency=100, time_limit=time_limit)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "messages", "median", "greatest"), [("broadcast", 20, 250, 450), ("broadcast-frugal", 4, 1000, 2000)]
)
def test_broadcast_is_as_efficient_as_it_must_be(name: str, messages: float, median: float, greatest: float) -> None:
    """With 25 nodes, 100 operations a second and 100 ms on each link; `docs/how-to/gossip-glomers.md` has the figures.

    In a short run, messages of the ten seconds of recovery count more than in a long one, so long runs have fewer.
    """
    report = challenge(name, time_limit=3)
    assert report.valid is True, report
    assert report.results["net"]["servers"]["msgs-per-op"] <= messages
    latencies = report.results["workload"]["stable-latencies"]
    assert latencies["0.5"] <= median
    assert latencies["1"] <= greatest
