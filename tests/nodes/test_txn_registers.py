"""The nodes with registers that are totally available: what they tell each other, and what readers see."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.gossip import Disk, SlowDisk, served_alone
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Node
from trio_messenger.nodes import (
    _replicated_registers as replicated,
    txn_rw_register_read_committed as read_committed,
    txn_rw_register_read_uncommitted as read_uncommitted,
)
from trio_messenger.sim import Kill, Loss, Partition, Report, simulate
from trio_messenger.testing import Network, running

BUILDS = [read_committed.build, read_uncommitted.build]
MODELS: dict[Any, str] = {read_committed.build: "read-committed", read_uncommitted.build: "read-uncommitted"}
NUMBERS = itertools.count(100)


async def ask(network: Network, *txn: list[Any]) -> None:
    """Send a transaction, and let the node do what it can."""
    await network.send("c1", {"type": "txn", "txn": txn, "msg_id": next(NUMBERS)})
    await wait_all_tasks_blocked()


async def values_of(network: Network, *keys: Any) -> list[Any]:
    """Read registers, and leave out what the node sends to others meanwhile."""
    await ask(network, *(["r", key, None] for key in keys))
    while (message := await network.receive()).dest != "c1":
        pass
    return [operation[2] for operation in message.body["txn"]]


async def told(network: Network) -> Any:
    """Return what the node tells another one next: the stamp before, and its writes without the name of the life."""
    body = (await network.receive()).body
    return body["after"], [(key, time, number, value) for key, time, _, number, value in body["writes"]]


async def tell(network: Network, after: tuple[int, int], *writes: tuple[Any, ...], life: str = "n2-1") -> None:
    """Have another node tell the node of its writes, each a key, a time, a number and a value."""
    listed = [(key, time, life, number, value) for key, time, number, value in writes]
    await network.send("n2", {"type": "wrote", "after": after, "writes": listed})
    await wait_all_tasks_blocked()


async def asked(network: Network, **known: tuple[int, int]) -> Body:
    """Return what the node answers to another one that knows all writes of these lives up to these stamps."""
    return await network.request("ask_for_writes", src="n2", known=known)


async def test_read_committed_tells_of_the_last_writes_together() -> None:
    """The transaction itself sees each of its writes."""
    async with running(read_committed.build(), node_ids=["n1", "n2"]) as network:
        await ask(network, ["r", 1, None], ["w", 1, "a"], ["r", 1, None], ["w", "1", "b"], ["w", 1, "c"])
        assert await told(network) == ([0, 0], [(1, 1, 0, "c"), ("1", 1, 1, "b")])
        done = [["r", 1, None], ["w", 1, "a"], ["r", 1, "a"], ["w", "1", "b"], ["w", 1, "c"]]
        assert (await network.receive()).body["txn"] == done
        await ask(network, ["w", 1, "d"])
        assert await told(network) == ([1, 1], [(1, 2, 0, "d")])


@pytest.mark.parametrize("build", BUILDS)
async def test_node_alone_asks_nobody(build: Callable[[], Node], autojump_clock: MockClock) -> None:
    """It is right at once."""
    reply = await served_alone(build(), type="txn", txn=[["w", 1, "a"], ["r", 1, None]])
    assert reply["txn"] == [["w", 1, "a"], ["r", 1, "a"]]


async def test_read_uncommitted_tells_of_each_write() -> None:
    """In the order of the transaction."""
    async with running(read_uncommitted.build(), node_ids=["n1", "n2"]) as network:
        await ask(network, ["w", 1, "a"], ["r", 1, None], ["w", 1, "b"])
        assert await told(network) == ([0, 0], [(1, 1, 0, "a")])
        assert await told(network) == ([1, 0], [(1, 1, 1, "b")])
        assert (await network.receive()).body["txn"] == [["w", 1, "a"], ["r", 1, "a"], ["w", 1, "b"]]


@pytest.mark.parametrize("build", BUILDS)
async def test_later_write_wins(build: Callable[[], Node]) -> None:
    """By time, by life, by number, in whatever order writes arrive; a node's write is later than what it has seen."""
    async with running(build(), node_ids=["n1", "n2"]) as network:
        await tell(network, (0, 0), (1, 5, 1, "new"), (2, 5, 0, "b"), (3, 5, 0, "z"))
        await tell(network, (0, 0), (1, 5, 0, "old"), (2, 4, 9, "a"))
        await tell(network, (0, 0), (3, 5, 0, "y"), (2, 5, 0, "a"), life="n2-0")
        assert await values_of(network, 1, 2, 3, 4) == ["new", "b", "z", None]
        await ask(network, ["w", 2, "mine"])
        assert (await told(network))[1] == [(2, 6, 0, "mine")]
        assert await values_of(network, 2) == ["mine"]


async def test_lost_writes_are_asked_for(autojump_clock: MockClock) -> None:
    """The question says up to where writes are known, without a gap; the answer has the rest."""
    async with running(read_committed.build(), node_ids=["n1", "n2"]) as network:
        await tell(network, (0, 0), (1, 3, 0, "a"))
        await tell(network, (4, 1), (3, 5, 0, "c"))  # the one before is lost
        question = await network.receive()
        assert question.body["known"] == {"n2-1": [3, 0]}
        writes = [(2, 4, "n2-1", 0, "b"), (3, 5, "n2-1", 0, "c")]
        answer = {"type": "ask_for_writes_ok", "known": {"n2-1": (5, 0), "n3-1": (9, 0)}, "writes": writes}
        await network.reply(question, answer)
        await wait_all_tasks_blocked()
        assert await values_of(network, 1, 2, 3) == ["a", "b", "c"]
        assert (await network.receive()).body["known"] == {"n2-1": [5, 0], "n3-1": [9, 0]}
        begun = trio.current_time()
        assert (await network.receive()).body["type"] == "ask_for_writes"  # without an answer to the last one
        await trio.sleep(replicated.SUPPLIED_WITHIN + begun - trio.current_time())
        assert await values_of(network, 1) == ["a"]


async def test_answer_has_what_is_lacking() -> None:
    """Only the latest write to each register, and only those of later stamps than the asking node knows."""
    async with running(read_committed.build(), node_ids=["n1", "n2"]) as network:
        await tell(network, (0, 0), (1, 3, 0, "a"), (2, 3, 1, "b"))
        await tell(network, (3, 1), (2, 4, 0, "c"))
        everything = await asked(network)
        assert (everything["known"], len(everything["writes"])) == ({"n2-1": [4, 0]}, 2)
        rest = await asked(network, **{"n2-1": (3, 1), "n3-1": (7, 0)})
        assert rest["writes"] == [[2, 4, "n2-1", 0, "c"]]


async def test_read_committed_shows_nothing_that_may_get_lost() -> None:
    """Writes are visible when the store is synced; an earlier transaction becomes visible no later."""
    disk = SlowDisk()
    async with running(read_committed.build(disk), node_ids=["n1", "n2"]) as network:
        await ask(network, ["w", 1, "a"])
        await ask(network, ["w", 1, "b"])
        assert await values_of(network, 1) == [None]
        assert (await asked(network))["writes"] == []
        disk.syncs[1].set()
        assert [(await told(network))[1] for _ in range(2)] == [[(1, 1, 0, "a")], [(1, 2, 0, "b")]]
        assert (await network.receive()).dest == "c1"
        assert await values_of(network, 1) == ["b"]
        disk.syncs[0].set()
        assert (await network.receive()).body["txn"] == [["w", 1, "a"]]


async def test_read_uncommitted_shows_writes_at_once() -> None:
    """But it acknowledges them when the store is synced; a read waits for nothing."""
    disk = SlowDisk()
    async with running(read_uncommitted.build(disk), node_ids=["n1", "n2"]) as network:
        await ask(network, ["w", 1, "a"])
        assert (await told(network))[1] == [(1, 1, 0, "a")]
        assert await values_of(network, 1) == ["a"]
        disk.syncs[0].set()
        assert (await network.receive()).body["txn"] == [["w", 1, "a"]]


@pytest.mark.parametrize("build", BUILDS)
async def test_restarted_node_has_its_own_writes(build: Callable[[Disk], Node]) -> None:
    """It supplies them to others under the old name, continues after their time, and asks for those of others."""
    disk = Disk()
    async with running(build(disk), node_ids=["n1", "n2"]) as network:
        await tell(network, (0, 0), (9, 7, 0, "other"))
        await ask(network, ["w", 1, "a"], ["w", "1", "b"])
        first = (await network.receive()).body["writes"][0][2]
    async with running(build(disk), node_ids=["n1", "n2"]) as network:
        assert await values_of(network, 1, "1", 9) == ["a", "b", None]
        known = await asked(network)
        assert known["known"] == {first: [8, 1]}
        assert len(known["writes"]) == 2
        await ask(network, ["w", 1, "c"])
        [[key, time, life, *_]] = (await network.receive()).body["writes"]
        assert (key, time, life != first) == (1, 9, True)


@pytest.mark.parametrize("build", BUILDS)
async def test_transaction_that_is_refused_has_written_nothing(build: Callable[[], Node]) -> None:
    """Its operations are checked before the first one happens, so nobody reads an aborted write."""
    async with running(build(), node_ids=["n1", "n2"]) as network:
        assert (await network.request("txn", txn=[["w", 1, 1], ["append", 1, 2]]))["code"] == 12
        assert await values_of(network, 1) == [None]


def run(build: Callable[[], Node], model: str, **options: Any) -> Report:
    """Run five nodes on a network that reorders messages, with clients that demand to be answered."""
    usual: dict[str, Any] = {
        "rate": 40,
        "time_limit": 5,
        "latency": 20,
        "latency_dist": "exponential",
        "availability": "total",
    }
    return simulate("txn-rw-register", build, consistency_models=[model], **usual | options)


@pytest.mark.parametrize("build", BUILDS)
def test_nodes_are_totally_available_and_converge(build: Callable[[], Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request is answered during partitions and losses. After them, all copies are the same."""
    copies = []

    class Noted(replicated.Registers):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            copies.append(self)

    monkeypatch.setattr(read_committed, "Registers", Noted)
    monkeypatch.setattr(read_uncommitted, "Registers", Noted)
    faults = [
        Partition.between(["n1", "n2"], ["n3", "n4", "n5"], at=1, until=2),
        Loss(links=[("nodes", "nodes")], rate=0.5, at=2, until=3),
    ]
    report = run(build, MODELS[build], faults=faults, latency=0)
    assert report.valid is True, report
    assert report.results["stats"]["ok-count"] == report.results["stats"]["count"] > 150
    [first, *others] = [{key: write.value for key, write in copy._latest.items()} for copy in copies]
    assert len(first) > 10
    assert others == [first] * 4


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("has_store", [True, False])
def test_levels_hold_when_nodes_are_killed(build: Callable[[], Node], has_store: bool) -> None:
    """With a store or without, nobody reads what cannot be."""
    kills = [Kill(nodes=["n1", "n2"], at=1, until=2), Kill(nodes=["n3"], at=2, until=3)]
    options: dict[str, Any] = {
        "rate": 20,
        "time_limit": 4,
        "faults": kills,
        "loss": 0.1,
        "duplicate": 0.1,
        "availability": None,
    }
    report = run(build if has_store else lambda: build(), MODELS[build], **options)  # noqa: PLW0108 - it takes no store
    assert report.valid is True, report


@pytest.mark.slow
def test_read_committed_promises_no_more() -> None:
    """No order of the transactions explains what they read."""
    report = run(read_committed.build, "serializable", time_limit=10)
    assert report.valid is False
    assert report.results["workload"]["anomaly-types"] == ["G-single-item", "G2-item", "lost-update"]


@pytest.mark.slow
def test_read_uncommitted_promises_no_more() -> None:
    """Readers see writes that their transaction overwrites."""
    report = run(read_uncommitted.build, "read-committed", time_limit=10)
    assert report.valid is False
    assert report.results["workload"]["anomaly-types"] == ["G1b"]
