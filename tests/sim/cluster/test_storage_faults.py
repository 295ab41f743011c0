"""Faults of the disks: what a kill leaves of a store, how long a sync takes, and how it is counted."""

from __future__ import annotations

from collections.abc import Sequence

import trio
import trio.testing
from support.stage import Stage, staged
from support.troupe import ask

from trio_messenger import DurableStore, Node, Request
from trio_messenger.sim import Fault, Kill, SimulatedStore, Storage
from trio_messenger.sim._cluster.durable import Disk
from trio_messenger.sim._determinism.random_streams import Streams

ALL = ["n1"]
ALWAYS_TORN, NEVER_TORN = Storage(nodes=ALL, torn=1), Storage(nodes=ALL, torn=0)


def build(store: DurableStore) -> Node:
    """Return a node that stores what it is told, syncs only if it is asked to, and tells when that is done."""
    node = Node()

    @node.on("store")
    def change(request: Request) -> None:
        store[request.body["value"]] = True

    @node.on("sync")
    async def sync() -> None:
        await store.sync()
        node.send_nowait("c", {"type": "synced", "value": trio.current_time()})

    @node.on("recall")
    def recall() -> None:
        node.send_nowait("c", {"type": "said", "value": list(store)})

    return node


def played(*steps: tuple[float, str, str | None], faults: Sequence[Fault], seed: int = 0) -> Stage:
    """Ask a node for each of *steps* at its time, under *faults*, and at the end for what it still has."""

    async def script(stage: Stage) -> None:
        for at, what, value in [*steps, (4.0, "recall", None)]:
            await stage.until(at)
            ask(stage, "n1", what, value)
        await stage.until(5)

    return staged(script, faults=faults, nodes=ALL, build=build, members=["c"], seed=seed)


KILL = Kill(nodes=ALL, at=2, until=3)
STEPS: list[tuple[float, str, str | None]] = [
    *((0.25, "store", "a"), (0.5, "sync", None)),
    *((1.25, "store", name) for name in "bcd"),
]


def test_what_was_synced_is_kept_and_the_rest_is_lost() -> None:
    """A kill during the fault takes all that was not synced, and the log of the node says how much that was."""
    stage = played(*STEPS, faults=[NEVER_TORN, KILL])
    assert stage.values()[-1] == ["a"]
    assert stage.bites == {0: 2, 1: 1}  # a sync that took its time, and a kill
    assert stage.hosts["n1"].log.lines() == [
        "2.000000 changes of the store that were lost, because they were not synced: 3"
    ]


def test_a_node_that_never_syncs_loses_everything() -> None:
    """Also what it has changed before the fault began; without the fault, it would lose nothing."""
    steps = [(0.25, "store", "a"), (1.25, "store", "b")]
    assert played(*steps, faults=[KILL]).values() == [["a", "b"]]
    assert played(*steps, faults=[Storage(nodes=ALL, at=1, torn=0), KILL]).values() == [[]]
    assert played(*steps, faults=[Storage(nodes=ALL, at=1, until=1.5), KILL]).values() == [["a", "b"]]


def test_a_torn_log_keeps_its_beginning() -> None:
    """Of the changes that were not synced, some of the first are left: none, all, or any number between."""
    left = {"".join(played(*STEPS, faults=[ALWAYS_TORN, KILL], seed=seed).values()[-1]) for seed in range(20)}
    assert left == {"a", "ab", "abc", "abcd"}


def test_a_change_of_the_same_value_may_be_kept_alone() -> None:
    """If the last of several changes of one value is lost, the one before it is left."""
    values: set[int | None] = set()
    for seed in range(20):
        store = SimulatedStore(None, disk := broken(ALWAYS_TORN, seed=seed))
        store["a"] = 1
        store["a"] = 2
        del store["a"]
        store["a"] = 3
        store.detach()
        values.add(SimulatedStore(store, disk).get("a"))
    assert values == {None, 1, 2, 3}


def broken(*faults: Storage, seed: int = 0) -> Disk:
    """Return a disk with active *faults*."""
    return Disk(Streams(seed), may_fail=True, faults=faults)


def test_a_sync_takes_its_time() -> None:
    """Each takes a random time up to the limit, those of faults that overlap together; the last ends with the fault."""
    steps: list[tuple[float, str, str | None]] = [(at, "sync", None) for at in (0.5, 1.5, 2.5)]
    faults = [Storage(nodes=ALL, until=2, seconds=0.5), Storage(nodes=ALL, at=1, until=2, seconds=0.5)]
    stage = played(*steps, faults=faults)
    one, both, none = (heard.value for heard in stage.heard[:3])
    assert 0 < one - 0.5 < 0.5
    assert 0 < both - 1.5 < 1
    assert none == 2.5
    assert stage.bites == {0: 2, 1: 1}


async def test_a_sync_covers_what_was_changed_before_it(autojump_clock: trio.testing.MockClock) -> None:
    """A slow sync makes durable what was changed before the call, and not what came later."""
    store = SimulatedStore(None, disk := broken(NEVER_TORN))
    store["a"] = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.sync)
        await trio.testing.wait_all_tasks_blocked()
        store["b"] = 1
    store.detach()
    assert dict(SimulatedStore(store, disk)) == {"a": 1}
    assert trio.current_time() > 0
