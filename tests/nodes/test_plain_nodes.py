"""The plain ready-made nodes: what they answer, and what they tell each other, on a network that loses and repeats."""

from __future__ import annotations

import json
from collections import UserDict
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.lines import line
from support.slow_reader import slow_reader
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Message, Node
from trio_messenger.nodes import broadcast, echo, g_counter, g_set, pn_counter, unique_ids
from trio_messenger.testing import Network, running

COUNTERS = pytest.mark.parametrize("counter", [g_counter, pn_counter], ids=["g-counter", "pn-counter"])


class Disk(UserDict[str, Any]):
    """A store as on a disk: JSON values, each as it was when it was assigned."""

    def __getitem__(self, name: str) -> Any:
        return json.loads(super().__getitem__(name))

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, json.dumps(value))


async def sent(network: Network) -> Message:
    """Wait for the node's next message, but not for ever."""
    with trio.fail_after(60):
        return await network.receive()


async def heard(network: Network) -> tuple[float, str, Body]:
    """Wait for the node's next message and return when it came, to whom, and its body without ``msg_id``."""
    message = await sent(network)
    return trio.current_time(), message.dest, {key: message.body[key] for key in message.body if key != "msg_id"}


async def served_alone(node: Node, **request: Any) -> Body:
    """Serve *node* as the only one of its cluster for a minute and return its reply to *request*."""
    async with running(node, init=False) as network:
        await network.send("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1"]})
        await sent(network)
        await trio.sleep(60)
        return await network.request(**{"type_": request.pop("type"), **request})


# echo


@pytest.mark.parametrize("value", ["Please echo 35", None, 0, [1, {"two": 3.5}]])
async def test_echo_gives_back_any_value(value: Any) -> None:
    """What was sent comes back as it is."""
    async with running(echo.build()) as network:
        assert await network.request("echo", echo=value) == {
            "type": "echo_ok",
            "echo": value,
            "in_reply_to": 1,
            "msg_id": 1,
        }


async def test_echo_of_nothing_is_refused() -> None:
    """A request without the field is malformed."""
    async with running(echo.build()) as network:
        assert (await network.request("echo"))["code"] == 12


# unique-ids


async def ids_of_a_life(seed: int | None = None, node_id: str = "n1", count: int = 100) -> list[str]:
    node = unique_ids.build()
    if seed is not None:
        node.random.seed(seed)  # as the simulator does, after the node was built
    async with running(node, init=False) as network:
        await network.send("c0", {"type": "init", "msg_id": 0, "node_id": node_id, "node_ids": ["n1", "n2"]})
        await sent(network)
        found = []
        for msg_id in range(count):
            await network.send("c1", {"type": "generate", "msg_id": msg_id}, dest=node_id)
            body = (await sent(network)).body
            assert body["type"] == "generate_ok"
            found.append(body["id"])
        return found


async def test_ids_are_unique_in_each_life_and_over_all_lives() -> None:
    """No id comes twice: not in one life of a node, not in its next one, and not from another node."""
    lives = [await ids_of_a_life() for _ in range(3)]
    lives += [await ids_of_a_life(seed) for seed in range(3)]
    lives.append(await ids_of_a_life(0, node_id="n2"))
    everything = [id_ for life in lives for id_ in life]
    assert len(set(everything)) == len(everything) == 700


async def test_ids_can_be_repeated_by_the_seed() -> None:
    """All chance is the node's own."""
    assert await ids_of_a_life(7) == await ids_of_a_life(7)


# broadcast


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


# g-set


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


# g-counter and pn-counter


def counts(counter: Any, up: int, down: int = 0) -> int | list[int]:
    """Return a count as a node tells it."""
    return up if counter is g_counter else [up, down]


async def tell(network: Network, src: str, counts: Body) -> None:
    """Have *src* tell the node of *counts*, and see that it answers nothing."""
    await network.send(src, {"type": "gossip", "counts": counts, "msg_id": 1})
    await network.receive_nothing()


async def value(network: Network) -> int:
    """Read the counter."""
    found: int = (await network.request("read"))["value"]
    return found


@COUNTERS
async def test_counter_is_added_to_and_read(counter: Any, autojump_clock: MockClock) -> None:
    """An addition counts as soon as it is acknowledged; a node that is alone in its cluster serves, too."""
    async with running(counter.build()) as network:
        assert await value(network) == 0
        assert await network.request("add", delta=3) == {"type": "add_ok", "in_reply_to": 2, "msg_id": 2}
        assert (await network.request("add", delta=0))["type"] == "add_ok"
        await network.request("add", delta=4)
        assert await value(network) == 7
        assert (await network.request("add", delta="much"))["code"] == 12
    assert (await served_alone(counter.build(), type="add", delta=1))["type"] == "add_ok"


async def test_what_only_grows_refuses_to_shrink() -> None:
    """To take away is a malformed request of a g-counter, and changes nothing."""
    async with running(g_counter.build()) as network:
        await network.request("add", delta=3)
        assert (await network.request("add", delta=-1))["code"] == 12
        assert await value(network) == 3


async def test_what_goes_up_and_down_does() -> None:
    """A pn-counter takes away as well, below zero if need be."""
    async with running(pn_counter.build()) as network:
        for delta in (4, -5, 3, -5):
            await network.request("add", delta=delta)
        assert await value(network) == -3


@COUNTERS
async def test_counter_tells_each_peer_once_a_lap(counter: Any, autojump_clock: MockClock) -> None:
    """Every half second another node is told all that is known, each in its turn, whether or not it was told before."""
    async with running(counter.build()) as network:
        await network.request("add", delta=3)
        await tell(network, "n2", {"a": counts(counter, 2)})
        times = []
        for _ in range(3):
            one, other = await heard(network), await heard(network)
            assert sorted([one[1], other[1]]) == ["n2", "n3"]
            times += [one[0], other[0]]
            assert one[2] == other[2]
            [name] = one[2]["counts"].keys() - {"a"}
            assert one[2] == {"type": "gossip", "counts": {name: counts(counter, 3), "a": counts(counter, 2)}}
            assert name.startswith("n1-")
        assert times == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


@COUNTERS
async def test_counter_has_time_for_all_in_a_lap(counter: Any, autojump_clock: MockClock) -> None:
    """Among many, each other node is told within four seconds."""
    many = [f"n{number}" for number in range(1, 18)]
    async with running(counter.build(), node_ids=many) as network:
        told = [await heard(network) for _ in range(16)]
    assert sorted(dest for _, dest, _ in told) == sorted(many[1:])
    assert [at for at, _, _ in told] == [number / 4 for number in range(1, 17)]


@COUNTERS
async def test_counter_tells_in_no_fixed_order(counter: Any, autojump_clock: MockClock) -> None:
    """By the node's own chance, so that not all nodes tell the same one first."""
    first = set()
    for seed in range(10):
        node = counter.build()
        node.random.seed(seed)
        async with running(node) as network:
            first.add((await sent(network)).dest)
    assert first == {"n2", "n3"}


@COUNTERS
async def test_counter_is_the_sum_of_the_latest_counts(counter: Any) -> None:
    """A count that comes again, or an old one after a newer one, changes nothing."""
    async with running(counter.build()) as network:
        await network.request("add", delta=1)
        await tell(network, "n2", {"a": counts(counter, 10), "b": counts(counter, 100)})
        assert await value(network) == 111
        await tell(network, "n3", {"a": counts(counter, 20)})
        assert await value(network) == 121
        await tell(network, "n2", {"a": counts(counter, 10), "b": counts(counter, 100)})
        await tell(network, "n2", {"a": counts(counter, 10), "b": counts(counter, 100)})
        assert await value(network) == 121


async def test_what_was_added_and_taken_away_are_known_apart() -> None:
    """The later of two counts of a pn-counter is neither the greater sum nor the smaller one."""
    async with running(pn_counter.build()) as network:
        await tell(network, "n2", {"a": [10, 3], "b": [5, 5]})
        await tell(network, "n2", {"a": [10, 6], "b": [7, 5]})
        assert await value(network) == 4 + 2
        await tell(network, "n2", {"a": [10, 3], "b": [5, 5]})
        assert await value(network) == 4 + 2


async def name_and_count(counter: Any, network: Network) -> tuple[str, Any]:
    """Wait until the node tells a peer the one count it knows."""
    [item] = (await sent(network)).body["counts"].items()
    assert isinstance(item, tuple)
    return item


@COUNTERS
async def test_counter_keeps_its_count_in_the_store(counter: Any, autojump_clock: MockClock) -> None:
    """Killed and built anew, a node goes on counting where it was, under the same name."""
    store = Disk()
    name = ""
    for life in range(3):
        async with running(counter.build(store=store)) as network:
            assert await value(network) == 3 * life
            await network.request("add", delta=3)
            known = await name_and_count(counter, network)
            assert known == (name or known[0], counts(counter, 3 * life + 3))
            name = known[0]


async def test_what_was_taken_away_is_kept_in_the_store(autojump_clock: MockClock) -> None:
    """Up and down are kept apart there as well."""
    store = Disk()
    for delta in (5, -7, 1, -1):
        async with running(pn_counter.build(store)) as network:
            await network.request("add", delta=delta)
    async with running(pn_counter.build(store)) as network:
        assert await value(network) == -2
        assert (await name_and_count(pn_counter, network))[1] == [6, 8]


@COUNTERS
async def test_counter_without_a_store_counts_anew_beside_what_peers_know(
    counter: Any, autojump_clock: MockClock
) -> None:
    """Killed and built anew, it does not take what it counts for what others still know of its life before."""
    async with running(counter.build()) as network:
        await network.request("add", delta=3)
        name, count = await name_and_count(counter, network)
    async with running(counter.build()) as network:
        await network.request("add", delta=2)
        await tell(network, "n2", {name: count})
        assert await value(network) == 5


# All that gossip


@pytest.mark.parametrize(
    ("build", "request_body"),
    [
        (broadcast.build, {"type": "broadcast", "message": 1}),
        (g_set.build, {"type": "add", "element": 1}),
        (g_counter.build, {"type": "add", "delta": 1}),
        (pn_counter.build, {"type": "add", "delta": 1}),
    ],
    ids=["broadcast", "g-set", "g-counter", "pn-counter"],
)
async def test_gossip_waits_for_a_slow_network(
    build: Callable[[], Node], request_body: Body, autojump_clock: MockClock
) -> None:
    """With the outbox full a node gossips no more, and does so again when there is room: it does not fail of it."""
    node = build()
    node._service.outbox.limit = node._service.outbox.busy_from = 1
    async with slow_reader(node, batches=1) as reader:
        await reader.send(line({**request_body, "msg_id": 2}))
        await trio.sleep(60)
        so_far = node.stats.sent
        await trio.sleep(60)
        assert node.stats.sent == so_far
        with trio.move_on_after(60):
            async for _ in reader.transport:
                pass
        assert node.stats.sent > so_far + 10
        assert node.stats.handler_failures == 0
        reader.nursery.cancel_scope.cancel()
