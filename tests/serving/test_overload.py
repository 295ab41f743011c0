"""Overload: a full outbox, a slow receiver, and more requests than handlers may run."""

from __future__ import annotations

import logging
import tracemalloc

import pytest
import trio
from support.lines import line
from support.slow_reader import slow_reader
from support.steps import StepCounter
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Body, Node, Request
from trio_messenger.testing import assert_no_rpc_leaked, running


async def test_a_full_outbox_changes_nothing_of_the_order() -> None:
    """Messages that have to wait for room are served before those that were read later, whoever gets to run first."""
    node = Node(outbox_limit=1)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    received: list[int] = []
    async with slow_reader(node, batches=1) as reader:

        async def send() -> None:
            for first in range(0, 900, 3):
                batch = [line({"type": "echo", "msg_id": n, "echo": n}) for n in range(first, first + 3)]
                await reader.send(b"".join(batch))
                for _ in range(first % 4):
                    await trio.lowlevel.checkpoint()
            reader.send_eof()

        reader.nursery.start_soon(send)
        async for messages in reader.transport:
            received += [message.body["echo"] for message in messages]
            for _ in range(len(received) % 5):
                await trio.lowlevel.checkpoint()
    assert received == list(range(900))


async def test_a_slow_receiver_leaves_room_to_those_who_send() -> None:
    """However many requests come in, their replies fill the outbox by no more than about a quarter while nobody reads,
    so what handlers and background tasks send finds room."""
    node = Node(outbox_limit=40_000)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    async with slow_reader(node) as reader:
        await reader.send(b"".join(line({"type": "echo", "msg_id": n, "echo": n}) for n in range(2000)))
        await wait_all_tasks_blocked()
        taken = node.stats.sent
        assert taken < 400
        for _ in range(200):
            node.send_nowait("n2", {"type": "more"})
        replies = 0
        while replies < 2000:
            replies += sum(message.body["type"] == "echo_ok" for message in await reader.receive())


async def test_what_needs_no_waiting_wakes_no_router() -> None:
    """The reader's task routes by itself what can be routed at once, before messages had to wait and after it."""
    node = Node(outbox_limit=1)
    node.on("echo")(lambda request: {"echo": request.body["echo"]})
    async with slow_reader(node) as reader:

        async def steps_of_router(count: int) -> int:
            await wait_all_tasks_blocked()
            counter = StepCounter("slow_reader.<locals>.serve")
            trio.lowlevel.add_instrument(counter)
            await reader.send(b"".join(line({"type": "echo", "msg_id": n, "echo": n}) for n in range(count)))
            await wait_all_tasks_blocked()
            for _ in range(count):
                await reader.receive()
                await wait_all_tasks_blocked()
            trio.lowlevel.remove_instrument(counter)
            return counter.steps

        assert await steps_of_router(1) == 0
        assert await steps_of_router(5) > 0
        assert await steps_of_router(1) == 0


async def test_requests_beyond_the_limit_are_shed_and_replies_still_get_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With all handlers waiting for RPCs, more requests get error 11 at once, the replies end the waiting, and
    then there is room again."""
    caplog.set_level(logging.WARNING)
    node = Node(max_handlers=2)

    @node.on("ask")
    async def ask() -> Body:
        await node.rpc("n2", {"type": "question"})
        return {}

    node.on("plain")(lambda: {})
    async with running(node) as network:
        for msg_id in (1, 2):
            await network.send("c1", {"type": "ask", "msg_id": msg_id})
        questions = [await network.receive(), await network.receive()]
        await network.send("c1", {"type": "ask", "msg_id": 3})
        assert (await network.receive()).body == {
            "type": "error",
            "code": 11,
            "text": "2 handlers are running, which is the limit; try again later",
            "in_reply_to": 3,
            "msg_id": 3,
        }
        await network.send("c1", {"type": "plain", "msg_id": 4})  # takes no task
        assert (await network.receive()).body["type"] == "plain_ok"
        for question in questions:
            await network.reply(question, {"type": "question_ok"})
        assert {(await network.receive()).body["in_reply_to"] for _ in range(2)} == {1, 2}
        for msg_id in (5, 6):
            await network.send("c1", {"type": "ask", "msg_id": msg_id})
        questions = [await network.receive(), await network.receive()]
        assert [question.body["type"] for question in questions] == ["question", "question"]
        for question in questions:
            await network.reply(question, {"type": "error", "code": 14, "text": ""})
        assert {(await network.receive()).body["in_reply_to"] for _ in range(2)} == {5, 6}
    assert node.stats.shed == 1
    assert caplog.messages == [
        "refused 'ask' from 'c1': 2 handlers are running, which is the limit; try again later (1 so far)"
    ]
    assert_no_rpc_leaked(node)


async def test_handlers_have_a_turn_before_all_messages_do() -> None:
    """In a long row of requests with async handlers, the first handlers run before the last request is taken up; the
    order of the requests that are served in place stays."""
    node = Node()
    begun = 0
    seen: list[tuple[int, int]] = []

    @node.on("nap")
    async def nap() -> None:
        nonlocal begun
        begun += 1
        await trio.lowlevel.checkpoint()

    @node.on("look")
    def look(request: Request) -> None:
        seen.append((request.body["n"], begun))

    row = b"".join(line({"type": "look", "n": n}) + line({"type": "nap"}) * 10 for n in range(200))
    async with running(node) as network:
        await network.send_bytes(row)
        await network.receive_nothing()
    assert [n for n, _ in seen] == list(range(200))
    assert begun == 2000
    assert all(begun >= 10 * n - 300 for n, begun in seen)
    assert node.stats.shed == 0


async def test_handlers_that_soon_end_are_no_crowd() -> None:
    """More requests at once than handlers may run are all served, where none waits for anything from outside."""
    node = Node(max_handlers=2)

    @node.on("nap")
    async def nap() -> Body:
        await trio.lowlevel.checkpoint()
        return {}

    async with running(node) as network:
        await network.send_bytes(b"".join(line({"type": "nap", "msg_id": n}) for n in range(6)))
        assert {(await network.receive()).body["in_reply_to"] for _ in range(6)} == set(range(6))
    assert node.stats.shed == 0


async def serve_one_reply(node: Node, request: bytes, batches: float) -> tuple[int, int]:
    """Let *node* serve what makes it send one reply, and come to rest.

    Returns:
      The length of the ``text`` of the reply, and the bytes that the node holds more than before.
    """
    tracemalloc.start()
    try:
        async with slow_reader(node, batches=batches) as reader:
            before = tracemalloc.get_traced_memory()[0]
            await reader.send(request)
            await wait_all_tasks_blocked()
            length = len((await reader.receive())[0].body["text"])
            await wait_all_tasks_blocked()
            kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return length, kept


@pytest.mark.parametrize("limit", [1 << 20, 1])
async def test_an_idle_node_keeps_no_messages(limit: int) -> None:
    """What came last is freed once it is served, whether or not it had to wait for room."""
    node = Node(outbox_limit=limit)
    node.on("ask")(lambda: {"text": ""})
    node.on("drop")(lambda: None)
    request = line({"type": "ask", "msg_id": 2}) + line({"type": "drop", "text": "x" * 1_000_000})
    length, kept = await serve_one_reply(node, request, batches=8)
    assert (length, node.stats.received) == (0, 3)
    assert kept < 100_000


async def test_an_idle_node_keeps_nothing_it_sent() -> None:
    """What the writer sent last is freed once it has left."""
    node = Node()
    node.on("big")(lambda: {"text": "x" * 1_000_000})
    length, kept = await serve_one_reply(node, line({"type": "big", "msg_id": 2}), batches=0)
    assert length == 1_000_000
    assert kept < 100_000


async def test_async_handlers_wait_for_room_before_they_answer() -> None:
    """Async handlers put their replies into a full outbox no sooner than there is room, one by one, and lose none."""
    node = Node(outbox_limit=1)
    go = trio.Event()

    @node.on("wait")
    async def wait() -> Body:
        await go.wait()
        return {}

    async with slow_reader(node) as reader:
        for msg_id in range(5):
            await reader.send(line({"type": "wait", "msg_id": msg_id}))
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        assert node.stats.sent == 3  # init_ok, one in the hands of the writer, and one that filled the outbox
        answered = []
        for _ in range(5):
            (message,) = await reader.receive()
            answered.append(message.body["in_reply_to"])
        assert sorted(answered) == [0, 1, 2, 3, 4]
        assert await reader.receive_rest() == []
