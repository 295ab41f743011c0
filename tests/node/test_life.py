"""The life of a node: what it knows of itself and of the time, and what it leaves behind."""

from __future__ import annotations

import gc
import math
import random
import time
import warnings
from collections.abc import Callable

import pytest
import trio
from support.echo_node import ASK, INIT_BODY, INIT_OK, echo_node, error
from support.far_away import FarAway
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Identity, Node, Request, RpcTimeout
from trio_messenger.testing import running
from trio_messenger.transports.memory import memory_transport_pair

# What a node knows of itself


async def test_node_learns_who_it_is() -> None:
    """init tells the id and the peers, the node's own id left out, in the order of the message."""
    node = Node()
    async with running(node, init=False) as network:
        await network.send("c0", INIT_BODY)
        message = await network.receive()
        assert (message.src, message.dest, message.body) == ("n1", "c0", INIT_OK)
        assert node.id == "n1"
        assert node.peers == ("n3", "n2")
        assert node.identity == Identity("n1", ("n3", "n1", "n2"))


async def test_node_does_not_know_itself_before_init() -> None:
    """id, peers and identity raise RuntimeError before init, and nothing is pending."""
    node = Node()
    text = r"^the node has no id before 'init'; use on_init to act as soon as it has one$"
    async with running(node, init=False) as network:
        await network.receive_nothing()
        with pytest.raises(RuntimeError, match=text):
            _ = node.id
        with pytest.raises(RuntimeError, match=text):
            _ = node.peers
        with pytest.raises(RuntimeError, match=text):
            _ = node.identity
    assert len(node.pending) == 0


def test_random_numbers_are_seeded() -> None:
    """Two nodes with one seed draw the same numbers, and those of ``random.Random`` with that seed."""
    drawn = [Node(seed=7).random.random() for _ in range(2)]
    assert drawn == [random.Random(7).random()] * 2
    assert Node().random.random() != Node().random.random()


async def test_pending_shows_the_records() -> None:
    """node.pending is a collection of the records, oldest first, with destination, number and times."""
    node = Node()
    async with running(node):
        now = trio.current_time()
        node.rpc_callback("n2", ASK, lambda _: None, timeout=math.inf)
        node.rpc_callback("n3", ASK, lambda _: None, timeout=math.inf)
        first, second = node.pending
        assert (first.dest, first.msg_id, first.deadline) == ("n2", 1, math.inf)
        assert (second.dest, second.msg_id) == ("n3", 2)
        assert first.sent_at >= now
        assert first in node.pending


# Once only


async def test_node_serves_once() -> None:
    """A second serve() is a RuntimeError, while the first runs and after it."""
    node = Node()
    text = r"^this node has served already; make a new node, as a restarted process does$"
    there, here = memory_transport_pair()
    async with there, here:
        async with running(node) as network:
            with pytest.raises(RuntimeError, match=text):
                await node.serve(there)
            await network.receive_nothing()
        with pytest.raises(RuntimeError, match=text):
            await node.serve(there)


# The time of day


async def test_time_of_day_is_that_of_the_transport(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's before the node serves; from then on that of the transport, and of the one put around it."""
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    node, there_too = Node(), Node(wrap_transport=FarAway)
    assert (node.wall_time(), there_too.wall_time()) == (1234.5, 1234.5)
    transport, _ = memory_transport_pair()
    world = FarAway(transport)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, world)
        await trio.sleep(0.5)
        assert node.wall_time() == FarAway.MIDNIGHT + 0.5
        world.ahead = -3600.0
        assert node.wall_time() == FarAway.MIDNIGHT + 0.5 - 3600.0
        node.shutdown()
    async with running(there_too):
        assert there_too.wall_time() == FarAway.MIDNIGHT + 0.5
    assert there_too.wall_time() == FarAway.MIDNIGHT + 0.5


async def test_time_of_day_is_this_machines_unless_the_transport_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A transport that knows nothing of clocks has that of the machine."""
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    node = Node()
    async with running(node):
        assert node.wall_time() == 1234.5


# Strict mode at the end


async def test_strict_callbacks_that_raise_do_not_keep_others_from_being_called() -> None:
    """In strict mode, too, closing calls each callback exactly once, and closes the node, whatever they raise."""
    node = Node(strict=True)
    called: list[int] = []

    def callback_of(n: int) -> Callable[[object], None]:
        def callback(outcome: object) -> None:
            called.append(n)
            raise ValueError(n)

        return callback

    async def serve_and_leave() -> None:
        async with running(node):
            for n in range(4):
                node.rpc_callback("n2", ASK, callback_of(n))

    with pytest.raises(ExceptionGroup) as caught:
        await serve_and_leave()
    assert caught.value.split(ValueError)[1] is None
    assert sorted(called) == [0, 1, 2, 3]
    with pytest.raises(trio.ClosedResourceError):
        node.send_nowait("n2", ASK)


# Nothing left behind


async def test_node_leaves_no_warning_behind() -> None:
    """A node that never served, and one that did, go without a ResourceWarning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Node()
        node = echo_node()
        async with running(node) as network:
            node.rpc_callback("n2", ASK, lambda _: None)
            await network.receive()
        del node, network
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_idle_node_never_wakes(autojump_clock: MockClock) -> None:
    """With nothing pending no task of the node runs, however long: virtual time gets there in one jump."""
    woken: list[str] = []

    class Watch(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            woken.append(task.name)

    async with running(Node()):
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(watch := Watch())
        await trio.sleep(3600)
        trio.lowlevel.remove_instrument(watch)
    assert woken == [trio.lowlevel.current_task().name]


async def test_handler_that_lets_a_timeout_pass_answers_error_0(autojump_clock: MockClock) -> None:
    """The RpcTimeout of a handler's RPC is relayed as error 0 with its text, at the deadline."""
    node = Node()

    @node.on("ask")
    async def ask(request: Request) -> Body:
        with pytest.raises(RpcTimeout):
            await node.rpc("n3", ASK, timeout=0.25)
        return await node.rpc("n2", ASK, timeout=0.5)

    async with running(node) as network:
        start = trio.current_time()
        await network.send("c1", {"type": "ask", "msg_id": 1})
        await network.receive()
        await network.receive()
        assert (await network.receive()).body == error(0, "no reply from 'n2' to msg_id 2 within 0.5 s", 1, 3)
        assert trio.current_time() == start + 0.75
