"""Replies to nothing, and replies from whoever was not asked."""

from __future__ import annotations

import pytest
import trio
from support.rpc_recorder import ASK, Recorder, both_ways, start_rpc
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Node, RpcTimeout
from trio_messenger.testing import assert_no_rpc_leaked, running

# Replies that match nothing


async def test_stray_replies_are_counted_apart_and_dropped(autojump_clock: MockClock) -> None:
    """A late reply, a second one, and one to nothing each move a counter of their own, and none is answered."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        node.rpc_callback("n2", ASK, recorder)
        request = await network.receive()
        await trio.sleep(2.5)
        await network.reply(request, {"type": "ask_ok", "msg_id": 5})
        node.rpc_callback("n2", ASK, recorder)
        request = await network.receive()
        for _ in range(3):
            await network.reply(request, {"type": "ask_ok", "msg_id": 6})
        for number in (0, -1, 99, 10**30):
            await network.send("n2", {"type": "ask_ok", "in_reply_to": number, "msg_id": 7})
        await network.send("n2", {"type": "error", "code": 10, "in_reply_to": 99, "msg_id": 8})
        await network.receive_nothing()
    assert node.stats.late_replies == 1
    assert node.stats.duplicate_replies == 2
    assert node.stats.unknown_replies == 5
    assert node.stats.stray_errors == 0
    assert len(recorder.outcomes) == 2
    assert_no_rpc_leaked(node)


# Replies from whoever was not asked


@both_ways
async def test_a_reply_from_another_node_is_dropped_and_the_right_one_taken(
    callback: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A reply from a node that was not asked has a counter of its own; the RPC waits for the one from who was."""
    node = Node()
    async with running(node) as network:
        recorder = Recorder()
        await start_rpc(network, recorder, callback=callback)
        for src in ("n3", "n1", "c1", "N2", "n2 "):
            await network.send(src, {"type": "ask_ok", "whose": src, "in_reply_to": 1, "msg_id": 7})
        for _ in range(6):
            await network.send("n3", {"type": "error", "code": 10, "in_reply_to": 1, "msg_id": 8})
        await wait_all_tasks_blocked()
        assert (len(node.pending), recorder.outcomes) == (1, [])
        await network.send("n2", {"type": "ask_ok", "whose": "n2", "in_reply_to": 1, "msg_id": 9})
        await wait_all_tasks_blocked()
        assert [outcome["whose"] for outcome in recorder.outcomes if isinstance(outcome, dict)] == ["n2"]
        await network.send("n3", {"type": "ask_ok", "in_reply_to": 1, "msg_id": 10})
        await wait_all_tasks_blocked()
    assert node.stats.counters() == {
        "received": 14,
        "sent": 2,
        "rpcs": 1,
        "answered": 1,
        "foreign_replies": 11,
        "duplicate_replies": 1,  # whom an RPC was sent to is forgotten when it has ended
    }
    assert "dropped a reply to msg_id 1 from 'n3', which had been sent to 'n2' (1 so far)" in caplog.text
    assert caplog.text.count("which had been sent to") == 10  # and then ever more rarely
    assert_no_rpc_leaked(node)


@both_ways
async def test_a_reply_from_another_node_does_not_keep_an_rpc_from_expiring(
    callback: bool, autojump_clock: MockClock
) -> None:
    """If the right reply never comes, the RPC ends at its deadline, whatever others have said."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        await start_rpc(network, recorder, callback=callback)
        await network.send("n3", {"type": "ask_ok", "in_reply_to": 1})
        await trio.sleep(3)
    assert [type(outcome) for outcome in recorder.outcomes] == [RpcTimeout]
    assert recorder.times == [2.0]
    assert (node.stats.reaped, node.stats.foreign_replies) == (1, 1)
    assert_no_rpc_leaked(node)


async def test_a_node_may_ask_itself() -> None:
    """A reply that a node sends to itself comes from the node that was asked."""
    node = Node()
    recorder = Recorder()
    async with running(node) as network:
        node.rpc_callback("n1", ASK, recorder)
        await network.reply(await network.receive(), {"type": "ask_ok"})
        await wait_all_tasks_blocked()
    assert recorder.outcomes == [{"type": "ask_ok", "in_reply_to": 1}]
