"""rpc_all and rpc_quorum: when they return, what they say, and that what is not wanted any more is dropped."""

from __future__ import annotations

import copy
import math
import pickle
import re
from typing import Any

import pytest
import trio
import trio.testing
from support.scripted_peers import OK, error, scripted
from support.slow_reader import fill_outbox, slow_reader
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Gathered, LocalProtocolError, Node, QuorumNotReached, RpcError, RpcTimeout
from trio_messenger.testing import Network, assert_no_rpc_leaked, running

ASK = {"type": "ask"}
NODES = ["n2", "n3", "n4"]


def reply_to(msg_id: int) -> dict[str, Any]:
    return {"type": "ask_ok", "in_reply_to": msg_id}


# All


async def test_all_replies_by_node(autojump_clock: MockClock) -> None:
    """Each node is sent the body at once, with a number of its own, and its whole reply is found under its id."""
    node = Node()
    body = {"type": "ask", "x": 1, "msg_id": 70}
    async with (
        running(node) as network,
        scripted(network, [(0.5, OK)], [(0.25, {"y": 2, **OK})], [(1.0, OK)]) as script,
    ):
        gathered = await node.rpc_all(NODES, body)
        assert trio.current_time() == 1.0
        assert gathered.replies == {"n2": reply_to(1), "n3": {"y": 2, **reply_to(2)}, "n4": reply_to(3)}
        assert gathered.errors == {}
        assert script.times == [0.0, 0.0, 0.0]
        assert [(request.dest, request.body) for request in script.requests] == [
            (dest, {"type": "ask", "x": 1, "msg_id": number}) for number, dest in enumerate(NODES, start=1)
        ]
    assert body == {"type": "ask", "x": 1, "msg_id": 70}
    assert_no_rpc_leaked(node)
    assert (node.stats.answered, node.stats.rpcs) == (3, 3)


@pytest.mark.parametrize("need", [None, 2])
async def test_no_node_answers_for_another(need: int | None, autojump_clock: MockClock) -> None:
    """A reply from one of the nodes to what another one was asked counts for neither."""
    node = Node()
    gathered: list[Gathered[Body]] = []

    async def ask() -> None:
        if need is None:
            gathered.append(await node.rpc_all(NODES[:2], ASK))
        else:
            gathered.append(await node.rpc_quorum(NODES[:2], ASK, need=need))

    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        first, second = [await network.receive() for _ in range(2)]
        for request in (first, second):
            for wrong in {*NODES} - {request.dest}:
                await network.send(wrong, {"type": "ask_ok", "in_reply_to": request.body["msg_id"]})
        await wait_all_tasks_blocked()
        assert (gathered, node.stats.foreign_replies) == ([], 4)
        for request in (first, second):
            await network.reply(request, OK)
    assert gathered[0].replies == {"n2": reply_to(1), "n3": reply_to(2)}
    assert_no_rpc_leaked(node)


async def test_replies_are_in_the_order_in_which_they_came(autojump_clock: MockClock) -> None:
    """The first of the replies is the fastest."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.5, OK)], [(0.25, OK)], [(1.0, OK)]):
        assert list((await node.rpc_all(NODES, ASK)).replies) == ["n3", "n2", "n4"]


async def test_errors_and_timeouts_are_told_not_raised(autojump_clock: MockClock) -> None:
    """A node that fails is among the errors, the one that is silent with a RpcTimeout; the call lasts until then."""
    node = Node(definite_codes=[1001])
    async with running(node) as network, scripted(network, [(0.25, error(1001, "full"))], [], [(0.125, OK)]):
        gathered = await node.rpc_all(NODES, ASK, timeout=0.5)
        assert trio.current_time() == 0.5
        assert gathered.replies == {"n4": reply_to(3)}
        assert list(gathered.errors) == ["n2", "n3"]
        refused, silent = gathered.errors.values()
        assert (refused.code, refused.text, refused.definite) == (1001, "full", True)
        assert isinstance(silent, RpcTimeout)
        assert (silent.dest, silent.msg_id, silent.seconds) == ("n3", 2, 0.5)
    assert_no_rpc_leaked(node)
    assert (node.stats.answered, node.stats.reaped, node.stats.abandoned) == (2, 1, 0)


async def test_timeout_is_by_default_that_of_the_node(autojump_clock: MockClock) -> None:
    """Where the call does not say otherwise, each node is waited for as long as the node's rpc_timeout."""
    node = Node(rpc_timeout=0.25)
    async with running(node) as network, scripted(network):
        assert list((await node.rpc_all(NODES, ASK)).errors) == NODES
        assert trio.current_time() == 0.25
        with pytest.raises(QuorumNotReached):
            await node.rpc_quorum(NODES, ASK, need=1)
        assert trio.current_time() == 0.5
        await node.rpc_all(NODES, ASK, timeout=0.0)
        assert trio.current_time() == 0.5
    assert_no_rpc_leaked(node)


async def test_asking_nobody_answers_at_once() -> None:
    """Without nodes there is nothing to wait for, and nothing is sent; it is a checkpoint all the same."""
    node = Node()
    async with running(node) as network:
        with trio.testing.assert_checkpoints():
            assert await node.rpc_all([], ASK, timeout=math.inf) == Gathered(replies={}, errors={})
        with trio.testing.assert_checkpoints():
            assert await node.rpc_quorum([], ASK, need=0, timeout=math.inf) == Gathered()
        await network.receive_nothing()
    assert node.stats.rpcs == 0


async def test_dests_may_be_any_iterable(autojump_clock: MockClock) -> None:
    """A generator of ids is as good as a list."""
    node = Node()
    async with running(node) as network, scripted(network, *[[(0, OK)]] * 4):
        assert set((await node.rpc_all((n for n in ("n2", "n3")), ASK)).replies) == {"n2", "n3"}
        assert set((await node.rpc_quorum(iter(node.peers), ASK, need=2)).replies) == {"n2", "n3"}


# A quorum


async def test_quorum_returns_with_the_last_reply_needed(autojump_clock: MockClock) -> None:
    """As soon as enough have replied the call returns and drops the other records; their replies are late."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.5, OK)], [(0.25, OK)], [(1.0, OK)]):
        gathered = await node.rpc_quorum(NODES, ASK, need=2)
        assert trio.current_time() == 0.5
        assert len(node.pending) == 0
        assert gathered == Gathered(replies={"n3": reply_to(2), "n2": reply_to(1)}, errors={})
        assert list(gathered.replies) == ["n3", "n2"]
        assert (node.stats.answered, node.stats.abandoned, node.stats.late_replies) == (2, 1, 0)
        await trio.sleep(1)
        assert node.stats.late_replies == 1
    assert_no_rpc_leaked(node)


async def test_quorum_tells_errors_that_came_before_it(autojump_clock: MockClock) -> None:
    """An error is no reply, but does not hinder a quorum of the others; it is told with them."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.25, error(11, "busy"))], [(0.5, OK)], [(0.75, OK)]):
        gathered = await node.rpc_quorum(NODES, ASK, need=2)
        assert trio.current_time() == 0.75
        assert list(gathered.replies) == ["n3", "n4"]
        assert [(dest, exc.code) for dest, exc in gathered.errors.items()] == [("n2", 11)]
    assert_no_rpc_leaked(node)


async def test_replies_that_come_together_make_no_more_than_the_quorum() -> None:
    """Of replies that come in one batch the call returns as many as are needed, and the others are no leak."""
    node = Node()
    async with running(node) as network, trio.open_nursery() as nursery:
        gathered: list[Gathered[Body]] = []

        async def call() -> None:
            gathered.append(await node.rpc_quorum(NODES, ASK, need=2, timeout=math.inf))

        nursery.start_soon(call)
        requests = [await network.receive() for _ in NODES]
        await network.send_bytes(
            b"".join(
                b'{"src": "%s", "dest": "n1", "body": {"type": "ask_ok", "in_reply_to": %d}}\n'
                % (request.dest.encode(), request.body["msg_id"])
                for request in requests
            )
        )
        await wait_all_tasks_blocked()
        assert [list(each.replies) for each in gathered] == [["n2", "n3"]]
    assert_no_rpc_leaked(node)
    assert node.stats.answered == 3


async def test_quorum_that_cannot_be_reached_any_more_fails_at_once(autojump_clock: MockClock) -> None:
    """When too many have failed for the rest to suffice, the call does not wait for the rest."""
    node = Node()
    async with (
        running(node) as network,
        scripted(network, [(0.25, OK)], [(0.5, error(11, "busy"))], [(1.0, error(20, "gone"))], [(5.0, OK)]),
    ):
        with pytest.raises(QuorumNotReached) as caught:
            await node.rpc_quorum([*NODES, "n5"], ASK, need=3, timeout=8)
        assert trio.current_time() == 1.0
        assert len(node.pending) == 0
        assert node.stats.abandoned == 1
        await trio.sleep(5)
        assert node.stats.late_replies == 1
    failed = caught.value
    text = "1 of the 3 replies needed; n3: temporarily-unavailable (11): busy; n4: key-does-not-exist (20): gone"
    for each in (failed, copy.copy(failed), pickle.loads(pickle.dumps(failed))):
        assert type(each) is QuorumNotReached
        assert (each.need, each.replies) == (3, {"n2": reply_to(1)})
        assert [(dest, exc.code, exc.text) for dest, exc in each.errors.items()] == [
            ("n3", 11, "busy"),
            ("n4", 20, "gone"),
        ]
        assert (each.code, each.definite) == (0, False)
        assert str(each) == each.text == text
    assert_no_rpc_leaked(node)


async def test_timeouts_make_a_quorum_impossible(autojump_clock: MockClock) -> None:
    """Nodes that stay silent fail a quorum when their time is up, together."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.25, OK)]):
        with pytest.raises(
            QuorumNotReached,
            match=r"^1 of the 2 replies needed; n[34]: no reply from 'n[34]' to msg_id [23] within 0.5 s",
        ):
            await node.rpc_quorum(NODES, ASK, need=2, timeout=0.5)
        assert trio.current_time() == 0.5
    assert_no_rpc_leaked(node)


async def test_quorum_of_all_fails_with_the_first_error(autojump_clock: MockClock) -> None:
    """Where every node is needed, one error decides."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.5, OK)], [(0.25, error(13))], [(0.75, OK)]):
        with pytest.raises(QuorumNotReached, match=r"^0 of the 3 replies needed; n3: crash \(13\): no$"):
            await node.rpc_quorum(NODES, ASK, need=3)
        assert trio.current_time() == 0.25
    assert_no_rpc_leaked(node)


async def test_quorum_of_all_waits_for_all(autojump_clock: MockClock) -> None:
    """Where every node is needed, the slowest one decides."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.5, OK)], [(0.25, OK)], [(0.75, OK)]):
        assert len((await node.rpc_quorum(NODES, ASK, need=3)).replies) == 3
        assert trio.current_time() == 0.75
    assert_no_rpc_leaked(node)


async def test_quorum_of_none_sends_and_does_not_wait(autojump_clock: MockClock) -> None:
    """With a need of 0 every node is told, none is waited for, and no record stays."""
    node = Node()
    async with running(node) as network, scripted(network, *[[(0, OK)]] * 3) as script:
        assert await node.rpc_quorum(NODES, ASK, need=0) == Gathered()
        assert len(node.pending) == 0
        await trio.sleep(1)
        assert (len(script.requests), node.stats.late_replies) == (3, 3)
    assert_no_rpc_leaked(node)


# Refused before anything is sent


@pytest.mark.parametrize("need", [4, -1])
async def test_need_that_cannot_be_is_refused(need: int) -> None:
    """A need beyond the number of nodes, or below 0, raises before anything is sent."""
    node = Node()
    async with running(node) as network:
        with pytest.raises(ValueError, match=rf"^need is {need}, of 3 nodes; give 0 to 3$"):
            await node.rpc_quorum(NODES, ASK, need=need)
        await network.receive_nothing()
    assert node.stats.rpcs == 0


async def test_node_named_twice_is_refused() -> None:
    """Replies are found by node, so each may be asked once only; the text names the one that is there twice."""
    node = Node()
    text = r"^'n3' is asked more than once; give each node once$"
    async with running(node) as network:
        with pytest.raises(ValueError, match=text):
            await node.rpc_all(["n2", "n3", "n4", "n3"], ASK)
        with pytest.raises(ValueError, match=text):
            await node.rpc_quorum(["n3", "n2", "n3"], ASK, need=1)
        await network.receive_nothing()
    assert node.stats.rpcs == 0


@pytest.mark.parametrize(
    ("body", "timeout", "exception", "text"),
    [
        ({"x": 1}, None, LocalProtocolError, r"a body needs a 'type' that is a string: \{'x': 1\}"),
        (
            {"type": "ask", "x": math.nan},
            None,
            LocalProtocolError,
            r"JSON has no number nan, found at body\.x; use null or a string instead",
        ),
        (ASK, -1, ValueError, "the timeout of an RPC is -1 s; give 0 or more, or math.inf to wait forever"),
    ],
)
async def test_what_cannot_be_sent_leaves_no_record(
    body: object, timeout: float | None, exception: type[Exception], text: str
) -> None:
    """A body that JSON cannot carry raises; nothing was sent to any node, and no record stays for any."""
    node = Node()
    async with running(node) as network:
        with pytest.raises(exception, match=f"^{text}$"):
            await node.rpc_all(NODES, body, timeout=timeout)
        with pytest.raises(exception, match=f"^{text}$"):
            await node.rpc_quorum(NODES, body, need=1, timeout=timeout)
        assert len(node.pending) == 0
        await network.receive_nothing()
    assert_no_rpc_leaked(node)


async def test_dest_that_is_no_id_leaves_no_record() -> None:
    """One dest that is no string raises LocalProtocolError, and no record stays for the others."""
    node = Node()
    dests: list[Any] = ["n2", 7, "n3"]
    async with running(node):
        with pytest.raises(LocalProtocolError, match=r"^dest is the id of a node, a string, not 7$"):
            await node.rpc_all(dests, ASK, timeout=math.inf)
        assert len(node.pending) == 0
    assert_no_rpc_leaked(node)


async def test_dest_that_is_no_id_keeps_all_from_being_sent() -> None:
    """LocalProtocolError says that nothing was sent, so with one bad dest the others are not asked either."""
    node = Node()
    dests: list[Any] = ["n2", 7, "n3"]
    async with running(node) as network:
        with pytest.raises(LocalProtocolError):
            await node.rpc_all(dests, ASK)
        await network.receive_nothing()


async def test_dest_with_half_a_character_keeps_all_from_being_sent() -> None:
    """A name with half of a surrogate pair is the id of no node: none is asked, and no record stays."""
    node = Node()
    text = re.escape(r"dest '\ud800' is not valid text: 'utf-8' codec can't encode character '\ud800' in position 0: ")
    async with running(node) as network:
        with pytest.raises(LocalProtocolError, match=f"^{text}surrogates not allowed$"):
            await node.rpc_all(["n2", "\ud800", "n3"], ASK)
        with pytest.raises(LocalProtocolError, match=f"^{text}surrogates not allowed$"):
            await node.rpc_quorum(["n2", "n3", "\ud800"], ASK, need=1)
        await network.receive_nothing()
    assert node.stats.rpcs == 0


# Other ways out


async def test_closing_ends_the_call(autojump_clock: MockClock) -> None:
    """When the node closes the call ends at once with ClosedResourceError, though some have replied."""
    for call in ("all", "quorum"):
        node = Node()
        start = trio.current_time()
        async with running(node) as network, scripted(network, [(0.25, OK)]):
            with pytest.RaisesGroup(
                pytest.RaisesExc(
                    trio.ClosedResourceError, match=r"^the node closed before 'n[34]' replied to msg_id [23]$"
                )
            ):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send_eof_after, network, 0.5)
                    if call == "all":
                        await node.rpc_all(NODES, ASK)
                    else:
                        await node.rpc_quorum(NODES, ASK, need=2)
            assert trio.current_time() == start + 0.5
        assert node.stats.closed == 2
        assert_no_rpc_leaked(node)


async def send_eof_after(network: Network, seconds: float) -> None:
    await trio.sleep(seconds)
    network.send_eof()


async def test_closed_node_asks_nobody() -> None:
    """On a node that is closed both calls raise ClosedResourceError at once."""
    node = Node()
    async with running(node):
        pass
    text = r"^the node is closed and sends no more RPCs$"
    with pytest.raises(trio.ClosedResourceError, match=text):
        await node.rpc_all(NODES, ASK)
    with pytest.raises(trio.ClosedResourceError, match=text):
        await node.rpc_quorum(NODES, ASK, need=1)
    assert_no_rpc_leaked(node)


async def test_nobody_is_asked_before_init() -> None:
    """A node that has no id yet raises RuntimeError, and no record stays."""
    node = Node()
    async with running(node, init=False):
        with pytest.raises(RuntimeError, match=r"^the node has no id before 'init'; "):
            await node.rpc_all(NODES, ASK)
    assert_no_rpc_leaked(node)


async def test_cancelled_call_leaves_no_record(autojump_clock: MockClock) -> None:
    """A scope that ends while some have replied and some have not ends the call there."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.25, OK)]):
        with trio.move_on_after(0.5) as scope:
            await node.rpc_all(NODES, ASK)
        assert scope.cancelled_caught
        assert len(node.pending) == 0
        assert node.stats.abandoned == 2
    assert_no_rpc_leaked(node)


async def test_requests_wait_for_room_in_the_outbox() -> None:
    """Nothing is registered or sent until the outbox has room; then all requests leave together."""
    node = Node(outbox_limit=1)
    async with slow_reader(node) as reader:
        await fill_outbox(node)
        reader.nursery.start_soon(node.rpc_all, NODES, ASK)
        await wait_all_tasks_blocked()
        assert node.stats.rpcs == 0
        assert [message.body["type"] for message in await reader.receive()] == ["first"]
        assert [message.body["type"] for message in await reader.receive()] == ["second"]
        assert [message.dest for message in await reader.receive()] == NODES
        reader.nursery.cancel_scope.cancel()
    assert_no_rpc_leaked(node)


async def test_errors_of_nodes_are_rpc_errors(autojump_clock: MockClock) -> None:
    """Whatever a node answers with is told as a RpcError, a body without a code, too."""
    node = Node()
    async with running(node) as network, scripted(network, [(0, {"type": "error"})]):
        (exc,) = (await node.rpc_all(["n2"], ASK)).errors.values()
        assert type(exc) is RpcError
        assert str(exc) == "crash (13): the code of an error reply is None, not an integer: "
