"""Raft in the simulator: linearizable whatever breaks, available with a majority, and nothing left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from support.simulations import sends

from trio_messenger import DurableStore, Node
from trio_messenger.nodes import raft
from trio_messenger.sim import NEMESES, Fault, Kill, Partition, Report, simulate
from trio_messenger.testing import assert_no_rpc_leaked

NODES = ["n1", "n2", "n3", "n4", "n5"]


class Compacting(raft.Raft):
    """Takes snapshots so often that members need them."""

    snapshot_every, keep = 20, 5


def run(seed: int = 0, *, member: type[raft.Raft] = Compacting, **options: Any) -> Report:
    """Simulate a cluster, and check that no node of it has left an RPC behind."""
    nodes: list[Node] = []

    def build(store: DurableStore) -> Node:
        nodes.append(raft.build(store, member=member))
        return nodes[-1]

    usual: dict[str, Any] = {"nodes": NODES, "rate": 10, "time_limit": 10}
    report = simulate("lin-kv", build, seed=seed, **usual | options)
    for node in nodes:
        assert_no_rpc_leaked(node)
    return report


def is_linearizable(report: Report) -> bool:
    return report.results["workload"]["valid?"] is True


def outcomes(report: Report, at: float, until: float, nodes: Sequence[str]) -> Counter[str]:
    """Count the outcomes of operations that began within these seconds on *nodes*. A cas that differs is answered."""
    return Counter(
        "answered" if each.completion is not None and each.completion.code in (20, 22) else each.outcome
        for each in report.history.operations()
        if at * 1e9 <= each.invocation.time < until * 1e9 and each.invocation.node in nodes
    )


def test_it_is_linearizable_whatever_breaks() -> None:
    """With every kind of fault, a store that loses what was not synced, and snapshots."""
    kinds = [kind.name for kind in NEMESES if kind.name != "services"]
    small: dict[str, Any] = {"nodes": 3, "time_limit": 6, "latency": 10, "latency_dist": "exponential"}
    report = run(3, nemesis=kinds, nemesis_interval=2, **small)
    assert is_linearizable(report)
    assert report.results["stats"]["ok-count"] > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "nemesis"), [(1, ["partition", "kill", "pause"]), (2, ["oneway", "links", "loss", "kill"])]
)
def test_it_is_linearizable_when_members_die(seed: int, nemesis: list[str]) -> None:
    """The usual faults, in longer runs."""
    report = run(seed, nemesis=nemesis, nemesis_interval=3, rate=20, time_limit=20)
    assert is_linearizable(report)
    assert report.results["stats"]["ok-count"] > 50


@pytest.mark.slow
def test_a_majority_serves_while_a_minority_is_cut_off() -> None:
    """After an election, every request to the majority is answered; to the minority, none is."""
    nodes = NODES[:3]
    report = run(5, faults=[Partition.between(nodes[:1], nodes[1:], at=2, until=7)], nodes=nodes, rate=20)
    assert is_linearizable(report)
    majority = outcomes(report, 4, 7, nodes[1:])
    assert set(majority) == {"ok", "answered"}
    assert majority["ok"] > 10
    assert set(outcomes(report, 4, 6, nodes[:1])) == {"fail"}
    assert set(outcomes(report, 8, 10, nodes)) == {"ok", "answered"}


@pytest.mark.slow
def test_all_members_are_killed_again_and_again() -> None:
    """What was acknowledged is in their stores."""
    faults: list[Fault] = [Kill(nodes=NODES, at=at, until=at + 0.5) for at in (2, 5, 8)]
    report = run(6, faults=faults, time_limit=12)
    assert is_linearizable(report)
    assert outcomes(report, 10, 12, NODES)["ok"] > 5


@pytest.mark.slow
def test_a_member_that_was_away_gets_one_snapshot() -> None:
    """However much it has missed."""
    nodes = NODES[:3]
    report = run(7, faults=[Kill(nodes=["n2"], at=1, until=7)], rate=30, time_limit=8, nodes=nodes)
    assert is_linearizable(report)
    kinds = Counter(each["body"]["type"] for each in sends(report) if each["dest"] == "n2")
    assert kinds["install_snapshot"] == 1


@pytest.mark.slow
def test_the_cost_of_a_command() -> None:
    """Five members, 10 ms apart: one round trip for a write or a read, another one if a follower was asked."""
    report = run(8, member=raft.Raft, latency=10, rate=4)
    messages = [each for each in sends(report) if each["src"] in NODES and each["dest"] in NODES]
    appends = [each for each in messages if each["body"]["type"] == "append_entries"]
    leader = Counter(each["src"] for each in appends).most_common(1)[0][0]
    took: dict[tuple[str, bool], list[int]] = {}  # milliseconds, by function and whether the leader was asked
    operations = report.history.operations()
    for each in operations:
        assert each.completion is not None
        milliseconds = round((each.completion.time - each.invocation.time) / 1e6)
        took.setdefault((each.f, each.invocation.node == leader), []).append(milliseconds)
    for (f, asked_leader), times in took.items():
        trips = 20 if asked_leader else 40
        assert min(times) == trips
        assert max(times) <= (trips + 20 if f == "read" else trips)  # a read may have to wait for a round that runs
    writes = [each for each in operations if each.f != "read"]
    sent = [each for each in appends if any(entry[3] is not None for entry in each["body"]["entries"])]
    assert 4 * len(writes) <= len(sent) <= 4 * len(writes) + 2  # one that overtook another is sent again
