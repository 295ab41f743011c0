"""Famous mistakes in implementations of Raft: the simulator finds them."""

from __future__ import annotations

import inspect

import pytest
from support.raft_mistakes import MISTAKES

from trio_messenger import DurableStore, Node
from trio_messenger.nodes import raft
from trio_messenger.sim import Report, simulate


def run(mistake: str, seed: int) -> Report:
    """Simulate three members with *mistake* under many short faults."""

    def build(store: DurableStore) -> Node:
        return raft.build(store, member=MISTAKES[mistake] if mistake else raft.Raft)

    return simulate(
        "lin-kv",
        build,
        nodes=3,
        seed=seed,
        nemesis=["partition", "links", "kill", "duplicate", "reorder"],
        nemesis_interval=1,
        time_limit=10,
        rate=60,
        latency=5,
        latency_dist="exponential",
    )


def test_there_are_fourteen_mistakes_and_each_says_what_it_is() -> None:
    """Each is a subclass of the ready-made node."""
    assert len(MISTAKES) >= 14
    for mistake in MISTAKES.values():
        assert issubclass(mistake, raft.Raft)
        assert inspect.getdoc(mistake)
        assert isinstance(raft.build(member=mistake), Node)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistake", "seed", "what"),
    [("VotesForAnyone", 1, "workload"), ("NeverLowersNextIndex", 0, "stats"), ("TruncatesAlways", 0, "nodes")],
)
def test_a_mistake_is_found(mistake: str, seed: int, what: str) -> None:
    """By the checker, since nothing succeeds any more, or since it raises; the node itself passes with that seed."""
    report = run(mistake, seed)
    assert report.valid is False
    assert report.results[what]["valid?"] is False
    assert run("", seed).valid is True
