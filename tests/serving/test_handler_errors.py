"""What handlers raise: how it is answered, logged and counted, and strict mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_messenger import Body, ErrorCode, Node, RpcError, RpcTimeout
from trio_messenger.testing import Network, assert_no_rpc_leaked, running


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def failing(error: BaseException, *, is_async: bool = False, strict: bool = False) -> Node:
    node = Node(strict=strict)

    def fail() -> None:
        raise error

    async def fail_in_task() -> None:
        await trio.lowlevel.checkpoint()
        raise error

    node.on("fail")(fail_in_task if is_async else fail)
    return node


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
    """``RpcError("text")``, a common mistake, is answered with error 13 like any failure of a handler."""
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
        ([1, 2], "a body is a dict or a record, not list: [1, 2]"),
        ("text", "a body is a dict or a record, not str: 'text'"),
        (0, "a body is a dict or a record, not int: 0"),
        ({"type": 5}, "the 'type' of a body is a string, not 5"),
        ({"x": math.nan}, "JSON has no number nan, found at body.x; use null or a string instead"),
        ({"x": [0, {"y": -math.inf}]}, "JSON has no number -inf, found at body.x[1].y; use null or a string instead"),
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
