"""The transaction workloads: what they say about a wrong run, and what they draw."""

from __future__ import annotations

from typing import Any

import pytest

from trio_messenger import Body, Node, Request
from trio_messenger.sim import Report, simulate


def build(*, stale: bool) -> Node:
    """Return a node that alone keeps all keys; if it is *stale*, one transaction in three reads old values."""
    node = Node()
    state: dict[int, Any] = {}
    before: dict[int, Any] = {}
    count = 0

    @node.on("txn")
    async def txn(request: Request) -> Body:
        nonlocal count, before
        count += 1
        source = before if stale and count % 3 == 0 else state
        done = []
        for f, key, value in request.body["txn"]:
            done.append([f, key, source.get(key) if f == "r" else value])
            if f == "append":
                before = dict(state)
                state[key] = [*state.get(key, []), value]
            elif f == "w":
                before = dict(state)
                state[key] = value
        return {"type": "txn_ok", "txn": done}

    return node


def run(workload: str, *, stale: bool) -> Report:
    return simulate(workload, lambda: build(stale=stale), nodes=1, rate=50, time_limit=5, seed=1)


@pytest.mark.parametrize("workload", ["txn-list-append", "txn-rw-register"])
def test_a_node_with_stale_reads_is_explained(workload: str) -> None:
    """The reasons name the transactions of each anomaly, and each kind of cycle has a picture."""
    report = run(workload, stale=True)
    assert report.valid is False
    assert report.reasons()[0].startswith("the transactions are not strict-serializable; the strongest models")
    assert any("T1 is [[" in reason for reason in report.reasons())
    names = [picture.name for picture in report.pictures()]
    assert names
    assert all(name.startswith("g") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["txn-list-append", "txn-rw-register"])
def test_a_correct_node_needs_no_words(workload: str) -> None:
    """Nothing is said or drawn about a valid run."""
    report = run(workload, stale=False)
    assert report.valid is True
    assert [*report.reasons(), *report.pictures()] == []
