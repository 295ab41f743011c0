"""The counter nodes: what they tell each other, on a network that loses and repeats."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.gossip import Disk, SlowDisk, heard, sent, served_alone
from trio.testing import MockClock

from trio_messenger import Body
from trio_messenger.nodes import g_counter, pn_counter
from trio_messenger.testing import Network, running

COUNTERS = pytest.mark.parametrize("counter", [g_counter, pn_counter], ids=["g-counter", "pn-counter"])


async def value(network: Network) -> int:
    """Read the counter."""
    found: int = (await network.request("read"))["value"]
    return found


def counts(counter: Any, up: int, down: int = 0) -> int | list[int]:
    """Return a count as a node tells it."""
    return up if counter is g_counter else [up, down]


async def tell(network: Network, src: str, counts: Body, life: str = "a") -> str:
    """Have *src* in its *life* tell the node of *counts*, and return the name of the node's life."""
    await network.send(src, {"type": "merge", "life": life, "counts": counts, "msg_id": 1})
    _, dest, body = await heard(network)
    assert (dest, body["type"], body["in_reply_to"]) == (src, "merge_ok", 1)
    name: str = body["life"]
    return name


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
    """Every half second another node is told what it is not known to have, until it acknowledges that."""
    async with running(counter.build()) as network:
        await network.request("add", delta=3)
        life = await tell(network, "n2", {"a": counts(counter, 2)})
        times = []
        for _ in range(3):
            one, other = await heard(network), await heard(network)
            assert sorted([one[1], other[1]]) == ["n2", "n3"]
            times += [one[0], other[0]]
            assert one[2] == other[2]
            [name] = one[2]["counts"].keys() - {"a"}
            told = {name: counts(counter, 3), "a": counts(counter, 2)}
            assert one[2] == {"type": "merge", "life": life, "counts": told}
            assert name.startswith("n1-")
        assert times == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


async def acknowledged(network: Network, lives: dict[str, str]) -> list[tuple[str, int]]:
    """Acknowledge all that the node tells in ten seconds; return whom it told, and of how many counts."""
    told = []
    with trio.move_on_after(10):
        while True:
            message = await network.receive()
            told.append((message.dest, len(message.body["counts"])))
            await network.reply(message, {"type": "merge_ok", "life": lives[message.dest]})
    return sorted(told)


@COUNTERS
async def test_counter_tells_only_what_has_changed(counter: Any, autojump_clock: MockClock) -> None:
    """At first, everything, until an acknowledgement shows which life has it; after that, changes only, or nothing."""
    lives = {"n2": "b", "n3": "c"}
    async with running(counter.build()) as network:
        assert await acknowledged(network, lives) == [("n2", 0), ("n3", 0)]
        await network.request("add", delta=3)
        await tell(network, "n2", {"x": counts(counter, 2)}, life="b")
        assert await acknowledged(network, lives) == [("n2", 1), ("n3", 2)]
        assert await acknowledged(network, lives) == []
        await network.request("add", delta=1)
        assert await acknowledged(network, lives) == [("n2", 1), ("n3", 1)]


@COUNTERS
async def test_counter_tells_a_new_life_everything(counter: Any, autojump_clock: MockClock) -> None:
    """A restarted node says that it is new, or acknowledges as such; old messages cannot hide that."""
    lives = {"n2": "b", "n3": "c"}
    async with running(counter.build()) as network:
        for name in ("x", "y"):
            await tell(network, "n3", {name: counts(counter, 2)})
        await acknowledged(network, lives)
        await tell(network, "n2", {}, life="new")
        assert await acknowledged(network, {**lives, "n2": "new"}) == [("n2", 2)]
        await tell(network, "n2", {"x": counts(counter, 2), "y": counts(counter, 2)}, life="b")  # sent long ago
        assert await acknowledged(network, {**lives, "n2": "new"}) == [("n2", 2), ("n2", 2)]


@COUNTERS
async def test_addition_is_safe_before_others_see_it(counter: Any, autojump_clock: MockClock) -> None:
    """Neither clients nor nodes learn of a count before it is in the store for good."""
    disk = SlowDisk()
    async with running(counter.build(disk)) as network:
        for msg_id in (1, 2):
            await network.send("c1", {"type": "add", "delta": 3, "msg_id": msg_id})
        assert [(await heard(network))[2]["counts"] for _ in range(4)] == [{}] * 4
        assert await value(network) == 0
        disk.syncs[1].set()
        assert (await sent(network)).body["in_reply_to"] == 2
        assert await value(network) == 6
        disk.syncs[0].set()
        assert (await sent(network)).body["in_reply_to"] == 1
        assert await value(network) == 6


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
