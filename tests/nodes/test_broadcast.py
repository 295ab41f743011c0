"""The broadcast node: what it tells whom, on a network that loses and repeats."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.gossip import Disk, SlowDisk, heard, sent, served_alone
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body
from trio_messenger.nodes import broadcast, broadcast_frugal
from trio_messenger.sim import Kill, Partition, simulate
from trio_messenger.testing import Network, running

PERIOD = 0.25
"""Seconds between batches in these tests: short compared with the second between questions."""

NODES = ["n1", "n2", "n3"]


def build(store: Any = None) -> Any:
    """Return a node with batches of `PERIOD`."""
    return broadcast.build(store, period=PERIOD)


async def messages_of(network: Network, node_id: str = "n1") -> list[int]:
    """Read all messages."""
    found: list[int] = (await network.request("read", dest=node_id))["messages"]
    return found


async def next_news(network: Network) -> tuple[float, str, Any]:
    """Wait for the next news; return when they came, to whom, and the messages of each log. Leave out questions."""
    while True:
        at, dest, body = await heard(network)
        if body["type"] == "tell":
            return at, dest, {log[:2]: entries for log, entries in body["news"].items()}


async def tell(network: Network, src: str, news: dict[str, Any], dest: str = "n1") -> None:
    """Have *src* tell the node *news*."""
    await network.send(src, {"type": "tell", "news": news}, dest=dest)
    await wait_all_tasks_blocked()


async def answer_of(network: Network, lengths: Body) -> Body:
    """Ask the node, as a node with logs of *lengths*."""
    await network.send("n2", {"type": "compare", "lengths": lengths, "msg_id": 1})
    while True:
        message = await sent(network)
        if message.body["type"] == "compare_ok":
            return message.body


async def test_broadcast_is_acknowledged_and_read(autojump_clock: MockClock) -> None:
    """A message is there as soon as it is acknowledged, once; a node that is alone in its cluster serves, too."""
    async with running(broadcast.build()) as network:
        assert await messages_of(network) == []
        assert await network.request("broadcast", message=0) == {"type": "broadcast_ok", "in_reply_to": 2, "msg_id": 2}
        for message in (7, 7):
            await network.request("broadcast", message=message)
        assert await messages_of(network) == [0, 7]
        assert (await network.request("broadcast", message="no number"))["code"] == 12
        assert (await network.request("topology", topology={"n1": ["n2"]}))["type"] == "topology_ok"
    assert (await served_alone(broadcast.build(), type="broadcast", message=1))["type"] == "broadcast_ok"


async def test_hub_sends_each_batch_to_all_but_where_it_came_from(autojump_clock: MockClock) -> None:
    """The messages of one period go together; nobody is sent the messages of its own clients."""
    async with running(build()) as network:
        await network.request("broadcast", message=1)
        await tell(network, "n2", {"n2-a": (0, [5, 6])})
        await network.request("broadcast", message=2)
        assert [await next_news(network), await next_news(network)] == [
            (0.25, "n2", {"n1": [0, [1, 2]]}),
            (0.25, "n3", {"n1": [0, [1, 2]], "n2": [0, [5, 6]]}),
        ]
        await tell(network, "n2", {"n2-a": (0, [5, 6]), "n2-b": (0, [7])})
        assert await next_news(network) == (0.5, "n3", {"n2": [0, [7]]})
        assert await messages_of(network) == [1, 5, 6, 2, 7]


async def test_other_nodes_send_to_the_hub_only(autojump_clock: MockClock) -> None:
    """They send what clients said, and what nodes other than the hub told them; never what the hub told them."""
    async with running(build(), node_id="n2", node_ids=NODES) as network:
        await tell(network, "n1", {"n1-a": (0, [1])}, "n2")
        await network.request("broadcast", dest="n2", message=2)
        await tell(network, "n3", {"n3-a": (0, [3])}, "n2")
        assert await next_news(network) == (0.25, "n1", {"n2": [0, [2]], "n3": [0, [3]]})
        await network.request("broadcast", dest="n2", message=4)
        assert await next_news(network) == (0.5, "n1", {"n2": [1, [4]]})
        assert await messages_of(network, "n2") == [1, 2, 3, 4]


async def test_node_asks_each_other_one_once_in_a_lap(autojump_clock: MockClock) -> None:
    """Every second it asks another one, in its turn, whether or not others have answered."""
    async with running(build()) as network:
        await tell(network, "n2", {"n2-a": (0, [5])})
        await next_news(network)
        asked = [await heard(network) for _ in range(4)]
        assert [at for at, _, _ in asked] == [1.0, 2.0, 3.0, 4.0]
        assert [dest for _, dest, _ in asked] in (["n2", "n3"] * 2, ["n3", "n2"] * 2)
        assert {str(body) for _, _, body in asked} == {"{'type': 'compare', 'lengths': {'n2-a': 1}}"}
        assert await messages_of(network) == [5]


async def test_question_repairs_both_sides(autojump_clock: MockClock) -> None:
    """The answer has what the node lacks, and says what the other one lacks, which the node sends."""
    async with running(build()) as network:
        for message in (1, 2):
            await network.request("broadcast", message=message)
        [own] = (await answer_of(network, {}))["news"]
        assert (await answer_of(network, {own: 1, "n3-x": 4}))["news"] == {own: [1, [2]]}
        assert (await answer_of(network, {own: 2, "n3-x": 4}))["lengths"] == {"n3-x": 0}
        while (question := await sent(network)).body["type"] != "compare":
            pass
        news = {"n3-a": (0, [8, 9])}
        await network.reply(question, {"type": "compare_ok", "news": news, "lengths": {own: 1, "unheard": 3}})
        assert await heard(network) == (1.0, question.dest, {"type": "tell", "news": {own: [1, [2]]}})
        assert await messages_of(network) == [1, 2, 8, 9]


async def test_entries_after_a_gap_are_asked_for_at_once(autojump_clock: MockClock) -> None:
    """A node that missed news asks the sender of the next ones, and takes nothing before it has the missing entries."""
    async with running(build(), node_id="n2", node_ids=NODES) as network:
        for _ in range(2):
            await tell(network, "n1", {"n3-a": (2, [9]), "n1-a": (0, [1])}, "n2")
        question = await sent(network)
        assert await messages_of(network, "n2") == [1]
        assert (trio.current_time(), question.dest) == (0.0, "n1")
        assert question.body["lengths"] == {"n1-a": 1}
        await network.reply(question, {"type": "compare_ok", "news": {"n3-a": (0, [7, 8, 9])}, "lengths": {}})
        await wait_all_tasks_blocked()
        assert await messages_of(network, "n2") == [1, 7, 8, 9]
        await trio.sleep(0.75)
        await network.receive_nothing()


async def test_answers_that_do_not_fit_change_nothing(autojump_clock: MockClock) -> None:
    """Neither does an error; the node asks another one in the next second."""
    async with running(build()) as network:
        await network.reply(await sent(network), {"type": "error", "code": 11})
        await network.reply(await sent(network), {"type": "compare_ok", "news": "none"})
        assert (await heard(network))[0] == 3.0
        assert network.node.stats.misfit_replies == 1


async def test_message_is_safe_before_anybody_sees_it(autojump_clock: MockClock) -> None:
    """Neither a client nor a node learns of a message before it is in the store for good; then of all before it."""
    disk = SlowDisk()
    async with running(build(disk)) as network:
        for msg_id, message in enumerate((1, 2, 3)):
            await network.send("c1", {"type": "broadcast", "message": message, "msg_id": msg_id})
        await trio.sleep(0.75)
        await network.receive_nothing()
        assert await messages_of(network) == []
        disk.syncs[1].set()
        assert (await sent(network)).body["in_reply_to"] == 1
        assert await messages_of(network) == [1, 2]
        assert [(await next_news(network))[2] for _ in range(2)] == [{"n1": [0, [1, 2]]}] * 2
        disk.syncs[0].set()
        assert (await sent(network)).body["in_reply_to"] == 0
        assert await messages_of(network) == [1, 2]


async def test_broadcast_keeps_its_messages_in_the_store(autojump_clock: MockClock) -> None:
    """Killed and built anew, a node has its messages, and goes on with its log; without a store, with a new one."""
    store = Disk()
    async with running(build(store)) as network:
        for message in range(12):  # more than nine: numbers are sorted as numbers
            await network.request("broadcast", message=message)
        await tell(network, "n2", {"n2-a": (0, [70])})
        before = (await answer_of(network, {}))["news"]
    async with running(build(store=store)) as network:
        assert sorted(await messages_of(network)) == [*range(12), 70]
        assert (await answer_of(network, {}))["news"] == before
        await network.request("broadcast", message=99)
        [own, _] = before
        assert await next_news(network) == (0.25, "n2", {"n1": [12, [99]]})
    async with running(build()) as network:
        await network.request("broadcast", message=5)
        assert own not in (await answer_of(network, {}))["news"]


async def test_frugal_node_has_larger_batches(autojump_clock: MockClock) -> None:
    """It is the same node with a longer period."""
    async with running(broadcast_frugal.build()) as network:
        await network.request("broadcast", message=1)
        assert await next_news(network) == (broadcast.FRUGAL, "n2", {"n1": [0, [1]]})


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("node", [broadcast, broadcast_frugal], ids=["fast", "frugal"])
def test_messages_spread_without_the_hub(node: Any) -> None:
    """Those that cannot reach the hub learn of each other's messages within seconds, long before the partition ends."""
    cut = Partition.between(["n1"], ["n2", "n3", "n4", "n5"], at=0, until=19)
    report = simulate("broadcast", node.build, rate=5, time_limit=20, faults=[cut])
    assert report.valid is True, report
    late = [
        op for op in report.history if op.type == "ok" and op.f == "read" and op.node != "n1" and 15e9 < op.time < 19e9
    ]
    known = {
        op.value
        for op in report.history
        if op.type == "ok" and op.f == "broadcast" and op.node != "n1" and op.time < 9e9
    }
    assert known
    assert all(known <= {*op.value} for op in late)


@pytest.mark.slow
@pytest.mark.every_python
def test_without_a_store_a_kill_loses_messages() -> None:
    """The limit of the node in memory: with all nodes killed, nobody has the messages any more."""
    faults = [Kill(nodes=["n1", "n2", "n3", "n4", "n5"], at=5, until=6)]
    report = simulate("broadcast", lambda: broadcast.build(None), rate=5, time_limit=10, faults=faults)
    assert report.valid is False
    assert report.results["workload"]["lost-count"] > 5
