"""The g-set node: what it asks whom, on a network that loses and repeats."""

from __future__ import annotations

import trio
from support.gossip import Disk, SlowDisk, heard, sent, served_alone
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Message
from trio_messenger.nodes import g_set
from trio_messenger.testing import Network, running


async def answers(network: Network, **lengths: int) -> Body:
    """Ask the node, as a peer with logs of *lengths*, and return the news."""
    await network.send("n2", {"type": "ask", "lengths": lengths, "msg_id": 1})
    _, dest, body = await heard(network)
    assert (dest, body["type"], body["in_reply_to"]) == ("n2", "ask_ok", 1)
    news: Body = body["news"]
    return news


async def asked(network: Network) -> Message:
    """Wait until the node asks a peer."""
    message = await sent(network)
    assert message.body["type"] == "ask"
    return message


async def test_set_is_added_to_and_read(autojump_clock: MockClock) -> None:
    """An element is there as soon as it is acknowledged; a node that is alone in its cluster serves, too."""
    async with running(g_set.build()) as network:
        assert (await network.request("read"))["value"] == []
        assert await network.request("add", element=0) == {"type": "add_ok", "in_reply_to": 2, "msg_id": 2}
        await network.request("add", element=7)
        await network.request("add", element=7)
        assert sorted((await network.request("read"))["value"]) == [0, 7]
        assert (await network.request("add", element="no number"))["code"] == 12
    assert (await served_alone(g_set.build(), type="add", element=1))["type"] == "add_ok"


async def test_set_tells_only_what_is_missing() -> None:
    """Who asks says how long its copy of a log is, and gets the rest; nothing of what it has, or of an empty log."""
    async with running(g_set.build()) as network:
        assert await answers(network) == {}
        for element in (5, 6, 7):
            await network.request("add", element=element)
        [(name, log)] = (await answers(network)).items()
        assert (name[:3], log) == ("n1-", [5, 6, 7])
        assert await answers(network, other=3) == {name: [5, 6, 7]}
        assert await answers(network, **{name: 1}) == {name: [6, 7]}
        assert await answers(network, **{name: 3}) == {}


async def test_set_asks_each_peer_once_a_lap(autojump_clock: MockClock) -> None:
    """Every half second another node is asked, each in its turn, for what comes after what is known."""
    async with running(g_set.build()) as network:
        await network.request("add", element=5)
        [name] = await answers(network)
        laps = []
        for _ in range(3):
            one, other = await heard(network), await heard(network)
            assert sorted([one[1], other[1]]) == ["n2", "n3"]
            laps += [one[0], other[0]]
            assert one[2] == other[2] == {"type": "ask", "lengths": {name: 1}}
        assert laps == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


async def test_set_asks_in_no_fixed_order(autojump_clock: MockClock) -> None:
    """By the node's own chance, so that not all nodes ask the same one first."""
    first = set()
    for seed in range(10):
        node = g_set.build()
        node.random.seed(seed)
        async with running(node) as network:
            first.add((await asked(network)).dest)
    assert first == {"n2", "n3"}


async def test_set_learns_and_passes_on(autojump_clock: MockClock) -> None:
    """What a peer answers is in the set, is told to others who ask, and is not asked for again."""
    async with running(g_set.build()) as network:
        await network.reply(await asked(network), {"type": "ask_ok", "news": {"a": [1, 2], "b": [3]}})
        await network.reply(await asked(network), {"type": "ask_ok", "news": {"a": [4]}})
        message = await asked(network)
        assert {"a": 3, "b": 1}.items() <= message.body["lengths"].items()
        assert sorted((await network.request("read"))["value"]) == [1, 2, 3, 4]
        assert await answers(network) == {"a": [1, 2, 4], "b": [3]}


async def test_set_takes_overlapping_and_repeated_answers(autojump_clock: MockClock) -> None:
    """Two that were asked the same thing answer the same thing; a log is what its node made it all the same."""
    async with running(g_set.build()) as network:
        one, other, third = await asked(network), await asked(network), await asked(network)
        await network.reply(one, {"type": "ask_ok", "news": {"a": [1, 2]}})
        await network.reply(one, {"type": "ask_ok", "news": {"a": [1, 2]}})
        await network.reply(other, {"type": "ask_ok", "news": {"a": [1, 2, 3]}})
        await network.reply(third, {"type": "ask_ok", "news": {"a": [1]}})
        await wait_all_tasks_blocked()
        assert await answers(network) == {"a": [1, 2, 3]}


async def test_set_asks_on_when_nobody_answers(autojump_clock: MockClock) -> None:
    """Errors and silence change nothing, and an answer that took almost nine seconds is as good as any."""
    async with running(g_set.build()) as network:
        await network.reply(await asked(network), {"type": "error", "code": 11})
        late = await asked(network)
        for _ in range(17):
            await asked(network)
        await trio.sleep(0.25)
        await network.reply(late, {"type": "ask_ok", "news": {"a": [1]}})
        await wait_all_tasks_blocked()
        assert (await network.request("read"))["value"] == [1]
    assert network.node.stats.handler_failures == 0


async def test_set_keeps_its_log_in_the_store() -> None:
    """Killed and built anew, a node goes on with the same log; without a store with a new one, of another name."""
    store = Disk()
    async with running(g_set.build(store)) as network:
        await network.request("add", element=5)
        await network.request("add", element=6)
        before = await answers(network)
    async with running(g_set.build(store=store)) as network:
        assert sorted((await network.request("read"))["value"]) == [5, 6]
        await network.request("add", element=7)
        [(name, log)] = (await answers(network)).items()
        assert (before, log) == ({name: [5, 6]}, [5, 6, 7])
    async with running(g_set.build(store)) as network:
        assert await answers(network, **{name: 2}) == {name: [7]}
    async with running(g_set.build()) as network:
        await network.request("add", element=8)
        assert [*(await answers(network))] != [name]


async def test_element_is_safe_before_others_see_it() -> None:
    """Neither clients nor nodes learn of an element before it is in the store for good; then of all before it."""
    disk = SlowDisk()
    async with running(g_set.build(disk)) as network:
        for msg_id, element in enumerate((5, 6, 7)):
            await network.send("c1", {"type": "add", "element": element, "msg_id": msg_id})
        assert (await network.request("read"))["value"] == []
        assert await answers(network) == {}
        disk.syncs[1].set()
        assert (await sent(network)).body["in_reply_to"] == 1
        assert (await network.request("read"))["value"] == [5, 6]
        disk.syncs[0].set()
        assert (await sent(network)).body["in_reply_to"] == 0
        assert list((await answers(network)).values()) == [[5, 6]]
