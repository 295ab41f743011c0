"""Replies as records: converted, and told if they do not fit, whichever way the RPC was made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_messenger import (
    Body,
    ErrorCode,
    LocalProtocolError,
    Node,
    QuorumNotReached,
    RemoteProtocolError,
    RetriesExhausted,
    RpcError,
    RpcTimeout,
)
from trio_messenger.testing import Network, assert_no_rpc_leaked, running


@attrs.frozen
class Vote:
    """A request that knows its type."""

    type: ClassVar[str] = "vote"
    term: int


@attrs.frozen
class VoteReply:
    """Its reply."""

    granted: bool
    term: int = 0
    type: Literal["vote_ok"] = "vote_ok"


MISFIT = "the reply of 'n2' does not fit: Expected `bool`, got `int` - at `$.granted`"

GOOD, BAD = {"type": "vote_ok", "granted": True}, {"type": "vote_ok", "granted": 1}


async def outcome_of_callback(node: Node) -> VoteReply | Exception:
    """Return what a callback is given."""
    outcomes: list[VoteReply | Exception] = []
    done = trio.Event()

    def callback(outcome: VoteReply | Exception) -> None:
        outcomes.append(outcome)
        done.set()

    node.rpc_callback("n2", Vote(1), callback, as_=VoteReply)
    await done.wait()
    return outcomes[0]


async def outcome_of(call: Callable[[], Any]) -> Any:
    """Return the result of a call, or the exception that it raises."""
    try:
        return await call()
    except RpcError as exc:
        return exc


CALLS: dict[str, Callable[[Node], Any]] = {
    "rpc": lambda node: outcome_of(lambda: node.rpc("n2", Vote(1), as_=VoteReply)),
    "callback": outcome_of_callback,
    "retry": lambda node: outcome_of(lambda: node.rpc_retry("n2", Vote(1), as_=VoteReply)),
    "all": lambda node: outcome_of(lambda: node.rpc_all(["n2"], Vote(1), as_=VoteReply)),
}


def reply_in(result: Any) -> Any:
    """Return the reply, or the error, in whatever a call returned."""
    gathered = {**getattr(result, "replies", {}), **getattr(result, "errors", {})}
    return gathered.get("n2", getattr(result, "reply", result))


async def answer(network: Network, body: Body) -> Body:
    """Answer the next request of the node with *body*, and return the request's body."""
    message = await network.receive()
    await network.reply(message, body)
    return message.body


async def called(how: str, *bodies: Body, node: Node) -> Any:
    """Make one call, whose requests are answered with *bodies*; return its outcome."""
    results: list[Any] = []

    async def call() -> None:
        results.append(await CALLS[how](node))

    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(call)
        for body in bodies:
            assert {**await answer(network, body), "msg_id": 0} == {"type": "vote", "term": 1, "msg_id": 0}
    assert_no_rpc_leaked(node)
    return reply_in(results[0])


@pytest.mark.parametrize("how", CALLS)
async def test_reply_is_converted(how: str, autojump_clock: MockClock) -> None:
    """Fields that it does not name have their defaults, and others, such as the reserved ones, are ignored."""
    node = Node()
    assert await called(how, {**GOOD, "more": 1}, node=node) == VoteReply(True)
    assert node.stats.misfit_replies == 0


@pytest.mark.parametrize("how", CALLS)
async def test_reply_that_does_not_fit_is_told_and_counted(
    how: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the node, the path and what was expected. It is indefinite: the peer may have acted."""
    node = Node()
    error = await called(how, BAD, node=node)
    assert isinstance(error, RemoteProtocolError)
    assert (str(error), error.text, error.code, error.definite) == (MISFIT, MISFIT, ErrorCode.CRASH, False)
    assert (node.stats.misfit_replies, node.stats.answered) == (1, 1)
    assert caplog.messages == [f"{MISFIT} (1 so far)"]


async def test_misfits_are_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A peer that sends nothing else is told of the first ten times, and then at each power of two; all are counted."""
    node = Node()

    async def call() -> None:
        with pytest.raises(RemoteProtocolError):
            await node.rpc("n2", Vote(1), as_=VoteReply)

    async with running(node) as network:
        for _ in range(17):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await answer(network, BAD)
    assert node.stats.misfit_replies == 17
    assert caplog.messages == [f"{MISFIT} ({count} so far)" for count in (*range(1, 11), 16)]


@pytest.mark.parametrize("how", CALLS)
async def test_error_reply_is_an_error_with_a_class_as_well(how: str, autojump_clock: MockClock) -> None:
    """It is not compared with the class."""
    node = Node()
    error = await called(how, RpcError(30, "conflict").to_body(), node=node)
    assert (type(error), error.code, node.stats.misfit_replies) == (RpcError, 30, 0)


async def test_handler_that_lets_a_misfit_pass_has_failed() -> None:
    """Its requester gets error 13 with the text, and the node logs and counts a failure."""
    node = Node()

    @node.on("ask")
    async def ask() -> Body:
        await node.rpc("n2", Vote(1), as_=VoteReply)
        return {}

    async with running(node) as network:
        await network.send("c1", {"type": "ask", "msg_id": 1})
        await answer(network, BAD)
        told = (await network.receive()).body
    assert (told["code"], told["text"]) == (13, MISFIT)
    assert node.stats.handler_failures == 1


# Quorums


async def quorum(node: Node, *replies: Body | RpcError, need: int) -> Any:
    """Ask as many nodes as there are *replies*, and count votes that are granted."""
    nodes = [f"n{number}" for number in range(2, 2 + len(replies))]
    results: list[Any] = []

    async def call() -> None:
        votes = node.rpc_quorum(nodes, Vote(1), need=need, as_=VoteReply, accept=lambda vote: vote.granted)
        results.append(await outcome_of(lambda: votes))

    async with running(node, node_ids=["n1", *nodes]) as network, trio.open_nursery() as nursery:
        nursery.start_soon(call)
        messages = [await network.receive() for _ in nodes]
        for message, reply in zip(messages, replies, strict=True):
            await network.reply(message, reply)
    assert_no_rpc_leaked(node)
    return results[0]


NO = {"type": "vote_ok", "granted": False, "term": 7}


async def test_only_accepted_replies_make_a_quorum() -> None:
    """A reply that is refused is kept by itself, and the call waits for others."""
    gathered = await quorum(Node(), NO, GOOD, GOOD, need=2)
    assert gathered.replies == {"n3": VoteReply(True), "n4": VoteReply(True)}
    assert (gathered.refused, gathered.errors) == ({"n2": VoteReply(False, 7)}, {})


async def test_quorum_that_refusals_prevent_is_told() -> None:
    """As soon as it is certain; the error has everything that came."""
    error = await quorum(Node(), NO, BAD, GOOD, need=2)
    assert isinstance(error, QuorumNotReached)
    assert error.text == (
        "0 of the 2 replies needed; n3: the reply of 'n3' does not fit: Expected `bool`, got `int` - at `$.granted`; "
        "n2: not accepted: VoteReply(granted=False, term=7, type='vote_ok')"
    )
    assert (error.refused, error.replies, list(error.errors)) == ({"n2": VoteReply(False, 7)}, {}, ["n3"])


async def test_what_accept_raises_ends_the_call() -> None:
    """A bug in it is not a matter of one node, and no record stays behind."""
    node = Node()

    async def call() -> None:
        with pytest.raises(KeyError, match="granted"):
            await node.rpc_quorum(["n2", "n3"], Vote(1), need=2, accept=lambda reply: reply["granted"])

    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await answer(network, {"type": "vote_ok"})
    assert_no_rpc_leaked(node)


# A body for each node


async def test_each_node_gets_its_own_body() -> None:
    """A function of the node's id makes it."""
    node = Node()
    terms = {"n2": 5, "n3": 6}
    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: node.rpc_all(node.peers, lambda peer: Vote(terms[peer])))
        asked = {message.dest: message.body["term"] for message in [await network.receive() for _ in terms]}
        nursery.cancel_scope.cancel()
    assert asked == terms


@pytest.mark.parametrize("bad", [{"type": "ask", "x": math.nan}, {"x": 1}, 3])
async def test_one_body_that_cannot_be_sent_keeps_all_from_being_sent(bad: object) -> None:
    """Either all requests are sent or none."""
    node = Node()
    async with running(node) as network:
        with pytest.raises(LocalProtocolError):
            await node.rpc_all(node.peers, lambda peer: Vote(1) if peer == "n2" else bad)
        await network.receive_nothing()
    assert node.stats.rpcs == 0


# Without a limit


async def test_retries_without_a_limit_go_on(autojump_clock: MockClock) -> None:
    """Until a reply comes, however late; late replies to the latest 64 attempts count, and no more is kept."""
    node, asked = Node(), list[int]()
    async with running(node) as network, trio.open_nursery() as nursery:
        results: list[Any] = []

        async def call() -> None:
            results.append(await node.rpc_retry("n2", {"type": "ask"}, attempts=math.inf, timeout=0.5))

        nursery.start_soon(call)
        for _ in range(200):
            asked.append((await network.receive()).body["msg_id"])
        await network.send("n2", {"type": "ask_ok", "in_reply_to": asked[-65]})  # forgotten
        await network.receive_nothing()
        assert results == []
        await network.send("n2", {"type": "ask_ok", "in_reply_to": asked[-40]})
    assert (results[0].attempts, results[0].reply["in_reply_to"]) == (200, asked[-40])
    assert_no_rpc_leaked(node)


@pytest.mark.parametrize("attempts", [0.5, math.nan, -math.inf, True, "3"])
async def test_other_limits_are_refused(attempts: Any) -> None:
    """Only whole numbers and infinity are limits."""
    async with running(node := Node()):
        with pytest.raises(ValueError, match=r"^attempts is .*; give a whole number, 1 \(no retry\) or more, or m"):
            await node.rpc_retry("n2", {"type": "ask"}, attempts=attempts)


async def test_retries_end_at_a_cancel_scope(autojump_clock: MockClock) -> None:
    """Which is how to limit their time."""
    async with running(node := Node()) as network:
        with trio.move_on_after(10) as scope:
            await node.rpc_retry("n2", {"type": "ask"}, attempts=math.inf, timeout=0.5)
        assert scope.cancelled_caught
        with pytest.raises(RetriesExhausted) as caught:
            await node.rpc_retry("n2", {"type": "ask"}, attempts=2, timeout=0.5)
        assert (caught.value.attempts, type(caught.value.last)) == (2, RpcTimeout)
        await network.receive()
    assert_no_rpc_leaked(node)
