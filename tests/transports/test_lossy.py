"""Message loss: which messages are lost, when that is decided, and what is counted."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from random import Random

import pytest
import trio
from support.far_away import FarAway
from support.lines import line
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Body, LocalProtocolError, MessageLoss, Node, Request, Transport
from trio_messenger.testing import Network, running
from trio_messenger.transports.memory import memory_transport_pair


def lossy_node(*losses: MessageLoss) -> Node:
    """A node that counts, and that a request can turn into one that loses messages."""

    def wrap(transport: Transport) -> Transport:
        for loss in losses:
            transport = loss.wrap(transport)
        return transport

    node = Node(wrap_transport=wrap)

    @node.on("count")
    def count(request: Request) -> Body:
        return {"value": request.body["value"]}

    @node.on("lose")
    def lose(request: Request) -> Body:
        losses[0].turn_on(request.body["rate"], Random(request.body.get("seed", 42)))
        return {}

    @node.on("lose_no_more")
    def lose_no_more() -> Body:
        losses[0].turn_off()
        return {}

    return node


def counts(values: Collection[int]) -> bytes:
    return b"".join(line({"type": "count", "value": value, "msg_id": value}) for value in values)


async def arrived(network: Network) -> list[tuple[int, int]]:
    """What came of the counting: the values, and the numbers of the replies."""
    await network.send_bytes(line({"type": "lose_no_more", "msg_id": 9999}))
    found = []
    while (reply := (await network.receive()).body)["in_reply_to"] != 9999:
        if reply["type"] == "count_ok":
            found.append((reply["value"], reply["msg_id"]))
    return found


def survivors(count: int, rate: float, seed: int = 42) -> list[int]:
    random = Random(seed)
    return [number for number in range(count) if random.random() >= rate]


@pytest.mark.parametrize(("rate", "seed"), [(0.5, 42), (0.1, 42), (0.5, 7)])
async def test_messages_are_lost_by_the_seed(rate: float, seed: int) -> None:
    """The n-th message is lost if the n-th random number is below the rate; it has used up its msg_id all the same."""
    loss = MessageLoss(exempt=("lose_ok", "lose_no_more_ok"))
    async with running(lossy_node(loss)) as network:
        await network.request("lose", rate=rate, seed=seed)
        await network.send_bytes(counts(range(100)))
        assert await arrived(network) == [(number, number + 2) for number in survivors(100, rate, seed)]
        assert network.node.stats.sent == 103
    assert 0 < loss.total_dropped == 100 - len(survivors(100, rate, seed))


@pytest.mark.parametrize(("rate", "lost"), [(0, 0), (1, 50)])
async def test_rates_of_none_and_all(rate: float, lost: int) -> None:
    """At 0 nothing is lost, at 1 everything."""
    loss = MessageLoss(exempt=["lose_ok"])
    async with running(lossy_node(loss)) as network:
        await network.request("lose", rate=rate)
        await network.send_bytes(counts(range(50)))
        assert len(await arrived(network)) == 50 - lost
    assert loss.total_dropped == lost


async def test_nothing_is_lost_before_it_is_on_nor_after_it_is_off() -> None:
    """It is off to begin with, can be turned off, and counts what is sent meanwhile."""
    loss = MessageLoss()
    assert (loss.is_on, loss.drop_rate, loss.total_sent, loss.total_dropped) == (False, 0.0, 0, 0)
    async with running(lossy_node(loss)) as network:
        assert (await network.request("count", value=1))["msg_id"] == 1
        loss.turn_on(1.0, Random(1))
        assert (loss.is_on, loss.drop_rate) == (True, 1.0)
        await network.send_bytes(counts([2]))
        await network.receive_nothing()
        loss.turn_off()
        assert (loss.is_on, loss.drop_rate) == (False, 1.0)
        await network.send_bytes(counts([3]))
        assert (await network.receive()).body["msg_id"] == 3
    assert (loss.total_sent, loss.total_dropped) == (4, 1)  # with init_ok, which is not exempt here


async def test_exempt_types_are_neither_lost_nor_counted() -> None:
    """They draw no random number either, so the others fare as they would without them."""
    loss = MessageLoss(exempt=["count_ok", "init_ok"])
    node = lossy_node(loss)
    node.on("other")(lambda request: {"value": request.body["value"]})
    async with running(node) as network:
        loss.turn_on(0.5, Random(42))
        await network.send_bytes(
            b"".join(line({"type": "other", "value": n, "msg_id": 100 + n}) + counts([n]) for n in range(20))
        )
        await wait_all_tasks_blocked()
        loss.turn_off()
        await network.send_bytes(line({"type": "lose_no_more", "msg_id": 9999}))
        replies = []
        while (reply := (await network.receive()).body)["in_reply_to"] != 9999:
            replies.append((reply["type"], reply["value"]))
    assert [value for kind, value in replies if kind == "count_ok"] == list(range(20))
    assert [value for kind, value in replies if kind == "other_ok"] == survivors(20, 0.5)
    assert (loss.total_sent, loss.total_dropped) == (21, 20 - len(survivors(20, 0.5)))


async def test_loss_is_decided_when_a_message_is_sent() -> None:
    """Of one batch, what was sent before the loss was turned on arrives, and what was sent after it was off as well."""
    async with running(lossy_node(MessageLoss())) as network:
        await network.send_bytes(
            counts(range(3))
            + line({"type": "lose", "rate": 1.0, "msg_id": 50})
            + counts(range(3, 6))
            + line({"type": "lose_no_more", "msg_id": 51})
            + counts(range(6, 9))
        )
        assert [number for number, _ in await arrived(network)] == [0, 1, 2, 6, 7, 8]


async def test_requests_are_lost_like_replies() -> None:
    """An RPC whose request is lost stays pending until its deadline; nobody is told."""
    loss = MessageLoss()
    node = lossy_node(loss)
    async with running(node) as network:
        loss.turn_on(1.0, Random(1))
        node.rpc_callback("n2", {"type": "ask"}, lambda _: None)
        node.send_nowait("n2", {"type": "tell"})
        await network.receive_nothing()
        assert len(node.pending) == 1
    assert loss.total_dropped == 2


async def test_message_that_cannot_be_sent_is_not_counted() -> None:
    """What JSON cannot carry fails where it was sent, before chance decides."""
    loss = MessageLoss(exempt=["init_ok"])
    node = lossy_node(loss)
    async with running(node):
        loss.turn_on(1.0, Random(1))
        with pytest.raises(LocalProtocolError, match=r"^JSON has no number nan, found at body\.x; .*$"):
            node.send_nowait("n2", {"type": "tell", "x": math.nan})
    assert loss.total_sent == 0


async def test_losses_around_one_another_all_lose() -> None:
    """A transport that loses messages can be wrapped in another: a message arrives if both let it through."""
    inner, outer = MessageLoss(exempt=["lose_no_more_ok"]), MessageLoss(exempt=["lose_no_more_ok"])
    async with running(lossy_node(inner, outer)) as network:
        inner.turn_on(0.5, Random(1))
        outer.turn_on(0.5, Random(2))
        await network.send_bytes(counts(range(40)))
        found = [number for number, _ in await arrived(network)]
    assert inner.total_dropped > 0
    assert outer.total_dropped > 0
    assert len(found) < min(len(survivors(40, 0.5, 1)), len(survivors(40, 0.5, 2)))


@pytest.mark.parametrize("rate", [-0.1, 1.1, 10, math.nan])
def test_rate_is_a_fraction(rate: float) -> None:
    """Another rate is refused with a text that says what to give, and changes nothing."""
    loss = MessageLoss()
    text = f"drop_rate is {rate}; give a fraction from 0 (lose none) to 1 (lose all)"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        loss.turn_on(rate, Random(1))
    assert (loss.is_on, loss.drop_rate) == (False, 0.0)


async def test_wrapped_transport_carries_and_closes_what_it_wraps() -> None:
    """Receiving, sending, closing and the time of day are those of the transport inside."""
    inner, other = memory_transport_pair()
    wrapped = MessageLoss().wrap(inner)
    await wrapped.send([b'{"src": "n1", "dest": "n2", "body": {"type": "hello"}}'])
    [message] = await other.receive()
    assert message.body == {"type": "hello"}
    await other.send([b'{"src": "n2", "dest": "n1", "body": {"type": "hello back"}}'])
    [message] = await wrapped.receive()
    assert message.body == {"type": "hello back"}
    assert MessageLoss().wrap(FarAway(wrapped)).wall_time() == pytest.approx(FarAway.MIDNIGHT + trio.current_time())
    await wrapped.aclose()
    assert [batch async for batch in other] == []
