"""The messenger node: messages that make it ask others, leaked, awaited, in batches and again."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from support.messenger import ECHO, error, keys, send
from trio.testing import MockClock

from trio_messenger import Body, Message
from trio_messenger.nodes.messenger import build
from trio_messenger.testing import Network, assert_no_rpc_leaked, running

LOST = {"type": "echo", "echo": "lost"}


async def receive_rpc(network: Network, dest: str = "n2") -> Message:
    """Return the next message, which is to be a request of the node to *dest*."""
    message = await network.receive()
    assert (message.src, message.dest) == ("n1", dest)
    assert "in_reply_to" not in message.body
    return message


# Leaked and awaited RPCs


async def fire(network: Network, pending: int, msg_id: int) -> None:
    """Have the messenger leak one RPC to n2."""
    await network.send("c1", {"type": "send_fire_forget", "msg_id": 50, "target": "n2", "payload": LOST})
    message = await network.receive()
    assert (message.src, message.dest) == ("n1", "n2")
    assert list(message.body.items()) == [("type", "echo"), ("echo", "lost"), ("msg_id", msg_id)]
    reply = (await network.receive()).body
    assert list(reply.items()) == [
        ("type", "send_fire_forget_ok"),
        ("pending", pending),
        ("in_reply_to", 50),
        ("msg_id", msg_id + 1),
    ]


def stats_reply(in_reply_to: int, msg_id: int, **fields: int) -> list[tuple[str, object]]:
    return [("type", "reaper_stats_ok"), *fields.items(), ("in_reply_to", in_reply_to), ("msg_id", msg_id)]


async def test_leaked_rpcs_are_reaped_after_two_seconds(
    mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A leaked RPC is pending up to 2 s after it was sent and gone at 2 s, as pending_count and reaper_stats show;
    its reply, when it comes at last, is counted as late."""
    node = build()
    async with running(node) as network:
        reply = await network.request("reaper_stats")
        nothing = {"pending": 0, "sent": 0, "answered": 0, "reaped": 0, "late_replies": 0, "oldest_age_ms": 0}
        assert list(reply.items()) == stats_reply(1, 1, **nothing)
        await fire(network, pending=1, msg_id=2)
        mock_clock.jump(0.5)
        await fire(network, pending=2, msg_id=4)
        mock_clock.jump(1.25)
        assert (await network.request("pending_count"))["count"] == 2
        reply = await network.request("reaper_stats")
        assert list(reply.items()) == stats_reply(
            3, 7, pending=2, sent=2, answered=0, reaped=0, late_replies=0, oldest_age_ms=1750
        )
        assert caplog.messages == []
        mock_clock.jump(0.25)
        await network.receive_nothing()
        assert (await network.request("pending_count"))["count"] == 1
        assert caplog.messages == ["RPCs reaped without reply: 1; still pending: 1"]
        mock_clock.jump(0.5)
        await network.receive_nothing()
        await network.send("n2", {"type": "echo_ok", "echo": "lost", "in_reply_to": 2, "msg_id": 0})
        reply = await network.request("reaper_stats")
        assert list(reply.items()) == stats_reply(
            5, 9, pending=0, sent=2, answered=0, reaped=2, late_replies=1, oldest_age_ms=0
        )
    assert_no_rpc_leaked(node)


async def test_answered_rpc_is_no_leak(autojump_clock: MockClock) -> None:
    """A reply, though nobody awaits it, takes the RPC out, and nothing is reaped later."""
    node = build()
    async with running(node) as network:
        await fire(network, pending=1, msg_id=1)
        await network.send("n2", {"type": "echo_ok", "echo": "lost", "in_reply_to": 1, "msg_id": 0})
        assert (await network.request("pending_count"))["count"] == 0
        await trio.sleep(3)
        reply = await network.request("reaper_stats")
        assert (reply["answered"], reply["reaped"], reply["pending"]) == (1, 0, 0)
    assert_no_rpc_leaked(node)


async def test_proxy_relays_the_whole_reply() -> None:
    """proxy asks the target and answers with the whole body of its reply as result."""
    node = build()
    async with running(node) as network:
        inner = {"type": "read", "key": "k", "msg_id": 70, "in_reply_to": 71}
        await network.send("c1", {"type": "proxy", "msg_id": 8, "target": "lin-kv", "inner": inner})
        request = await network.receive()
        assert request.dest == "lin-kv"
        assert list(request.body.items()) == [("type", "read"), ("key", "k"), ("msg_id", 1)]
        await network.reply(request, {"type": "read_ok", "value": 3, "msg_id": 4})
        assert list((await network.receive()).body.items()) == [
            ("type", "proxy_ok"),
            ("result", {"type": "read_ok", "value": 3, "msg_id": 4, "in_reply_to": 1}),
            ("in_reply_to", 8),
            ("msg_id", 2),
        ]
    assert_no_rpc_leaked(node)


async def test_proxy_times_out_after_one_second(autojump_clock: MockClock) -> None:
    """Without a reply, proxy answers error 0 exactly 1 s after it asked."""
    node = build()
    async with running(node) as network:
        start = trio.current_time()
        await network.send("c1", {"type": "proxy", "msg_id": 8, "target": "n2", "inner": LOST})
        await network.receive()
        reply = (await network.receive()).body
        assert trio.current_time() == start + 1.0
        text = "no reply from 'n2' to msg_id 1 within 1 s"
        assert reply == {"type": "error", "code": 0, "text": text, "in_reply_to": 8, "msg_id": 2}
    assert_no_rpc_leaked(node)


async def test_proxy_relays_errors() -> None:
    """When the target answers with an error, so does proxy, with the same code and text."""
    async with running(build()) as network:
        await network.send("c1", {"type": "proxy", "msg_id": 8, "target": "n2", "inner": LOST})
        await network.reply(await network.receive(), {"type": "error", "code": 1017, "text": "sold out"})
        reply = (await network.receive()).body
        assert reply == {"type": "error", "code": 1017, "text": "sold out", "in_reply_to": 8, "msg_id": 2}


async def test_target_that_does_not_exist_is_for_the_network_to_know(autojump_clock: MockClock) -> None:
    """A target that is in no node_ids is asked all the same."""
    async with running(build()) as network:
        await network.send("c1", {"type": "proxy", "msg_id": 8, "target": "nowhere", "inner": LOST})
        assert (await network.receive()).dest == "nowhere"
        assert (await network.receive()).body["code"] == 0


async def test_two_messengers_talk(autojump_clock: MockClock) -> None:
    """Two messengers, joined through a network, proxy each other's echo."""
    node = build()
    async with running(node) as one, running(build()) as other:
        await one.send("c1", {"type": "proxy", "msg_id": 8, "target": "n2", "inner": {"type": "echo", "echo": "hi"}})
        request = await one.receive()
        await other.send("n1", request.body)
        await one.send("n2", (await other.receive()).body)
        assert (await one.receive()).body["result"]["echo"] == "hi"


async def test_leaked_rpc_that_is_answered_with_an_error_is_ended() -> None:
    """An error, though nobody awaits it, ends the RPC as a reply does."""
    async with running(build()) as network:
        await send(network, "send_fire_forget", target="lin-kv", payload={"type": "read", "key": 1})
        rpc = await receive_rpc(network, "lin-kv")
        assert (await network.receive()).body["pending"] == 1
        await network.reply(rpc, {"type": "error", "code": 20})
        stats = await network.request("reaper_stats")
    assert (stats["sent"], stats["answered"], stats["pending"], stats["reaped"]) == (1, 1, 0, 0)


# Many RPCs at once


async def deliver_to_itself(network: Network, count: int) -> list[Message]:
    """Deliver the next *count* messages of the node, which are to be for itself."""
    messages = [await network.receive() for _ in range(count)]
    for message in messages:
        assert (message.src, message.dest) == ("n1", "n1")
        await network.send("n1", message.body)
    return messages


async def test_batch_echo_goes_through_the_network() -> None:
    """One echo for each value leaves the node, each reply leaves it too, and the results come in the values' order."""
    values: list[Any] = [3, None, {"a": 1}, [], 3]
    node = build()
    async with running(node) as network:
        await send(network, "batch_echo", values=values)
        requests = await deliver_to_itself(network, 5)
        assert [message.body for message in requests] == [
            {"type": "echo", "echo": value, "msg_id": number} for number, value in enumerate(values, start=1)
        ]
        replies = [await network.receive() for _ in values]
        assert [reply.body["type"] for reply in replies] == ["echo_ok"] * 5
        for reply in reversed(replies):
            await network.receive_nothing()
            await network.send("n1", reply.body)
        done = await network.receive()
    assert done.dest == "c1"
    assert keys(done.body, "batch_echo_ok") == ["results"]
    assert done.body["results"] == values
    assert_no_rpc_leaked(node)


async def test_batch_echo_of_nothing_is_answered_at_once() -> None:
    """Without values there is nothing to wait for, nor to send."""
    async with running(build()) as network:
        assert (await network.request("batch_echo", values=[]))["results"] == []
        await network.receive_nothing()


async def test_batch_echo_fails_if_one_echo_does(autojump_clock: MockClock) -> None:
    """If an echo is lost, the request is answered with its timeout once all callbacks have run."""
    node = build()
    async with running(node) as network:
        await send(network, "batch_echo", values=["a", "b", "c"])
        messages = [await network.receive() for _ in range(3)]
        for message in (messages[0], messages[2]):
            await network.send("n1", message.body)
            await network.send("n1", (await network.receive()).body)
        reply = (await network.receive()).body
        assert trio.current_time() == 2.0
    assert error(reply) == (0, "no reply from 'n1' to msg_id 2 within 2 s")
    assert_no_rpc_leaked(node)


async def test_batch_echo_passes_an_error_of_an_echo_on() -> None:
    """An echo that is answered with an error makes the batch fail with it, after the others are done."""
    async with running(build()) as network:
        await send(network, "batch_echo", values=["a", "b"])
        first, second = await network.receive(), await network.receive()
        await network.send("n1", {"type": "error", "code": 14, "text": "no", "in_reply_to": first.body["msg_id"]})
        await network.receive_nothing()
        await network.send("n1", {"type": "echo_ok", "echo": "b", "in_reply_to": second.body["msg_id"]})
        assert error((await network.receive()).body) == (14, "no")


async def test_large_batch_goes_through_a_narrow_outbox(autojump_clock: MockClock) -> None:
    """A batch that is larger than the outbox is sent bit by bit, not refused."""
    values = ["x" * 10_000] * 300
    async with running(build()) as network:
        await send(network, "batch_echo", values=values)
        done: list[Body] = []
        while not done:
            message = await network.receive()
            if message.dest == "n1":
                await network.send("n1", message.body)
            else:
                done.append(message.body)
    assert done[0]["results"] == values


# RPCs that are tried again


async def test_relay_returns_attempts_and_result(autojump_clock: MockClock) -> None:
    """Each attempt has a fresh msg_id and 500 ms; the next follows at once."""
    node = build()
    async with running(node) as network:
        await send(network, "relay", target="n2", payload=ECHO)
        for number in (1, 2, 3):
            rpc = await receive_rpc(network)
            assert (rpc.body, trio.current_time()) == ({**ECHO, "msg_id": number}, 0.5 * (number - 1))
        await network.reply(rpc, {"type": "echo_ok", "echo": "hello"})
        reply = (await network.receive()).body
    assert keys(reply, "relay_ok") == ["attempts", "result"]
    assert reply["attempts"] == 3
    assert reply["result"] == {"type": "echo_ok", "echo": "hello", "in_reply_to": 3}
    assert_no_rpc_leaked(node)


async def test_relay_that_succeeds_at_once_took_one_attempt() -> None:
    """Attempts are counted from one."""
    async with running(build()) as network:
        await send(network, "relay", target="n2", payload=ECHO)
        await network.reply(await receive_rpc(network), {"type": "echo_ok"})
        assert (await network.receive()).body["attempts"] == 1


async def test_relay_fails_after_three_attempts(autojump_clock: MockClock) -> None:
    """Error 0 with exactly this text, 1.5 s after the request."""
    async with running(build()) as network:
        await send(network, "relay", target="n2", payload=ECHO)
        for _ in range(3):
            await receive_rpc(network)
        reply = (await network.receive()).body
        assert trio.current_time() == 1.5
    assert error(reply) == (0, "RPC failed after 3 attempts")


async def test_relay_that_is_refused_three_times_fails_likewise() -> None:
    """Error 11 is worth another attempt; after three it is error 0 all the same."""
    async with running(build()) as network:
        await send(network, "relay", target="n2", payload=ECHO)
        for _ in range(3):
            await network.reply(await receive_rpc(network), {"type": "error", "code": 11, "text": "busy"})
        assert error((await network.receive()).body) == (0, "RPC failed after 3 attempts")


@pytest.mark.parametrize("kind", ["relay", "backoff_relay"])
async def test_relay_passes_other_errors_on(kind: str) -> None:
    """Any other error of the target ends the relay with that error, at the first attempt."""
    async with running(build()) as network:
        await send(network, kind, target="lin-kv", payload={"type": "read", "key": 1})
        await network.reply(await receive_rpc(network, "lin-kv"), {"type": "error", "code": 20, "text": "no such key"})
        assert error((await network.receive()).body) == (20, "no such key")
        await network.receive_nothing()


async def test_backoff_relay_waits_longer_each_time(autojump_clock: MockClock) -> None:
    """Between attempts of 500 ms it waits 100 and 200 ms plus jitter, and says how long it waited in all."""
    node = build()
    node.random.seed(5)
    random = Random(5)
    delays = [0.1 * (1 + random.uniform(0, 0.1)), 0.2 * (1 + random.uniform(0, 0.1))]
    async with running(node) as network:
        await send(network, "backoff_relay", target="n2", payload=ECHO)
        times = []
        for number in (1, 2, 3):
            rpc = await receive_rpc(network)
            assert rpc.body == {**ECHO, "msg_id": number}
            times.append(trio.current_time())
        await network.reply(rpc, {"type": "echo_ok"})
        reply = (await network.receive()).body
    # A deadline is up to 1/128 s late where it is no multiple of that.
    assert times[:2] == pytest.approx([0, 0.5 + delays[0]])
    assert 0 <= times[2] - (1.0 + sum(delays)) <= 1 / 128
    assert keys(reply, "backoff_relay_ok") == ["attempts", "total_delay_ms"]
    assert (reply["attempts"], reply["total_delay_ms"]) == (3, round(sum(delays) * 1000))
    assert_no_rpc_leaked(node)


async def test_backoff_relay_that_succeeds_at_once_waited_for_nothing() -> None:
    """One attempt, no delay."""
    async with running(build()) as network:
        await send(network, "backoff_relay", target="n2", payload=ECHO)
        await network.reply(await receive_rpc(network), {"type": "echo_ok"})
        reply = (await network.receive()).body
    assert (reply["attempts"], reply["total_delay_ms"]) == (1, 0)


async def test_backoff_relay_fails_after_five_retries(autojump_clock: MockClock) -> None:
    """Six attempts and five delays, which come to 3.1 s and at most a tenth more; then error 0."""
    async with running(build()) as network:
        await send(network, "backoff_relay", target="n2", payload=ECHO)
        for _ in range(6):
            await receive_rpc(network)
        reply = (await network.receive()).body
        assert 6.1 <= trio.current_time() <= 6.1 + 0.31 + 5 / 128
    assert error(reply) == (0, "RPC failed after 6 attempts")


@pytest.mark.parametrize(
    ("fields", "schedule"),
    [
        ({}, [100, 200, 400, 800, 1600]),
        ({"max_retries": 0}, []),
        ({"max_retries": 7}, [100, 200, 400, 800, 1600, 2000, 2000]),
        ({"max_retries": 3, "base_delay": 0.25}, [250, 500, 1000]),
        ({"max_retries": 3, "base_delay": 1, "max_delay": 1.5}, [1000, 1500, 1500]),
        ({"max_retries": 2, "base_delay": 0}, [0, 0]),
        ({"max_retries": 2, "base_delay": 5}, [2000, 2000]),
    ],
)
async def test_compute_backoff_shows_the_schedule(fields: Body, schedule: list[int]) -> None:
    """One entry for each retry, in milliseconds and without jitter; nothing is sent."""
    async with running(build()) as network:
        reply = await network.request("compute_backoff", **fields)
        await network.receive_nothing()
    assert keys(reply, "compute_backoff_ok") == ["schedule_ms", "total_ms", "retries"]
    assert reply["schedule_ms"] == schedule
    assert {type(delay) for delay in reply["schedule_ms"]} <= {int}
    assert (reply["total_ms"], reply["retries"]) == (sum(schedule), len(schedule))
