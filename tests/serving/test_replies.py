"""What handlers are given, what they may return, and how they answer later."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from support.handlers import doubler
from support.lines import line
from trio.testing import MockClock

from trio_messenger import Body, ErrorCode, Node, Request, RpcError
from trio_messenger.testing import running


@attrs.frozen
class Add:
    left: int
    right: int = 1


@attrs.frozen
class Sum:
    value: int


def returning(result: object) -> Node:
    node = Node()
    node.on("get")(lambda: result)
    return node


# What handlers are given and give


async def test_plain_handlers_are_answered_in_the_order_of_the_requests() -> None:
    """A batch of requests to a plain handler gets its replies in the same order, numbered one after another."""
    async with running(doubler()) as network:
        await network.send_bytes(b"".join(line({"type": "double", "msg_id": n, "value": n}) for n in range(100)))
        assert [(await network.receive()).body for _ in range(100)] == [
            {"type": "double_ok", "value": 2 * n, "in_reply_to": n, "msg_id": n + 1} for n in range(100)
        ]


async def test_async_handlers_run_in_tasks_of_their_own() -> None:
    """An async handler that waits holds up neither the requests that come after it nor another async handler."""
    node = doubler()
    may_go = {"a": trio.Event(), "b": trio.Event()}

    @node.on("wait")
    async def wait(request: Request) -> Body:
        await may_go[request.body["for"]].wait()
        return {}

    async with running(node) as network:
        await network.send("c1", {"type": "wait", "msg_id": 1, "for": "a"})
        await network.send("c1", {"type": "wait", "msg_id": 2, "for": "b"})
        assert (await network.request("double", value=4))["value"] == 8
        may_go["b"].set()
        assert (await network.receive()).body == {"type": "wait_ok", "in_reply_to": 2, "msg_id": 2}
        may_go["a"].set()
        assert (await network.receive()).body == {"type": "wait_ok", "in_reply_to": 1, "msg_id": 3}


async def test_request_tells_all_about_itself(autojump_clock: MockClock) -> None:
    """A handler's request has its sender, receiver, type, number, whole body and the virtual time it was taken up."""
    node = Node()
    seen = []

    @node.on("look")
    def look(request: Request) -> None:
        seen.append(request)

    async with running(node) as network:
        start = trio.current_time()
        await trio.sleep(0.5)
        await network.send("c7", {"type": "look", "msg_id": 5, "x": [1]})
        await network.receive_nothing()
    (request,) = seen
    assert (request.src, request.dest, request.type, request.msg_id) == ("c7", "n1", "look", 5)
    assert request.body == {"type": "look", "msg_id": 5, "x": [1]}
    assert request.received_at == start + 0.5


@pytest.mark.parametrize("is_async", [False, True])
async def test_handler_may_take_an_attrs_body_and_return_one(is_async: bool) -> None:
    """A body fills the attrs class of the parameter, defaults included, and a returned record is the reply's body."""
    node = Node()

    def add(body: Add) -> Sum:
        return Sum(body.left + body.right)

    async def add_in_task(request: Request, body: Add) -> Sum:
        assert request.body["left"] == body.left
        await trio.lowlevel.checkpoint()
        return add(body)

    node.on("add")(add_in_task if is_async else add)
    async with running(node) as network:
        assert await network.request("add", left=2) == {"type": "add_ok", "value": 3, "in_reply_to": 1, "msg_id": 1}
        assert (await network.request("add", left=2, right=5))["value"] == 7


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "malformed 'add' request: Object missing required field `left`"),
        ({"left": "2"}, "malformed 'add' request: Expected `int`, got `str` - at `body.left`"),
    ],
)
async def test_body_that_does_not_fit_is_answered_with_error_12(is_async: bool, fields: Body, text: str) -> None:
    """What does not fit the attrs class is error 12, whose text names the field and what was expected."""
    node = Node()

    def add(body: Add) -> Sum:
        raise AssertionError

    async def add_in_task(body: Add) -> Sum:
        raise AssertionError

    node.on("add")(add_in_task if is_async else add)
    async with running(node) as network:
        assert await network.request("add", **fields) == {
            "type": "error",
            "code": 12,
            "text": text,
            "in_reply_to": 1,
            "msg_id": 1,
        }
    assert node.stats.handler_failures == 0


async def test_none_is_no_reply_and_an_empty_dict_a_bare_acknowledgement() -> None:
    """A handler that returns None sends nothing; one that returns an empty dict acknowledges by type."""
    node = Node()
    node.on("quiet")(lambda: None)
    node.on("touch")(lambda: {})
    async with running(node) as network:
        await network.send("c1", {"type": "quiet", "msg_id": 1})
        await network.send("c1", {"type": "touch", "msg_id": 2})
        assert (await network.receive()).body == {"type": "touch_ok", "in_reply_to": 2, "msg_id": 1}
        await network.receive_nothing()


async def test_async_handler_that_returns_none_sends_nothing() -> None:
    """An async handler, too, replies later or not at all when it returns None."""
    node = Node()

    @node.on("quiet")
    async def quiet() -> None:
        await trio.lowlevel.checkpoint()

    async with running(node) as network:
        await network.send("c1", {"type": "quiet", "msg_id": 1})
        await network.receive_nothing()


async def test_reply_names_its_own_type() -> None:
    """A reply with a type of its own keeps it, in first place."""
    async with running(returning({"value": 1, "type": "mine"})) as network:
        reply = await network.request("get")
        assert list(reply.items()) == [("type", "mine"), ("value", 1), ("in_reply_to", 1), ("msg_id", 1)]


async def test_reserved_keys_of_a_reply_are_the_nodes() -> None:
    """A reply that brings msg_id and in_reply_to has them replaced, and the handler's dict is not edited."""
    body = {"in_reply_to": 77, "value": 1, "msg_id": 78}
    async with running(returning(body)) as network:
        reply = await network.request("get")
        assert list(reply.items()) == [("type", "get_ok"), ("value", 1), ("in_reply_to", 1), ("msg_id", 1)]
    assert body == {"in_reply_to": 77, "value": 1, "msg_id": 78}


async def test_number_0_is_a_number() -> None:
    """A request with msg_id 0 is answered with in_reply_to 0."""
    async with running(doubler()) as network:
        await network.send("c1", {"type": "double", "msg_id": 0, "value": 1})
        assert (await network.receive()).body == {"type": "double_ok", "value": 2, "in_reply_to": 0, "msg_id": 1}


@pytest.mark.parametrize("result", [{}, None, math.nan, RpcError(14)])
async def test_request_without_msg_id_is_handled_and_not_answered(result: object) -> None:
    """Without a msg_id no reply leaves, whatever the handler returns or raises, and no number is used up."""
    node = doubler()
    handled = []

    @node.on("note")
    def note() -> object:
        handled.append(1)
        if isinstance(result, RpcError):
            raise result
        return result

    async with running(node) as network:
        await network.send("c1", {"type": "note"})
        assert (await network.request("double", value=1))["msg_id"] == 1
    assert handled == [1]


# Answering later


@pytest.mark.parametrize("nowait", [False, True])
async def test_handler_may_answer_later(nowait: bool) -> None:
    """A request can be kept and answered after its handler has returned, by reply() and by reply_nowait()."""
    node = Node()
    kept: list[Request] = []
    node.on("keep")(kept.append)
    async with running(node) as network:
        await network.send("c4", {"type": "keep", "msg_id": 9})
        await network.receive_nothing()
        if nowait:
            node.reply_nowait(kept[0], {"late": True})
        else:
            await node.reply(kept[0], {"late": True})
        message = await network.receive()
        assert message.dest == "c4"
        assert message.body == {"type": "keep_ok", "late": True, "in_reply_to": 9, "msg_id": 1}


@pytest.mark.parametrize("nowait", [False, True])
async def test_later_answer_may_be_an_error(nowait: bool) -> None:
    """A RpcError given to reply() or reply_nowait() leaves as the error body that raising it would give."""
    node = Node()
    kept: list[Request] = []
    node.on("keep")(kept.append)
    async with running(node) as network:
        await network.send("c4", {"type": "keep", "msg_id": 9})
        await network.receive_nothing()
        error = RpcError(ErrorCode.ABORT, "given up")
        if nowait:
            node.reply_nowait(kept[0], error)
        else:
            await node.reply(kept[0], error)
        assert (await network.receive()).body == {
            "type": "error",
            "code": 14,
            "text": "given up",
            "in_reply_to": 9,
            "msg_id": 1,
        }


@pytest.mark.parametrize("body", [{}, RpcError(14)])
async def test_later_answer_to_a_request_without_msg_id_is_not_sent(body: object) -> None:
    """reply() and reply_nowait() to a request that wants no answer do nothing."""
    node = Node()
    kept: list[Request] = []
    node.on("keep")(kept.append)
    async with running(node) as network:
        await network.send("c4", {"type": "keep"})
        await network.receive_nothing()
        node.reply_nowait(kept[0], body)
        await node.reply(kept[0], body)
        await network.receive_nothing()


async def test_reply_is_a_checkpoint() -> None:
    """reply() and send() are checkpoints even when there is room."""
    node = Node()
    kept: list[Request] = []
    node.on("keep")(kept.append)
    async with running(node) as network:
        await network.send("c4", {"type": "keep", "msg_id": 3})
        await network.receive_nothing()
        with trio.testing.assert_checkpoints():
            await node.reply(kept[0], {})
        with trio.testing.assert_checkpoints():
            await node.send("n2", {"type": "news"})
        assert [(await network.receive()).body["type"] for _ in range(2)] == ["keep_ok", "news"]
