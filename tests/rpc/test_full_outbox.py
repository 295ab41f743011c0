"""Calls while the outbox is full."""

from __future__ import annotations

import pytest
import trio
from support.lines import line
from support.rpc_recorder import ASK, Recorder
from support.slow_reader import fill_outbox, slow_reader
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Node, Request
from trio_messenger.testing import assert_no_rpc_leaked, running


async def test_full_outbox_refuses_what_cannot_wait() -> None:
    """Past the limit send_nowait, rpc_callback and reply_nowait raise WouldBlock; nothing is sent or kept."""
    node = Node(outbox_limit=1)
    requests: list[Request] = []
    node.on("keep")(requests.append)
    recorder = Recorder()
    async with running(node) as network:
        await network.send("c1", {"type": "keep", "msg_id": 1})
        await network.receive_nothing()
        node.send_nowait("n2", {"type": "filler"})
        text = r"^the outbox has reached its limit of 1 bytes; await the async method instead$"
        with pytest.raises(trio.WouldBlock, match=text):
            node.send_nowait("n2", ASK)
        with pytest.raises(trio.WouldBlock, match=text):
            node.rpc_callback("n2", ASK, recorder)
        with pytest.raises(trio.WouldBlock, match=text):
            node.reply_nowait(requests[0], {})
        assert len(node.pending) == 0
        assert node.stats.rpcs == 0
        assert (await network.receive()).body == {"type": "filler", "msg_id": 1}
        await network.receive_nothing()
        node.reply_nowait(requests[0], {})
        assert (await network.receive()).body == {"type": "keep_ok", "in_reply_to": 1, "msg_id": 2}
    assert recorder.outcomes == []


async def test_senders_wait_for_room() -> None:
    """send(), rpc() and reply() wait while the outbox is full, and go on in turn as the peer reads."""
    node = Node(outbox_limit=1)
    requests: list[Request] = []
    node.on("keep")(requests.append)
    async with slow_reader(node) as reader:
        await reader.send(line({"type": "keep", "msg_id": 1}))
        await wait_all_tasks_blocked()
        await fill_outbox(node)
        reader.nursery.start_soon(node.send, "n2", {"type": "news"})
        reader.nursery.start_soon(node.rpc, "n2", ASK)
        reader.nursery.start_soon(node.reply, requests[0], {})
        await wait_all_tasks_blocked()
        assert node.stats.sent == 3  # init_ok, and what fills the outbox
        assert node.stats.rpcs == 0
        types = [(await reader.receive())[0].body["type"] for _ in range(5)]
        assert types[:2] == ["first", "second"]
        assert sorted(types[2:]) == ["ask", "keep_ok", "news"]
        await reader.send(line({"type": "ask_ok", "in_reply_to": next(iter(node.pending)).msg_id}, src="n2"))
        await wait_all_tasks_blocked()
        assert await reader.receive_rest() == []
    assert_no_rpc_leaked(node)


async def test_peer_that_does_not_read_stops_the_node_from_taking_more() -> None:
    """While nobody reads what the node sends, it stops taking requests, and the sender waits; when the reader goes
    on, every request is answered, in order."""
    node = Node(outbox_limit=1000)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    total = 2000
    sent = 0
    answers: list[int] = []
    async with slow_reader(node, batches=1) as reader:

        async def flood() -> None:
            nonlocal sent
            for n in range(total):
                await reader.send(line({"type": "echo", "msg_id": n, "echo": n}))
                sent = n + 1
            reader.send_eof()

        reader.nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        assert sent < 50
        assert node.stats.received < 50
        async for batch in reader.transport:
            answers += [message.body["echo"] for message in batch]
    assert answers == list(range(total))
    assert node.stats.sent == total + 1
