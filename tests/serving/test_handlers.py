"""Handlers: how they are called, what they may return, and what becomes of what they raise."""

from __future__ import annotations

import logging
import math
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from support.lines import line
from support.slow_reader import slow_reader
from support.steps import StepCounter
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, ErrorCode, Node, Request, RpcError, RpcTimeout
from trio_messenger.testing import Network, assert_no_rpc_leaked, running


@attrs.frozen
class Add:
    left: int
    right: int = 1


@attrs.frozen
class Sum:
    value: int


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def doubler() -> Node:
    node = Node()

    @node.on("double")
    def double(request: Request) -> Body:
        return {"value": request.body["value"] * 2}

    return node


def failing(error: BaseException, *, is_async: bool = False, strict: bool = False) -> Node:
    node = Node(strict=strict)

    def fail() -> None:
        raise error

    async def fail_in_task() -> None:
        await trio.lowlevel.checkpoint()
        raise error

    node.on("fail")(fail_in_task if is_async else fail)
    return node


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


# What handlers raise


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RpcError(ErrorCode.PRECONDITION_FAILED, "expected 1, got 2"), 22, "expected 1, got 2"),
        (RpcError(1234, "out of cheese", definite=True), 1234, "out of cheese"),
        (RpcError(10**30, "beyond 64 bits"), 10**30, "beyond 64 bits"),
        (RpcError(ErrorCode.ABORT, "half \ud83d here"), 14, "half ? here"),
        (RpcError(ErrorCode.ABORT), 14, ""),
        (RpcTimeout("n2", 7, 1.5), 0, "no reply from 'n2' to msg_id 7 within 1.5 s"),
        (ExceptionGroup("one", [ExceptionGroup("two", [RpcError(20, "no k")])]), 20, "no k"),
    ],
)
async def test_rpc_error_is_answered_with_its_code_and_text(
    is_async: bool, error: Exception, code: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A RpcError that a handler raises, alone in groups too, is the reply; it is neither logged nor counted."""
    node = failing(error, is_async=is_async)
    async with running(node) as network:
        reply = {"type": "error", "code": code, "text": text, "in_reply_to": 1, "msg_id": 1}
        assert await network.request("fail") == reply
    assert node.stats.handler_failures == 0
    assert caplog.messages == []


@pytest.mark.parametrize("order", [1, -1], ids=["in this order", "the other way round"])
@pytest.mark.parametrize(
    ("errors", "code", "text"),
    [
        ([RpcTimeout("n2", 7, 1.5), RpcTimeout("n2", 8, 1.5)], 0, "no reply from 'n2' to msg_id 7 within 1.5 s"),
        ([RpcError(20, "no k"), RpcTimeout("n2", 7, 1.5)], 0, "no reply from 'n2' to msg_id 7 within 1.5 s"),
        ([RpcError(13, "died"), RpcError(20, "no k")], 13, "died"),
        ([RpcError(13, "died"), RpcError(0, "late"), RpcError(1234)], 0, "late"),
        ([RpcError(1234, "open"), RpcError(1000, "over", definite=True)], 1234, "open"),
        ([RpcError(11, "busy"), RpcError(20, "no k")], 11, "busy"),
        ([RpcError(20, "no a"), RpcError(20, "no b")], 20, "no a"),
        ([ExceptionGroup("inner", [RpcError(20, "no k"), RpcError(0, "late")]), RpcError(11)], 0, "late"),
    ],
)
async def test_group_of_rpc_errors_is_answered_as_the_least_definite(
    errors: list[Exception], code: int, text: str, order: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What several RPCs in a handler's nursery fail with is one answer, whose code claims no more than all of them do.
    It does not depend on their order, and is no failure of the handler, not even of a strict one."""
    node = failing(ExceptionGroup("tasks", errors[::order]), is_async=True, strict=True)
    async with running(node) as network:
        reply = {"type": "error", "code": code, "text": text, "in_reply_to": 1, "msg_id": 1}
        assert await network.request("fail") == reply
    assert node.stats.handler_failures == 0
    assert caplog.messages == []


async def test_two_rpcs_that_time_out_together_are_answered_as_a_timeout(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that asks two nodes in a nursery, neither of which replies, answers error 0, which is indefinite."""
    node = Node(strict=True)

    @node.on("ask_both")
    async def ask_both() -> None:
        async with trio.open_nursery() as nursery:
            for dest in ("n2", "n3"):
                nursery.start_soon(node.rpc, dest, {"type": "ping"})

    async with running(node) as network:
        await network.send("c1", {"type": "ask_both", "msg_id": 1})
        assert [(await network.receive()).body["type"] for _ in range(2)] == ["ping", "ping"]
        reply = await network.receive()
        assert (reply.body["type"], reply.body["code"]) == ("error", 0)
        assert reply.body["text"].startswith("no reply from 'n")
    assert node.stats.handler_failures == 0
    assert [line for line in caplog.messages if "failed" in line] == []


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("first line\nsecond line"), "ValueError: first line"),
        (KeyError("k"), "KeyError: 'k'"),
        (ValueError(), "ValueError"),
        (ValueError("half \ud83d here"), "ValueError: half ? here"),
        (ExceptionGroup("tasks", [ValueError(1), KeyError(2)]), "ExceptionGroup: tasks (2 sub-exceptions)"),
        (ExceptionGroup("tasks", [RpcError(20), ValueError(1)]), "ExceptionGroup: tasks (2 sub-exceptions)"),
        (SyntaxError("odd", ("file", 3, 1, "1 +")), "SyntaxError: odd"),
    ],
)
async def test_any_other_error_is_answered_with_13_logged_and_counted(
    is_async: bool, error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Error 13 carries one line about what was raised; the log has the traceback; the failure is counted."""
    node = failing(error, is_async=is_async)
    async with running(node) as network:
        reply = {"type": "error", "code": 13, "text": text, "in_reply_to": 1, "msg_id": 1}
        assert await network.request("fail") == reply
    assert node.stats.handler_failures == 1
    assert caplog.messages == ["the handler of 'fail' failed"]
    assert "Traceback (most recent call last)" in caplog.text
    assert "raise error" in caplog.text


async def test_group_of_one_error_is_that_error(caplog: pytest.LogCaptureFixture) -> None:
    """What one task in a handler's nursery raises is answered and logged as if the handler had raised it."""
    node = Node()

    async def task() -> None:
        raise ValueError("inner")

    @node.on("fail")
    async def fail() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)

    async with running(node) as network:
        reply = await network.request("fail")
        assert (reply["code"], reply["text"]) == (13, "ValueError: inner")
    assert node.stats.handler_failures == 1
    assert "in task" in caplog.text


async def test_error_that_cannot_tell_what_it_is_is_answered_all_the_same() -> None:
    """An exception whose str() raises is answered with error 13, and the node goes on."""
    node = failing(Unprintable())
    async with running(node) as network:
        reply = await network.request("fail")
        assert reply["code"] == 13
        assert reply["text"].endswith("Unprintable: <exception str() failed>")
        assert (await network.request("fail"))["code"] == 13


@pytest.mark.parametrize("code", ["boom", None, 1.5, [1]])
async def test_rpc_error_whose_code_is_no_integer_does_not_end_the_node(code: Any) -> None:
    """``RpcError("text")``, the mistake everyone makes, is answered with error 13 like any failure of a handler."""
    node = Node()

    @node.on("fail")
    def fail() -> None:
        raise RpcError(code)

    async with running(node) as network:
        assert (await network.request("fail"))["code"] == 13
        assert (await network.request("fail"))["code"] == 13
    assert node.stats.handler_failures == 2


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ([1, 2], "a body is a dict or an attrs record, not list: [1, 2]"),
        ("text", "a body is a dict or an attrs record, not str: 'text'"),
        (0, "a body is a dict or an attrs record, not int: 0"),
        ({"type": 5}, "the 'type' of a body is a string, not 5"),
        ({"x": math.nan}, "JSON has no number nan, found at body.x; send null or a string instead"),
        ({"x": [0, {"y": -math.inf}]}, "JSON has no number -inf, found at body.x[1].y; send null or a string instead"),
        ({"x": object}, "JSON cannot carry the 'get_ok' body to 'c1': Encoding objects of type type is unsupported"),
    ],
)
async def test_result_that_json_cannot_carry_is_error_13(is_async: bool, result: object, reason: str) -> None:
    """What is no body, or what JSON cannot carry, is answered with error 13 that says so, and never as null."""
    node = Node()

    async def get_in_task() -> object:
        await trio.lowlevel.checkpoint()
        return result

    node.on("get")(get_in_task if is_async else lambda: result)
    async with running(node) as network:
        reply = await network.request("get")
        assert reply["code"] == 13
        assert reply["text"] == f"LocalProtocolError: {reason}"
        assert (reply["in_reply_to"], reply["msg_id"]) == (1, 1)
    assert node.stats.handler_failures == 1


async def test_repeated_failures_are_not_logged_one_by_one_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Of 40 failures the first ten, the 16th and the 32nd are logged, and all are counted."""
    node = failing(ValueError("again"))
    async with running(node) as network:
        for _ in range(40):
            await network.request("fail")
    assert node.stats.handler_failures == 40
    assert len(caplog.messages) == 12


async def test_error_of_a_peer_is_relayed() -> None:
    """A handler that lets the error of its own RPC pass answers with that code and text."""
    node = Node()

    @node.on("ask")
    async def ask() -> Body:
        return await node.rpc("n2", {"type": "question"})

    async with running(node) as network:
        await network.send("c1", {"type": "ask", "msg_id": 1})
        await network.reply(await network.receive(), {"type": "error", "code": 1500, "text": "theirs"})
        assert (await network.receive()).body == {
            "type": "error",
            "code": 1500,
            "text": "theirs",
            "in_reply_to": 1,
            "msg_id": 2,
        }
    assert node.stats.handler_failures == 0
    assert_no_rpc_leaked(node)


# Strict mode


async def fail_now(network: Network, node: Node) -> None:
    await network.send("c1", {"type": "fail", "msg_id": 1})


async def fail_in_callback(network: Network, node: Node) -> None:
    def callback(outcome: object) -> None:
        raise ValueError("out")

    node.rpc_callback("n2", {"type": "ask"}, callback)
    await network.reply(await network.receive(), {"type": "ask_ok"})


async def fail_in_background(network: Network, node: Node) -> None:
    async def background() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("out")

    node.background(background)


@pytest.mark.parametrize(
    ("drive", "is_async"),
    [(fail_now, False), (fail_now, True), (fail_in_callback, False), (fail_in_background, False)],
    ids=["plain", "async", "callback", "background"],
)
async def test_strict_mode_lets_errors_leave(drive: Callable[[Network, Node], Any], is_async: bool) -> None:
    """In strict mode what a handler, callback or background task raises ends serve() with it, and is counted."""
    node = failing(ValueError("out"), is_async=is_async, strict=True)
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match=r"^out$"), flatten_subgroups=True):
        async with running(node) as network:
            await drive(network, node)
            await trio.sleep_forever()
    assert node.stats.handler_failures == 1
    assert_no_rpc_leaked(node)


@pytest.mark.parametrize("is_async", [False, True])
async def test_strict_mode_lets_errors_of_init_hooks_leave(is_async: bool) -> None:
    """In strict mode what a hook of on_init raises ends serve() with it."""
    node = Node(strict=True)

    def hook() -> None:
        raise ValueError("out")

    async def hook_in_task() -> None:
        raise ValueError("out")

    node.on_init(hook_in_task if is_async else hook)
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match=r"^out$"), flatten_subgroups=True):
        async with running(node):
            raise AssertionError


async def test_strict_mode_answers_rpc_errors() -> None:
    """Strict or not, a RpcError is an answer."""
    async with running(failing(RpcError(14, "no"), strict=True)) as network:
        assert (await network.request("fail"))["code"] == 14


# Registration


@pytest.mark.parametrize(
    ("message_type", "text"),
    [
        ("double", r"^'double' has a handler already; a type of request has one handler$"),
        ("init", r"^the node handles 'init' messages itself; use on_init to take part in 'init'$"),
        ("error", r"^the node handles 'error' messages itself; errors reply to RPCs$"),
    ],
)
def test_type_that_is_taken_is_refused(message_type: str, text: str) -> None:
    """A type has one handler, and those of the node itself have none from outside."""
    with pytest.raises(ValueError, match=text):
        doubler().on(message_type)(lambda: None)


@pytest.mark.parametrize("message_type", [None, 5, ["echo"]])
def test_type_that_is_no_string_is_refused(message_type: Any) -> None:
    """The type of a request is a string; the text shows how it is given."""
    text = re.escape(f"on() takes the type of the requests, as in @node.on('echo'), not {message_type!r}")
    with pytest.raises(TypeError, match=f"^{text}$"):
        Node().on(message_type)


def test_on_without_its_type_is_refused() -> None:
    """A decorator that was written without parentheses fails where it stands, not at the first message."""

    def handle() -> None: ...

    text = re.escape(f"on() takes the type of the requests, as in @node.on('echo'), not {handle!r:.80}")
    with pytest.raises(TypeError, match=f"^{text}$"):
        Node().on(handle)  # type: ignore[arg-type]


def test_type_that_was_taken_meanwhile_is_refused() -> None:
    """Of two decorators made for one type, the second to be used raises."""
    node = Node()
    first, second = node.on("x"), node.on("x")
    first(lambda: None)
    with pytest.raises(ValueError, match=r"^'x' has a handler already; a type of request has one handler$"):
        second(lambda: None)


def test_handler_is_returned_as_it_was() -> None:
    """Decorating leaves the function usable: on(), on_init() and background() return it."""
    node = Node()

    def plain() -> None: ...

    async def async_fn() -> None: ...

    assert node.on("x")(plain) is plain
    assert node.on_init(plain) is plain
    assert node.background(async_fn) is async_fn


def test_definite_codes_are_the_applications_own() -> None:
    """A code that the protocol defines cannot be given another meaning."""
    with pytest.raises(ValueError, match=r"^definite_codes contains 13; give codes from 1000 up$"):
        Node(definite_codes=[1000, 13])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *(
            ({"rpc_timeout": it}, f"the timeout of an RPC is {it!r} s; give 0 or more, or math.inf to wait forever")
            for it in (-1, math.nan, "2", None)
        ),
        *(({"max_handlers": it}, f"max_handlers is {it!r}; give 1 or more") for it in (0, -1, math.nan, "5", None)),
        *(({"outbox_limit": it}, f"outbox_limit is {it!r}; give 1 or more") for it in (0, -1, math.nan, "5", None)),
        *(({"grace": it}, f"grace is {it!r}; give 0 or more") for it in (-1, -math.inf, math.nan, "1", None)),
        *(
            ({"envelope_log": it}, f"envelope_log is {it!r}; give 0 (no log) or more")
            for it in (-1, math.nan, 2.5, "5", None)
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    """A number that is too small, or none, is a ValueError when the node is made, which names it and what to give."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Node(**options)


def test_options_at_their_least_are_taken() -> None:
    """The least that the texts allow is allowed, and so is what has no end."""
    Node(rpc_timeout=0, max_handlers=1, outbox_limit=1, grace=0, envelope_log=0)
    Node(rpc_timeout=math.inf, grace=math.inf)


def test_transport_is_wrapped_by_a_function() -> None:
    """What cannot be called wraps no transport, and is a TypeError when the node is made."""
    with pytest.raises(TypeError, match=r"^'wrap_transport' must be callable \(got 5 that is a <class 'int'>\)\.$"):
        Node(wrap_transport=5)  # type: ignore[arg-type]


# Overload


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
