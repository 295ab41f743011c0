"""The broadcast node: what it tells whom, on a network that loses and repeats."""

from __future__ import annotations

import pytest
import trio
from support.gossip import Disk, heard, sent, served_alone
from trio.testing import MockClock

from trio_messenger import Body
from trio_messenger.nodes import broadcast
from trio_messenger.testing import Network, running


async def test_broadcast_is_acknowledged_and_read(autojump_clock: MockClock) -> None:
    """A message is there as soon as it is acknowledged; a node that is alone in its cluster serves, too."""
    async with running(broadcast.build()) as network:
        assert (await network.request("read"))["messages"] == []
        assert await network.request("broadcast", message=0) == {"type": "broadcast_ok", "in_reply_to": 2, "msg_id": 2}
        await network.request("broadcast", message=7)
        assert sorted((await network.request("read"))["messages"]) == [0, 7]
        assert (await network.request("broadcast", message="no number"))["code"] == 12
    assert (await served_alone(broadcast.build(), type="broadcast", message=1))["type"] == "broadcast_ok"


async def test_broadcast_goes_to_all_peers_in_one_batch_each(autojump_clock: MockClock) -> None:
    """Without a topology all peers are neighbours; what comes within a quarter of a second goes together."""
    async with running(broadcast.build()) as network:
        await network.request("broadcast", message=1)
        await trio.sleep(0.125)
        await network.request("broadcast", message=2)
        assert [await heard(network), await heard(network)] == [
            (0.25, "n2", {"type": "gossip", "messages": [1, 2]}),
            (0.25, "n3", {"type": "gossip", "messages": [1, 2]}),
        ]


async def test_broadcast_goes_to_neighbours_only(autojump_clock: MockClock) -> None:
    """A topology says whom to tell; what was known before it came is told as well."""
    async with running(broadcast.build()) as network:
        await network.request("broadcast", message=1)
        reply = await network.request("topology", topology={"n1": ["n3"], "n2": ["n3"], "n3": ["n1", "n2"]})
        assert reply["type"] == "topology_ok"
        await network.request("broadcast", message=2)
        assert await heard(network) == (0.25, "n3", {"type": "gossip", "messages": [1, 2]})
        await network.receive_nothing()


async def test_broadcast_to_all_peers_if_the_topology_does_not_name_the_node(autojump_clock: MockClock) -> None:
    """As with Maelstrom's line of one node, whose topology is empty."""
    async with running(broadcast.build()) as network:
        await network.request("topology", topology={})
        await network.request("broadcast", message=1)
        assert [(await heard(network))[1], (await heard(network))[1]] == ["n2", "n3"]


async def test_broadcast_to_a_new_neighbour_is_everything(autojump_clock: MockClock) -> None:
    """When the topology changes, who was a neighbour before is told what it lacks, and who is new, everything."""
    async with running(broadcast.build()) as network:
        await network.request("topology", topology={"n1": ["n2"]})
        await network.request("broadcast", message=1)
        await network.reply(await sent(network), {"type": "gossip_ok"})
        await network.request("topology", topology={"n1": ["n2", "n3"]})
        await network.request("broadcast", message=2)
        assert [await heard(network), await heard(network)] == [
            (0.5, "n2", {"type": "gossip", "messages": [2]}),
            (0.5, "n3", {"type": "gossip", "messages": [1, 2]}),
        ]


async def gossip(network: Network, src: str, msg_id: int, *messages: int) -> None:
    """Have *src* tell the node of *messages*, and see them acknowledged."""
    await network.send(src, {"type": "gossip", "messages": messages, "msg_id": msg_id})
    _, dest, body = await heard(network)
    assert (dest, body) == (src, {"type": "gossip_ok", "in_reply_to": msg_id})


async def test_broadcast_is_passed_on_but_not_back(autojump_clock: MockClock) -> None:
    """What a neighbour tells is told to the others; told again, it is acknowledged again, and that is all."""
    async with running(broadcast.build()) as network:
        await gossip(network, "n2", 1, 5, 6)
        await gossip(network, "n2", 1, 5, 6)
        assert sorted((await network.request("read"))["messages"]) == [5, 6]
        message = await sent(network)
        assert (trio.current_time(), message.dest, message.body["messages"]) == (0.25, "n3", [5, 6])
        await network.reply(message, {"type": "gossip_ok"})
        await trio.sleep(60)
        await gossip(network, "n2", 2, 6)
        await trio.sleep(60)
        await network.receive_nothing()


async def test_broadcast_is_not_told_to_who_tells_it(autojump_clock: MockClock) -> None:
    """A neighbour that says what it is about to be told need not be told."""
    async with running(broadcast.build()) as network:
        for message in (1, 2, 3):
            await network.request("broadcast", message=message)
        await gossip(network, "n2", 1, 2, 1)
        await gossip(network, "n3", 1, 1, 2, 3)
        assert await heard(network) == (0.25, "n2", {"type": "gossip", "messages": [3]})
        await network.receive_nothing()


async def test_broadcast_takes_what_a_stranger_tells(autojump_clock: MockClock) -> None:
    """A node that is no neighbour here may have this one as its neighbour."""
    async with running(broadcast.build()) as network:
        await network.request("topology", topology={"n1": ["n3"]})
        await gossip(network, "n2", 1, 5)
        assert await heard(network) == (0.25, "n3", {"type": "gossip", "messages": [5]})


@pytest.mark.parametrize("answer", [None, {"type": "error", "code": 11, "text": "not yet"}])
async def test_broadcast_is_told_until_it_is_acknowledged(answer: Body | None, autojump_clock: MockClock) -> None:
    """Without an acknowledgement it goes out again after a second, together with what has come since; then no more."""
    async with running(broadcast.build()) as network:
        await network.request("topology", topology={"n1": ["n2"]})
        await network.request("broadcast", message=1)
        for turn in range(4):
            message = await sent(network)
            assert (trio.current_time(), message.body["messages"]) == (0.25 + turn, list(range(1, turn + 2)))
            if answer is not None:
                await network.reply(message, answer)
            await network.request("broadcast", message=turn + 2)
        message = await sent(network)
        assert (trio.current_time(), message.body["messages"]) == (4.25, [1, 2, 3, 4, 5])
        await network.reply(message, {"type": "gossip_ok"})
        await trio.sleep(60)
        await network.receive_nothing()


async def test_broadcast_goes_on_with_the_acknowledgement(autojump_clock: MockClock) -> None:
    """What comes while a batch is on its way waits for the acknowledgement, and goes without what that was for."""
    async with running(broadcast.build()) as network:
        await network.request("topology", topology={"n1": ["n2"]})
        await network.request("broadcast", message=1)
        first = await sent(network)
        await network.request("broadcast", message=2)
        await trio.sleep(0.375)
        await network.receive_nothing()
        await network.reply(first, {"type": "gossip_ok"})
        await network.request("broadcast", message=3)
        assert await heard(network) == (0.75, "n2", {"type": "gossip", "messages": [2, 3]})


async def test_broadcast_takes_a_late_acknowledgement(autojump_clock: MockClock) -> None:
    """On a link so slow that each batch is sent again before it can be acknowledged, it is not sent for ever."""
    async with running(broadcast.build()) as network:
        await network.request("topology", topology={"n1": ["n2"]})
        await network.request("broadcast", message=1)
        batches = [await sent(network) for _ in range(8)]
        assert trio.current_time() == 7.25
        await network.reply(batches[0], {"type": "gossip_ok"})
        await trio.sleep(60)
        await network.receive_nothing()


async def test_broadcast_keeps_its_messages_and_neighbours_in_the_store(autojump_clock: MockClock) -> None:
    """Killed and built anew, it has what it had acknowledged, and tells its neighbours, who may lack it."""
    store = Disk()
    async with running(broadcast.build(store)) as network:
        await network.request("topology", topology={"n1": ["n3"]})
        await network.request("broadcast", message=1)
        await gossip(network, "n3", 1, 5)
    async with running(broadcast.build(store=store)) as network:
        assert (await network.request("read"))["messages"] == [1, 5]
        assert await heard(network) == (0.25, "n3", {"type": "gossip", "messages": [1, 5]})
        await network.request("broadcast", message=8)
        await network.receive_nothing()
    async with running(broadcast.build()) as network:
        assert (await network.request("read"))["messages"] == []
