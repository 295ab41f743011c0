"""The durable store of a simulated node: what a kill leaves of it."""

from __future__ import annotations

import logging

import pytest
import trio

from trio_messenger import Body, DurableStore, Node, Request
from trio_messenger.sim import Kill, SimulatedStore, simulate


async def test_a_node_that_syncs_loses_what_it_has_not_synced() -> None:
    """Assignments and deletions after the last sync, however often it changed a value; all else is kept."""
    store = SimulatedStore()
    store["a"], store["b"], store["c"] = 1, 1, 1
    await store.sync()
    store["a"] = 2
    del store["b"]
    await store.sync()
    store["a"], store["d"] = 3, 3
    del store["c"]
    assert dict(store) == {"a": 3, "d": 3}
    store.detach()
    later = SimulatedStore(store)
    assert dict(later) == {"a": 2, "c": 1}
    later["a"] = 4  # in a later life, before its first sync
    later.detach()
    assert dict(SimulatedStore(later)) == {"a": 2, "c": 1}


async def test_a_kill_during_a_sync_loses_the_changes() -> None:
    """The sync of a dead node comes too late, even if its task goes on."""
    store = SimulatedStore()
    await store.sync()
    store["a"] = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.sync)
        store.detach()
    assert dict(SimulatedStore(store)) == {}


async def test_a_node_that_never_syncs_loses_nothing() -> None:
    """Then a kill is that of a process, whose writes the system has."""
    store = SimulatedStore()
    store["a"] = store["b"] = 1
    del store["a"]
    store.detach()
    assert dict(SimulatedStore(store)) == {"b": 1}


@pytest.mark.parametrize(("is_careful", "found"), [(True, 0), (False, 1)])
def test_a_node_that_answers_without_a_sync_is_found_out(is_careful: bool, found: int) -> None:
    """A kill after the answer loses what a client knows already."""
    answered = [0]

    def build(store: DurableStore) -> Node:
        node = Node()
        if store.get("count", 0) < answered[0]:
            logging.getLogger().error("lost an answered count")

        node.on_init(store.sync)

        @node.on("echo")
        async def count(request: Request) -> Body:
            store["count"] = store.get("count", 0) + 1
            if is_careful:
                await store.sync()
            answered[0] = store["count"]
            return {"echo": request.body["echo"]}

        return node

    faults = [Kill(nodes=["n1"], at=12, until=13)]
    report = simulate("echo", build, nodes=["n1"], time_limit=20, rate=10, concurrency=1, faults=faults)
    assert sum("lost an answered count" in line for line in report.logs["n1"]) == found
