"""The helpers that the package offers for tests: they fail when the node is wrong, and say how."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
import trio.testing

import trio_messenger.testing
from trio_messenger import Body, ErrorCode, Message, Node, Request, RpcError, RpcTimeout
from trio_messenger.nodes.messenger import build
from trio_messenger.testing import Network, assert_no_rpc_leaked, running
from trio_messenger.transports.memory import memory_transport_pair


async def test_a_request_is_answered() -> None:
    """`request` asks as a client and returns the body of the reply, an error as any other."""
    async with running(build()) as network:
        assert (await network.request("echo", echo=1))["echo"] == 1
        assert (await network.request("nonsense"))["code"] == ErrorCode.NOT_SUPPORTED


async def test_a_request_comes_from_whom_the_test_says() -> None:
    """From another node, for example; a field called ``src`` is one of a whole body."""
    node = Node()

    @node.on("vote")
    def vote(request: Request) -> Body:
        return {"from": request.src, "src": request.body.get("src"), "term": request.body.get("term")}

    async with running(node) as network:
        reply = await network.request("vote", src="n2", term=1)
        assert (reply["from"], reply["src"], reply["term"]) == ("n2", None, 1)
        reply = await network.request({"type": "vote", "src": "field"}, term=2)
        assert (reply["from"], reply["src"], reply["term"]) == ("c1", "field", 2)


async def test_a_failed_assertion_leaves_as_it_is() -> None:
    """Not inside exception groups, and with the traceback of the line that failed; the node has ended."""
    node = Node()
    with pytest.raises(AssertionError, match="expected") as caught:
        async with running(node):
            raise AssertionError("expected")
    assert caught.traceback[-1].name == "test_a_failed_assertion_leaves_as_it_is"
    with pytest.raises(trio.ClosedResourceError):
        node.every(1, print)


async def test_what_a_test_raises_beside_a_node_that_fails_stays_a_group() -> None:
    """Then neither must be lost; nor does a group of the test's own lose its members."""
    node = Node(strict=True)

    @node.on("fail")
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("node")

    with pytest.RaisesGroup(KeyError, AssertionError, flatten_subgroups=True):
        async with running(node) as network:
            await network.send("c1", {"type": "fail", "msg_id": 1})
            await network.receive_nothing()
            raise AssertionError("test")
    with pytest.raises(ExceptionGroup, match="mine") as caught:
        async with running(Node()):
            raise ExceptionGroup("mine", [ValueError(1)])
    assert [type(error) for error in caught.value.exceptions] == [ValueError]


async def test_the_node_is_who_it_is_told() -> None:
    """`running` tells the node its id and those of the others."""
    node = build()
    async with running(node, node_id="b", node_ids=["a", "b"]):
        assert (node.id, node.peers) == ("b", ("a",))


async def test_without_init_the_node_knows_nothing() -> None:
    """With ``init=False`` the test may send ``init`` itself, or something else first."""
    node = build()
    async with running(node, init=False) as network:
        assert (await network.request("echo", echo=1))["code"] == ErrorCode.TEMPORARILY_UNAVAILABLE


async def test_a_test_may_play_the_peers(autojump_clock: trio.testing.MockClock) -> None:
    """What the node asks of others, the test answers, or refuses, or does not answer."""
    node = Node()
    outcomes: list[Body | RpcError] = []

    @node.on("ask")
    async def ask() -> Body:
        try:
            outcomes.append(await node.rpc("n2", {"type": "what"}, timeout=1))
        except RpcError as exc:
            outcomes.append(exc)
        return {}

    async with running(node) as network:
        for answer in ({"type": "what_ok", "it": 1}, RpcError(ErrorCode.ABORT, "no"), None):
            await network.send("c1", {"type": "ask", "msg_id": 1})
            request = await network.receive()
            assert (request.dest, request.body["type"]) == ("n2", "what")
            if answer is not None:
                await network.reply(request, answer)
            assert (await network.receive()).body["type"] == "ask_ok"
    assert isinstance(outcomes[0], dict)
    assert outcomes[0]["it"] == 1
    assert isinstance(outcomes[1], RpcError)
    assert (outcomes[1].code, outcomes[1].text) == (ErrorCode.ABORT, "no")
    assert isinstance(outcomes[2], RpcTimeout)
    assert_no_rpc_leaked(node)


async def test_a_reply_that_is_none_is_shown() -> None:
    """`request` fails if the next message is no reply to it, and shows the message."""
    node = Node()

    @node.on("tell")
    def tell(request: Request) -> None:
        node.send_nowait("n2", {"type": "told"})

    async with running(node) as network:
        text = r"'told'.* is not the reply to the 'tell' request with msg_id 1 of 'c1'$"
        with pytest.raises(AssertionError, match=text):
            await network.request("tell")


async def test_a_message_too_many_is_shown() -> None:
    """`receive_nothing` fails if the node has sent something, and shows it."""
    node = Node()

    @node.on("tell")
    def tell(request: Request) -> None:
        node.send_nowait("n2", {"type": "told"})

    async with running(node) as network:
        await network.receive_nothing()
        await network.send("c1", {"type": "tell"})
        with pytest.raises(AssertionError, match=r"^the node must send nothing, but it sent .*'told'"):
            await network.receive_nothing()


async def test_what_is_no_message_is_shown() -> None:
    """A line that the node's peers could not read fails the test that receives it."""
    node = build()
    async with running(node, line_limit=200) as network:
        await network.send("c1", {"type": "echo", "echo": "x" * 120, "msg_id": 1})
        text = r"^the node sent a line that is not a message: the line is longer than"
        with pytest.raises(AssertionError, match=text):
            await network.receive()


async def test_a_refused_init_is_shown() -> None:
    """If the node does not accept ``init``, the answer is in the failure."""
    node = Node()

    @node.on_init
    def refuse() -> None:
        raise RpcError(ErrorCode.ABORT, "not me")

    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match=r"^the node answered 'init' with .*not me")):
        async with running(node):
            pass


@pytest.mark.parametrize("how", ["normal", "exception", "cancellation", "served_before", "refused"])
async def test_however_running_is_left_its_channels_are_closed(
    how: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """After `running`, nothing can be sent or received any more, and nothing is left open."""
    node = Node()
    if how == "served_before":
        async with running(node):
            pass
    if how == "refused":
        node.on_init(lambda: 1 / 0)
    networks: list[Network] = []
    pair = memory_transport_pair()

    def make_network(*given: Any) -> Network:
        networks.append(Network(*given))
        return networks[-1]

    monkeypatch.setattr(trio_messenger.testing, "memory_transport_pair", lambda: pair)
    monkeypatch.setattr(trio_messenger.testing, "Network", make_network)
    with trio.move_on_after(5), suppress(Exception):
        async with running(node):
            if how == "exception":
                raise ValueError("of the test")
            if how == "cancellation":
                await trio.sleep_forever()
    [network] = networks
    with pytest.raises(trio.ClosedResourceError):
        await network.receive()
    with pytest.raises(trio.ClosedResourceError):
        network._sent_by_node.send_nowait(Message("n1", "c1", {}))
    for end in pair:
        with pytest.raises(trio.ClosedResourceError):
            await end.send([b"{}"])
        with pytest.raises(trio.ClosedResourceError):
            await end._receive_channel.receive()


async def test_a_leak_is_told() -> None:
    """An RPC that is pending is one too many."""
    node = build()
    async with running(node) as network:
        node.rpc_callback("n2", {"type": "echo", "echo": 1}, lambda _: None, timeout=math.inf)
        await network.receive()
        with pytest.raises(AssertionError, match=r"^1 RPCs are pending; 1 began, 0 ended: statistics: received=1 "):
            assert_no_rpc_leaked(node)
    assert_no_rpc_leaked(node)
