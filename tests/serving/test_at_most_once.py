"""AtMostOnce: which requests are served again, and what duplicates are answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from support.counted_handlers import Counted, Gate, ask, plain_and_async
from trio.testing import wait_all_tasks_blocked

from trio_messenger import AtMostOnce, Body, ErrorCode, Node, Request, RpcError
from trio_messenger._serving.handlers import make_handler
from trio_messenger.testing import running

# Duplicates


@plain_and_async
async def test_duplicate_gets_the_first_answer_and_is_not_served(is_async: bool) -> None:
    """A request that comes again, however often, is answered as at first, and the handler is not called again."""
    node, once = Node(), AtMostOnce()
    handler = Counted().register(node, once, is_async=is_async)
    async with running(node) as network:
        assert [await ask(network, msg_id) for msg_id in (1, 1, 2, 1, 2)] == [
            {"type": "add_ok", "n": n} for n in (1, 1, 2, 1, 2)
        ]
    assert handler.calls == 2
    assert (once.total, once.duplicates, len(once)) == (5, 3, 2)


async def test_number_0_is_a_number_like_any_other() -> None:
    """A duplicate with msg_id 0 is known, too."""
    node, once = Node(), AtMostOnce()
    handler = Counted().register(node, once, is_async=False)
    async with running(node) as network:
        assert await ask(network, 0) == await ask(network, 0)
    assert (handler.calls, once.duplicates) == (1, 1)


@plain_and_async
async def test_same_number_from_another_node_is_another_request(is_async: bool) -> None:
    """Requests are told apart by who sent them, too."""
    node, once = Node(), AtMostOnce()
    handler = Counted().register(node, once, is_async=is_async)
    async with running(node) as network:
        assert (await ask(network, 1))["n"] == 1
        assert (await ask(network, 1, src="c2"))["n"] == 2
        assert (await ask(network, 1, src="c2"))["n"] == 2
        assert (await ask(network, 1))["n"] == 1
    assert (handler.calls, once.total, once.duplicates) == (2, 4, 2)


@plain_and_async
async def test_requests_without_a_number_are_served_each_time(is_async: bool) -> None:
    """What has no msg_id cannot be told from another: it is served, counted, and not remembered."""
    node, once = Node(), AtMostOnce()
    handler = Counted().register(node, once, is_async=is_async)
    async with running(node) as network:
        for _ in range(3):
            await network.send("c1", {"type": "add"})
        await network.receive_nothing()
    assert handler.calls == 3
    assert (once.total, once.duplicates, len(once)) == (3, 0, 0)


async def test_memory_that_is_empty_is_used() -> None:
    """A fresh memory, though its length is 0, is one."""
    node, once = Node(), AtMostOnce()
    assert len(once) == 0
    handler = Counted().register(node, once, is_async=False)
    async with running(node) as network:
        await ask(network, 1)
        await ask(network, 1)
    assert (handler.calls, len(once)) == (1, 1)


async def test_memory_may_serve_several_handlers() -> None:
    """Several types share one memory and one capacity."""
    node, once = Node(), AtMostOnce(capacity=2)
    adding = Counted().register(node, once, is_async=False, type_="add")
    taking = Counted().register(node, once, is_async=True, type_="take")
    async with running(node) as network:
        await ask(network, 1, type_="add")
        await ask(network, 2, type_="take")
        assert len(once) == 2
        await ask(network, 3, type_="add")
        assert len(once) == 2
        assert await ask(network, 2, type_="take") == {"type": "take_ok", "n": 1}
        assert await ask(network, 1, type_="add") == {"type": "add_ok", "n": 3}
    assert (adding.calls, taking.calls, once.total, once.duplicates) == (3, 1, 5, 1)


async def test_handler_without_memory_serves_duplicates() -> None:
    """Without at_most_once each request is served, duplicate or not."""
    node = Node()
    calls = []

    @node.on("add")
    def add(request: Request) -> Body:
        calls.append(request)
        return {}

    async with running(node) as network:
        await ask(network, 1)
        await ask(network, 1)
    assert len(calls) == 2


# What is answered


@plain_and_async
async def test_error_is_an_answer(is_async: bool) -> None:
    """A RpcError that the handler raised answers the duplicates: its code, its text, and no second call."""

    def refuse(n: int) -> object:
        raise RpcError(1001, f"no {n}", definite=True)

    node, once = Node(), AtMostOnce()
    handler = Counted(refuse).register(node, once, is_async=is_async)
    async with running(node) as network:
        for _ in range(3):
            assert await ask(network, 1) == {"type": "error", "code": 1001, "text": "no 1"}
    assert (handler.calls, once.duplicates, node.stats.handler_failures) == (1, 2, 0)


def crash(_: int) -> object:
    raise KeyError("shelf")


@plain_and_async
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (crash, "KeyError: 'shelf'"),
        (lambda _: 5, "LocalProtocolError: a body is a dict or a record, not int: 5"),
        (lambda _: {"type": 5}, "LocalProtocolError: the 'type' of a body is a string, not 5"),
        (
            lambda _: {"x": float("nan")},
            "LocalProtocolError: JSON has no number nan, found at body.x; use null or a string instead",
        ),
    ],
    ids=["raises", "no body", "no type", "no JSON"],
)
async def test_crash_is_an_answer_and_told_of_once(
    answer: Callable[[int], object], text: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that fails is not called again: duplicates get its error 13 anew, and what failed once is logged and
    counted once."""
    node, once = Node(), AtMostOnce()
    handler = Counted(answer).register(node, once, is_async=is_async)
    async with running(node) as network:
        for _ in range(3):
            assert await ask(network, 1) == {"type": "error", "code": 13, "text": text}
    assert (handler.calls, once.duplicates) == (1, 2)
    assert node.stats.handler_failures == 1
    assert caplog.messages == ["the handler of 'add' failed"]


async def test_answers_keep_their_type_and_may_be_records() -> None:
    """A reply with a type of its own, or an attrs record, comes again as it was."""

    @attrs.frozen
    class Sum:
        type: str
        total: int

    node, once = Node(), AtMostOnce()
    Counted(lambda n: Sum("sum", n)).register(node, once, is_async=False)
    async with running(node) as network:
        assert await ask(network, 1) == await ask(network, 1) == {"type": "sum", "total": 1}


@plain_and_async
async def test_bare_acknowledgement_is_an_answer(is_async: bool) -> None:
    """An empty body acknowledges the duplicates as well."""
    node, once = Node(), AtMostOnce()
    handler = Counted(lambda _: {}).register(node, once, is_async=is_async)
    async with running(node) as network:
        assert await ask(network, 1) == await ask(network, 1) == {"type": "add_ok"}
    assert handler.calls == 1


@plain_and_async
@pytest.mark.parametrize("mark", [None, "again"])
async def test_no_reply_now_is_none_for_duplicates_either(is_async: bool, mark: str | None) -> None:
    """Where the handler returned None a duplicate is neither served nor answered."""
    node, once = Node(), AtMostOnce(mark=mark)
    handler = Counted(lambda _: None).register(node, once, is_async=is_async)
    async with running(node) as network:
        for _ in range(3):
            await network.send("c1", {"type": "add", "msg_id": 1})
        await network.receive_nothing()
    assert (handler.calls, once.duplicates) == (1, 2)


@plain_and_async
async def test_answer_stays_when_the_handler_changes_its_dict(is_async: bool) -> None:
    """What the handler does later to the dict it returned does not change the answer."""
    mine: dict[str, Any] = {"n": 1}
    node, once = Node(), AtMostOnce()
    Counted(lambda _: mine).register(node, once, is_async=is_async)
    async with running(node) as network:
        assert await ask(network, 1) == {"type": "add_ok", "n": 1}
        mine["n"] = 2
        mine["more"] = True
        assert await ask(network, 1) == {"type": "add_ok", "n": 1}


@plain_and_async
async def test_answer_stays_when_the_handler_changes_what_is_in_it(is_async: bool) -> None:
    """Nor do later changes to a list inside it, such as the messages seen so far, which grow with the next request."""
    seen: list[int] = []

    def see(n: int) -> object:
        seen.append(n)
        return {"seen": seen}

    node, once = Node(), AtMostOnce()
    Counted(see).register(node, once, is_async=is_async)
    async with running(node) as network:
        assert await ask(network, 1) == {"type": "add_ok", "seen": [1]}
        assert await ask(network, 2) == {"type": "add_ok", "seen": [1, 2]}
        assert await ask(network, 1) == {"type": "add_ok", "seen": [1]}


@plain_and_async
async def test_mark_tells_duplicates(is_async: bool) -> None:
    """With a mark each reply carries that field: false at first, true for a duplicate; errors carry none."""
    node, once = Node(), AtMostOnce(mark="again")
    Counted().register(node, once, is_async=is_async)
    Counted(crash).register(node, once, is_async=is_async, type_="crash")
    async with running(node) as network:
        assert await ask(network, 1) == {"type": "add_ok", "n": 1, "again": False}
        assert await ask(network, 1) == {"type": "add_ok", "n": 1, "again": True}
        assert await ask(network, 1) == {"type": "add_ok", "n": 1, "again": True}
        assert await ask(network, 2) == {"type": "add_ok", "n": 2, "again": False}
        for _ in range(2):
            assert "again" not in await ask(network, 3, type_="crash")


# In progress


async def test_duplicate_joins_the_request_that_is_being_served() -> None:
    """A duplicate that comes while the first is still being served waits for it, and gets the same answer."""
    node, once = Node(), AtMostOnce(mark="again")
    gate = Gate(node, once)
    async with running(node) as network:
        for _ in range(3):
            await network.send("c1", {"type": "wait", "msg_id": 1})
        await network.receive_nothing()
        assert (gate.calls, once.total, once.duplicates, len(once)) == ([1], 3, 2, 1)
        gate.open.set()
        replies = [(await network.receive()).body for _ in range(3)]
        assert [(body["calls"], body["in_reply_to"]) for body in replies] == [(1, 1)] * 3
        assert sorted(body["again"] for body in replies) == [False, True, True]
    assert gate.calls == [1]


@pytest.mark.parametrize(
    ("error", "code", "failures"), [(RpcError(22, "no"), 22, 0), (KeyError("no"), 13, 1)], ids=["refuses", "crashes"]
)
async def test_duplicates_join_a_failure(error: Exception, code: int, failures: int) -> None:
    """Those who joined get the error of the first; a crash is counted once."""
    node, once = Node(), AtMostOnce()
    gate = Gate(node, once, error)
    async with running(node) as network:
        for _ in range(3):
            await network.send("c1", {"type": "wait", "msg_id": 1})
        await wait_all_tasks_blocked()
        gate.open.set()
        assert [(await network.receive()).body["code"] for _ in range(3)] == [code] * 3
    assert (gate.calls, node.stats.handler_failures) == ([1], failures)


async def test_duplicates_of_a_cancelled_request_are_told_that_it_is_open() -> None:
    """If the first was cancelled while it was served, joined and later duplicates get error 13, which is indefinite,
    and it is not served again."""
    calls = []

    async def wait(request: Request) -> None:
        calls.append(request)
        await trio.sleep_forever()

    once = AtMostOnce()
    handler = once.wrap(make_handler(wait, {}))
    request = Request("c1", "n1", "wait", 1, {}, 0.0)
    errors: list[RpcError] = []

    async def ask_again() -> None:
        with pytest.raises(
            RpcError, match=r"^crash \(13\): the first request of this msg_id was cancelled while it was served$"
        ) as caught:
            await handler.call(request)
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as cancelled:
                cancelled.start_soon(handler.call, request)
                await wait_all_tasks_blocked()
                nursery.start_soon(ask_again)
                await wait_all_tasks_blocked()
                assert errors == []
                scope.cancel()
    await ask_again()
    assert [error.code for error in errors] == [ErrorCode.CRASH] * 2
    assert len(calls) == 1


@plain_and_async
@pytest.mark.parametrize(
    "error",
    [
        ExceptionGroup("one", [RpcError(20, "no k")]),
        ExceptionGroup("two", [RpcError(20, "no k"), RpcError(13, "died")]),
        ExceptionGroup("one", [ValueError("odd")]),
        ExceptionGroup("mixed", [ValueError("odd"), RpcError(0)]),
    ],
    ids=str,
)
async def test_duplicates_of_a_request_that_failed_with_a_group_get_its_answer(
    is_async: bool, error: Exception
) -> None:
    """What the first request is told of a group of errors, its duplicates are told as well."""

    def fail(_: int) -> object:
        raise error

    node, once = Node(), AtMostOnce()
    Counted(fail).register(node, once, is_async=is_async)
    async with running(node) as network:
        assert await ask(network, 1) == await ask(network, 1)
    assert once.duplicates == 1


async def test_duplicates_of_a_request_that_failed_while_it_was_cancelled_get_its_error() -> None:
    """If a handler is cancelled and its RPC fails on the way out, both in one group, the error is the answer."""

    async def fail_when_cancelled(request: Request) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as exc:
            raise BaseExceptionGroup("", [exc, RpcError(20, "no k"), RpcError(0, "late")]) from None

    handler = AtMostOnce().wrap(make_handler(fail_when_cancelled, {}))
    request = Request("c1", "n1", "wait", 1, {}, 0.0)
    with pytest.RaisesGroup(RpcError, RpcError), trio.CancelScope() as scope:
        scope.cancel()
        await handler.call(request)
    with pytest.raises(RpcError, match=r"^timeout \(0\): late$"):
        await handler.call(request)


async def test_cancelled_duplicate_leaves_the_first_alone() -> None:
    """A duplicate that is cancelled while it waits does not touch the request that is being served."""
    release = trio.Event()

    async def wait(request: Request) -> Body:
        await release.wait()
        return {"x": 1}

    handler = AtMostOnce().wrap(make_handler(wait, {}))
    request = Request("c1", "n1", "wait", 1, {}, 0.0)
    answers = []
    async with trio.open_nursery() as nursery:

        async def first() -> None:
            answers.append(await handler.call(request))

        nursery.start_soon(first)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await handler.call(request)
        assert scope.cancelled_caught
        release.set()
    assert answers == [await handler.call(request)] == [{"x": 1}]


async def test_error_does_not_grow_with_each_duplicate() -> None:
    """However many duplicates are answered with an error, its traceback does not get longer."""

    def refuse(request: Request) -> None:
        raise RpcError(22)

    handler = AtMostOnce().wrap(make_handler(refuse, {}))
    request = Request("c1", "n1", "add", 1, {}, 0.0)
    lengths = []
    for _ in range(5):
        with pytest.raises(RpcError) as caught:
            handler.call(request)
        lengths.append(len(caught.traceback))
    assert lengths[1:] == [lengths[1]] * 4


async def test_duplicate_of_a_request_that_closing_ends_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    """When a request waits for an RPC as the node closes it is not answered, and neither are those that joined it."""
    node, once = Node(), AtMostOnce()
    calls = []

    @node.on("ask", at_most_once=once)
    async def ask(request: Request) -> Body:
        calls.append(request.msg_id)
        return await node.rpc("n2", {"type": "ask"}, timeout=math.inf)

    async with running(node) as network:
        for msg_id in (1, 1, 2, 1):
            await network.send("c1", {"type": "ask", "msg_id": msg_id})
        assert [(await network.receive()).dest for _ in range(2)] == ["n2", "n2"]
        await network.receive_nothing()
        network.send_eof()
        with pytest.raises(trio.EndOfChannel):
            await network.receive()
    assert (calls, once.duplicates) == ([1, 2], 2)
    assert (node.stats.closed, node.stats.handler_failures) == (2, 0)
    assert caplog.messages == []


async def test_duplicate_of_a_request_with_a_nursery_that_closing_ends_is_not_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor is one answered whose first waited for several RPCs at once, in a nursery of its own."""
    node, once = Node(), AtMostOnce()

    @node.on("ask", at_most_once=once)
    async def ask() -> None:
        async with trio.open_nursery() as nursery:
            for dest in ("n2", "n3"):
                nursery.start_soon(node.rpc, dest, {"type": "ask"})

    async with running(node) as network:
        for _ in range(2):
            await network.send("c1", {"type": "ask", "msg_id": 1})
        assert {(await network.receive()).dest for _ in range(2)} == {"n2", "n3"}
        await network.receive_nothing()
        network.send_eof()
        with pytest.raises(trio.EndOfChannel):
            await network.receive()
    assert (once.duplicates, node.stats.closed, node.stats.handler_failures) == (1, 2, 0)
    assert caplog.messages == []


async def test_duplicate_of_a_plain_request_that_met_something_closed_crashes_as_it_did() -> None:
    """While the node runs a ClosedResourceError is the handler's own, and duplicates are told the same of it."""
    node, once = Node(), AtMostOnce()

    @node.on("add", at_most_once=once)
    def add() -> None:
        raise trio.ClosedResourceError("my file")

    async with running(node) as network:
        first, again = [await ask(network, 1) for _ in range(2)]
    assert first == again == {"type": "error", "code": 13, "text": "trio.ClosedResourceError: my file"}
