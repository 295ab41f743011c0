"""The node with logs: one compare-and-set for each append, and polls from memory."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import LIN_KV, Body, Message
from trio_messenger.nodes import kafka
from trio_messenger.testing import Network, running

TAKEN = {"type": "error", "code": 22, "text": "it has another value"}
MISSING = {"type": "error", "code": 20, "text": "no such key"}
DONE = {"type": "cas_ok"}


async def ask(network: Network, msg_id: int, kind: str, **fields: Any) -> None:
    """Send a request, and let the node do what it can."""
    await network.send("c1", {"type": kind, "msg_id": msg_id, **fields})
    await wait_all_tasks_blocked()


async def serve(network: Network, answer: Body) -> tuple[str, Any, Any]:
    """Receive the next request to the service, answer it, and return its type, key and new value."""
    message = await network.receive()
    assert message.dest == LIN_KV, message
    await network.reply(message, answer)
    await wait_all_tasks_blocked()
    to = message.body.get("to")
    return message.body["type"], message.body["key"], to["messages"] if isinstance(to, dict) else to


def found(value: Any) -> Body:
    """Return the reply of the service to a read."""
    return {"type": "read_ok", "value": {"id": "other", "messages": value} if isinstance(value, list) else value}


async def reply_of(network: Network) -> Body:
    """Return the next reply to a client, without numbers; leave out what other nodes are told."""
    while (message := await network.receive()).dest != "c1":
        assert message.body["type"] == "chunk"
    return {key: message.body[key] for key in message.body if key not in ("msg_id", "in_reply_to")}


async def tell(network: Network, start: int, *messages: Any) -> None:
    """Have another node tell the node of a chunk of the log x."""
    await network.send("n2", {"type": "chunk", "key": "x", "start": start, "messages": messages})
    await wait_all_tasks_blocked()


async def test_append_is_one_compare_and_set() -> None:
    """It creates a chunk, and other nodes learn of it; the next append continues after it."""
    async with running(kafka.build()) as network:
        for start, message in enumerate(["a", None, [3]]):
            await ask(network, 10 + start, "send", key="x", msg=message)
            assert await serve(network, DONE) == ("cas", f"log x {start}", [message])
            for peer in ("n2", "n3"):
                told = await network.receive()
                body = {"type": "chunk", "key": "x", "start": start, "messages": [message]}
                assert (told.dest, {key: told.body[key] for key in body}) == (peer, body)
            assert await reply_of(network) == {"type": "send_ok", "offset": start}


async def test_refused_copy_of_a_request_appends_nothing() -> None:
    """If the network repeats the request, the answer to the second copy may come first: the chunk is there."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        await ask(network, 10, "send", key="x", msg="a")
        request = await network.receive()
        await network.reply(request, TAKEN)
        await wait_all_tasks_blocked()
        assert await serve(network, {"type": "read_ok", "value": request.body["to"]}) == ("read", "log x 0", None)
        assert await serve(network, MISSING) == ("read", "log x 1", None)
        assert await reply_of(network) == {"type": "send_ok", "offset": 0}


async def test_messages_share_the_next_chunk() -> None:
    """Those that come during a compare-and-set; each has an offset of its own, and other logs do not wait."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        for number, message in enumerate("abc"):
            await ask(network, 10 + number, "send", key="x", msg=message)
        first = await network.receive()
        await ask(network, 13, "send", key="y", msg="d")
        assert await serve(network, DONE) == ("cas", "log y 0", ["d"])
        assert await reply_of(network) == {"type": "send_ok", "offset": 0}
        await network.reply(first, DONE)
        assert await reply_of(network) == {"type": "send_ok", "offset": 0}
        assert await serve(network, DONE) == ("cas", "log x 1", ["b", "c"])
        assert [(await reply_of(network))["offset"] for _ in range(2)] == [1, 2]


async def test_append_after_others_reads_what_they_appended() -> None:
    """If the chunk exists, the node reads the missing chunks, and appends after them."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        await ask(network, 10, "send", key="x", msg="c")
        assert await serve(network, TAKEN) == ("cas", "log x 0", ["c"])
        assert await serve(network, found(["a", "b"])) == ("read", "log x 0", None)
        assert await serve(network, MISSING) == ("read", "log x 2", None)
        assert await serve(network, DONE) == ("cas", "log x 2", ["c"])
        assert await reply_of(network) == {"type": "send_ok", "offset": 2}


async def test_append_with_a_timeout_is_indefinite(autojump_clock: MockClock) -> None:
    """For all messages of the chunk; it may be there all the same, so the next append looks."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        for number, message in enumerate("abc"):
            await ask(network, 10 + number, "send", key="x", msg=message)
        assert await serve(network, DONE) == ("cas", "log x 0", ["a"])
        assert await reply_of(network) == {"type": "send_ok", "offset": 0}
        assert (await network.receive()).body["to"]["messages"] == ["b", "c"]
        assert [(await reply_of(network))["code"] for _ in range(2)] == [0, 0]
        await ask(network, 13, "send", key="x", msg="d")
        assert await serve(network, TAKEN) == ("cas", "log x 1", ["d"])
        assert await serve(network, found(["b", "c"])) == ("read", "log x 1", None)


async def test_poll_is_from_memory_if_there_is_anything() -> None:
    """What other nodes told is polled without the service; chunks after a gap, and chunks told again, are not taken."""
    async with running(kafka.build()) as network:
        for start, messages in ((0, "ab"), (2, "c"), (0, "ab"), (9, "z")):
            await tell(network, start, *messages)
        await ask(network, 10, "poll", offsets={"x": 1})
        assert await reply_of(network) == {"type": "poll_ok", "msgs": {"x": [[1, "b"], [2, "c"]]}}
        assert (await network.request("poll", offsets={"x": -1}))["code"] == 12


async def test_poll_at_the_end_reads_on(autojump_clock: MockClock) -> None:
    """It asks the service for what is new, in each log at the same time; without the service, there is nothing new."""
    async with running(kafka.build()) as network:
        await ask(network, 10, "poll", offsets={"x": 0, "y": 3})
        requests: dict[str, Message] = {}
        for _ in range(2):
            message = await network.receive()
            requests[message.body["key"]] = message
        await network.reply(requests["log y 0"], MISSING)
        await network.reply(requests["log x 0"], found(["a", "b"]))
        await wait_all_tasks_blocked()
        assert await serve(network, MISSING) == ("read", "log x 2", None)
        assert await reply_of(network) == {"type": "poll_ok", "msgs": {"x": [[0, "a"], [1, "b"]], "y": []}}
        await ask(network, 10, "poll", offsets={"x": 2})
        assert (await network.receive()).dest == LIN_KV
        assert await reply_of(network) == {"type": "poll_ok", "msgs": {"x": []}}


async def test_committed_offsets_only_grow() -> None:
    """A commit is durable in the service; a lower one, or a list of known ones, asks nobody."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        await ask(network, 10, "commit_offsets", offsets={"x": 4})
        assert await serve(network, found(7)) == ("read", "committed x", None)
        assert await serve(network, DONE) == ("cas", "committed x", 7)
        assert await reply_of(network) == {"type": "commit_offsets_ok"}
        await ask(network, 10, "commit_offsets", offsets={"x": 7})
        assert await reply_of(network) == {"type": "commit_offsets_ok"}
        await ask(network, 10, "list_committed_offsets", keys=["x", "y", "z"])
        assert await serve(network, MISSING) == ("read", "committed y", None)
        assert await serve(network, found(0)) == ("read", "committed z", None)
        assert await reply_of(network) == {"type": "list_committed_offsets_ok", "offsets": {"x": 7, "z": 0}}


async def test_poll_during_an_append_may_see_it_first() -> None:
    """The chunk is in the log once, although the poll read it before the node knew that it had created it."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        await ask(network, 10, "send", key="x", msg="a")
        append = await network.receive()
        await ask(network, 11, "poll", offsets={"x": 0})
        assert await serve(network, found(["a"])) == ("read", "log x 0", None)
        assert await serve(network, MISSING) == ("read", "log x 1", None)
        assert (await reply_of(network))["msgs"] == {"x": [[0, "a"]]}
        await network.reply(append, DONE)
        assert await reply_of(network) == {"type": "send_ok", "offset": 0}
        await ask(network, 12, "poll", offsets={"x": 0})
        assert (await reply_of(network))["msgs"] == {"x": [[0, "a"]]}
        await trio.lowlevel.checkpoint()
