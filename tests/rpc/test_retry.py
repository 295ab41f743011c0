"""rpc_retry: what is tried again and when, what it says of it, and that no attempt leaves anything behind."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import pickle
from random import Random
from typing import Any

import attrs
import pytest
import trio
from support.lines import line
from support.retries import ASK, STEADY, assert_nothing_left
from support.scripted_peers import OK, Replies, error, scripted
from support.slow_reader import fill_outbox, slow_reader
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import (
    Backoff,
    Body,
    ErrorCode,
    LocalProtocolError,
    Node,
    Retried,
    RetriesExhausted,
    RpcError,
    RpcTimeout,
)
from trio_messenger.testing import Network, running

# What is tried again


async def test_first_reply_ends_the_call(autojump_clock: MockClock) -> None:
    """A reply to the first attempt is the answer: one request, one attempt, no delay."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.25, {"type": "ask_ok", "x": 1})]) as script:
        retried = await node.rpc_retry("n2", ASK)
        assert trio.current_time() == 0.25
        assert retried == Retried(reply={"type": "ask_ok", "x": 1, "in_reply_to": 1}, attempts=1, delay=0.0)
        await trio.sleep(10)
        assert script.times == [0.0]
    assert_nothing_left(node)


async def test_timeouts_are_tried_again(autojump_clock: MockClock) -> None:
    """Each attempt waits its own timeout, then the backoff; the outcome says how many there were and how long waits
    between them took."""
    node = Node()
    async with running(node) as network, scripted(network, [], [], [(0.125, OK)]) as script:
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 1.875
        assert retried == Retried(reply={"type": "ask_ok", "in_reply_to": 3}, attempts=3, delay=0.75)
        assert script.times == [0.0, 0.75, 1.75]
    assert (node.stats.reaped, node.stats.answered, node.stats.abandoned) == (2, 1, 0)
    assert_nothing_left(node)


async def test_refusals_are_tried_again(autojump_clock: MockClock) -> None:
    """After error 11 only the backoff is waited for, not the timeout."""
    node = Node()
    async with running(node) as network, scripted(network, [(0.125, error(11))], [(0, error(11))], [(0, OK)]) as script:
        retried = await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 0.875
        assert (retried.attempts, retried.delay) == (3, 0.75)
        assert script.times == [0.0, 0.375, 0.875]
    assert_nothing_left(node)


async def test_timeout_of_the_peer_is_tried_again(autojump_clock: MockClock) -> None:
    """Error 0 says the same as a timeout of our own, and is worth another attempt, too."""
    node = Node()
    async with running(node) as network, scripted(network, [(0, error(0))], [(0, OK)]):
        assert (await node.rpc_retry("n2", ASK, backoff=STEADY)).attempts == 2
        assert trio.current_time() == 0.25
    assert_nothing_left(node)


@pytest.mark.parametrize("code", [1, 10, 12, 13, 14, 20, 21, 22, 30, 99, 1000, 1001])
async def test_other_errors_end_the_call(code: int, autojump_clock: MockClock) -> None:
    """An error that is neither 11 nor 0 is raised as it came, and there is no further attempt."""
    node = Node(definite_codes=[1001])
    async with running(node) as network, scripted(network, [], [(0.125, error(code, "no such"))]) as script:
        with pytest.raises(RpcError) as caught:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert type(caught.value) is RpcError
        assert (caught.value.code, caught.value.text) == (code, "no such")
        assert caught.value.definite == (code not in (13, 99, 1000))
        assert trio.current_time() == 0.875
        await trio.sleep(10)
        assert len(script.requests) == 2
    assert_nothing_left(node)


async def test_attempts_are_requests_of_their_own_with_the_same_body(autojump_clock: MockClock) -> None:
    """Each attempt has a fresh msg_id and else the same body; the caller's body stays as it is."""
    node = Node()
    body = {"type": "ask", "id": "c1-7", "msg_id": 70, "in_reply_to": 71}
    async with running(node) as network, scripted(network, [], [(0, error(11))], [(0, OK)]) as script:
        await node.rpc_retry("n2", body, timeout=0.5, backoff=STEADY)
        assert [(request.src, request.dest) for request in script.requests] == [("n1", "n2")] * 3
        assert [request.body for request in script.requests] == [
            {"type": "ask", "id": "c1-7", "msg_id": number} for number in (1, 2, 3)
        ]
    assert body == {"type": "ask", "id": "c1-7", "msg_id": 70, "in_reply_to": 71}


async def test_body_may_be_a_record(autojump_clock: MockClock) -> None:
    """An attrs record is sent anew for each attempt, too."""

    @attrs.frozen
    class Question:
        type: str
        about: str

    node = Node()
    async with running(node) as network, scripted(network, [], [(0, OK)]) as script:
        await node.rpc_retry("n2", Question("ask", "weather"), backoff=STEADY)
        assert [request.body["about"] for request in script.requests] == ["weather", "weather"]


@pytest.mark.parametrize(("rpc_timeout", "timeout", "second"), [(0.5, None, 0.75), (0.5, 1.0, 1.25), (2.0, 0.0, 0.25)])
async def test_timeout_is_that_of_the_call_or_of_the_node(
    rpc_timeout: float, timeout: float | None, second: float, autojump_clock: MockClock
) -> None:
    """Each attempt waits as long as the call says, 0 s included, or else the node's rpc_timeout."""
    node = Node(rpc_timeout=rpc_timeout)
    async with running(node) as network, scripted(network, [], [(0, OK)]) as script:
        await node.rpc_retry("n2", ASK, timeout=timeout, backoff=STEADY, attempts=3)
        assert script.times == [0.0, second][: len(script.times)]
        assert script.times[1] == second


async def test_calls_at_once_do_not_mix(autojump_clock: MockClock) -> None:
    """Each of two calls gets the reply to one of its own attempts."""
    node = Node()
    answers: dict[str, Retried[Body]] = {}

    async def ask(name: str) -> None:
        answers[name] = await node.rpc_retry("n2", {"type": "ask", "name": name}, timeout=0.5, backoff=STEADY)

    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(ask, "a")
        nursery.start_soon(ask, "b")
        requests = [await network.receive() for _ in range(4)]
        for request in reversed(requests[2:]):
            await network.reply(request, {"type": "ask_ok", "name": request.body["name"]})
    assert {name: retried.reply["name"] for name, retried in answers.items()} == {"a": "a", "b": "b"}
    assert_nothing_left(node)


# Exhausted


@pytest.mark.parametrize(
    ("replies", "code", "last", "text"),
    [
        ([[], []], 0, RpcTimeout, "RPC failed after 2 attempts: no reply from 'n2' to msg_id 2 within 0.5 s"),
        (
            [[(0, error(11, "busy"))], [(0, error(11, "full"))]],
            11,
            RpcError,
            "RPC failed after 2 attempts: temporarily-unavailable (11): full",
        ),
        (
            [[], [(0, error(11, "busy"))]],
            0,
            RpcError,
            "RPC failed after 2 attempts: temporarily-unavailable (11): busy",
        ),
        (
            [[(0, error(11, "busy"))], []],
            0,
            RpcTimeout,
            "RPC failed after 2 attempts: no reply from 'n2' to msg_id 2 within 0.5 s",
        ),
        (
            [[(0, error(0, "slow"))], [(0, error(11, "busy"))]],
            0,
            RpcError,
            "RPC failed after 2 attempts: temporarily-unavailable (11): busy",
        ),
    ],
)
async def test_exhausted_retries_say_what_happened(
    replies: list[Replies], code: int, last: type[RpcError], text: str, autojump_clock: MockClock
) -> None:
    """RetriesExhausted carries the attempts and the last error, which is its cause, and is definite only if every
    attempt was refused; copies and pickles are the same."""
    node = Node()
    async with running(node) as network, scripted(network, *replies):
        with pytest.raises(RetriesExhausted) as caught:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=2)
    exhausted = caught.value
    assert exhausted.__cause__ is exhausted.last
    for each in (exhausted, copy.copy(exhausted), pickle.loads(pickle.dumps(exhausted))):
        assert type(each) is RetriesExhausted
        assert (each.attempts, type(each.last), str(each.last)) == (2, last, str(exhausted.last))
        assert (each.code, each.definite) == (code, code == 11)
        assert str(each) == each.text == text
    assert exhausted.to_body() == {"type": "error", "code": code, "text": text}
    assert_nothing_left(node)


async def test_last_attempt_is_not_followed_by_a_wait(autojump_clock: MockClock) -> None:
    """The call ends when its last attempt does; a single attempt is a plain RPC."""
    node = Node()
    async with running(node) as network, scripted(network) as script:
        with pytest.raises(RetriesExhausted) as caught:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=1)
        assert trio.current_time() == 0.5
        assert caught.value.attempts == 1
        with pytest.raises(RetriesExhausted) as caught:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=3)
        assert trio.current_time() == 0.5 + 2.25
        assert caught.value.attempts == 3
        assert len(script.requests) == 4
    assert_nothing_left(node)


async def test_last_error_is_that_of_the_last_attempt(autojump_clock: MockClock) -> None:
    """A late refusal of an earlier attempt is not what the last attempt failed with."""
    node = Node()
    async with running(node) as network, scripted(network, [(1.0, error(11))]):
        with pytest.raises(RetriesExhausted) as caught:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=2)
        assert isinstance(caught.value.last, RpcTimeout)
        assert (caught.value.last.msg_id, caught.value.last.seconds) == (2, 0.5)
        assert caught.value.code == ErrorCode.TIMEOUT


@pytest.mark.parametrize("attempts", [0, -1])
async def test_fewer_attempts_than_1_are_refused(attempts: int) -> None:
    """A call that would never send raises instead, and sends nothing."""
    node = Node()
    async with running(node) as network:
        with pytest.raises(ValueError, match=rf"^attempts is {attempts}; give a whole number, 1 \(no"):
            await node.rpc_retry("n2", ASK, attempts=attempts)
        await network.receive_nothing()
    assert node.stats.rpcs == 0


# Other ways out


@pytest.mark.parametrize(
    ("dest", "body", "timeout", "exception", "text"),
    [
        ("n2", {"x": 1}, None, LocalProtocolError, r"a body needs a 'type' that is a string: \{'x': 1\}"),
        (7, ASK, None, LocalProtocolError, "dest is the id of a node, a string, not 7"),
        (
            "n2",
            ASK,
            -1,
            ValueError,
            "the timeout of an RPC is -1 s; give 0 or more, or math.inf to wait forever",
        ),
    ],
)
async def test_what_cannot_be_sent_is_not_tried_again(
    dest: Any, body: object, timeout: float | None, exception: type[Exception], text: str
) -> None:
    """A request that cannot be sent at all ends the call at once, and leaves no record."""
    node = Node()
    async with running(node) as network:
        with pytest.raises(exception, match=f"^{text}$"):
            await node.rpc_retry(dest, body, timeout=timeout, backoff=STEADY)
        await network.receive_nothing()
    assert_nothing_left(node)


async def test_closing_ends_the_attempt_at_hand(autojump_clock: MockClock) -> None:
    """When the node closes, a call that waits for a reply ends at once with ClosedResourceError."""
    node = Node()
    async with running(node) as network:
        with pytest.RaisesGroup(
            pytest.RaisesExc(trio.ClosedResourceError, match=r"^the node closed before 'n2' replied to msg_id 2$")
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_eof_at, network, 1.0)
                await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 1.0
    assert node.stats.closed == 1
    assert_nothing_left(node)


async def test_closing_ends_the_wait_for_a_late_reply(autojump_clock: MockClock) -> None:
    """When the node closes between two attempts, the call ends at once: no reply can come any more."""
    node = Node()
    async with running(node) as network:
        with pytest.RaisesGroup(
            pytest.RaisesExc(trio.ClosedResourceError, match=r"^the node closed before 'n2' replied to msg_id 1$")
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_eof_at, network, 0.625)
                await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 0.625
    assert node.stats.closed == 0
    assert_nothing_left(node)


async def test_closing_ends_the_call_after_a_refusal(autojump_clock: MockClock) -> None:
    """When the node closes while a call waits after error 11, it ends at once, with ClosedResourceError."""
    node = Node()
    async with running(node) as network, scripted(network, [(0, error(11))]):
        with pytest.RaisesGroup(
            pytest.RaisesExc(trio.ClosedResourceError, match=r"^the node closed before 'n2' replied to msg_id 1$")
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_eof_at, network, 0.125)
                await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert trio.current_time() == 0.125
    assert_nothing_left(node)


async def send_eof_at(network: Network, seconds: float) -> None:
    await trio.sleep_until(seconds)
    network.send_eof()


async def test_closed_node_tries_nothing() -> None:
    """On a node that is closed the call raises ClosedResourceError at once."""
    node = Node()
    async with running(node):
        pass
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and sends no more RPCs$"):
        await node.rpc_retry("n2", ASK)
    assert_nothing_left(node)


@pytest.mark.parametrize("seconds", [0.25, 0.5, 0.625, 0.75, 1.0, 2.0])
async def test_cancel_scope_around_the_call_bounds_it(seconds: float, autojump_clock: MockClock) -> None:
    """A scope that ends during an attempt or a wait ends the call there, and leaves nothing behind."""
    node = Node()
    async with running(node) as network, scripted(network):
        with trio.move_on_after(seconds) as scope:
            await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY)
        assert scope.cancelled_caught
        assert trio.current_time() == seconds
        assert_nothing_left(node)


async def test_attempts_wait_for_room_in_the_outbox(autojump_clock: MockClock) -> None:
    """Like rpc(), each attempt waits until the outbox has room, and only then is registered and its timeout begins."""
    node = Node(outbox_limit=1)
    async with slow_reader(node) as reader:
        await fill_outbox(node)
        retried: list[Retried[Body]] = []

        async def call() -> None:
            retried.append(await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY))

        reader.nursery.start_soon(call)
        await trio.sleep(8)
        assert node.stats.rpcs == 0
        kinds = [message.body["type"] for message in await reader.receive(3)]
        assert kinds == ["first", "second", "ask"]
        assert [rpc.sent_at for rpc in node.pending] == [8.0]
        await trio.sleep(0.5)
        await fill_outbox(node)
        await trio.sleep(4)
        assert (node.stats.rpcs, len(node.pending)) == (1, 0)
        await reader.send(line({"type": "ask_ok", "in_reply_to": 3}, src="n2"))
        await reader.receive(2)
        await wait_all_tasks_blocked()
        assert [outcome.reply for outcome in retried] == [{"type": "ask_ok", "in_reply_to": 3}]
        assert_nothing_left(node)


# Where the waits come from


async def attempt_times(node: Node, **kwargs: Any) -> list[float]:
    """Return when the node sent each attempt of a call that gets no reply, from its start."""
    start = trio.current_time()
    async with running(node) as network, scripted(network) as script:
        with pytest.raises(RetriesExhausted):
            await node.rpc_retry("n2", ASK, timeout=0.5, **kwargs)
    return [time - start for time in script.times]


async def test_default_is_six_attempts_with_the_default_backoff(autojump_clock: MockClock) -> None:
    """By default a request is sent six times, with the waits of Backoff() between."""
    times = await attempt_times(Node(seed=1))
    waits = [later - earlier - 0.5 for earlier, later in itertools.pairwise(times)]
    assert len(waits) == 5
    for wait, scheduled in zip(waits, Backoff().schedule(5), strict=True):
        assert scheduled - 1e-9 <= wait <= scheduled * 1.1 + 1 / 128


@pytest.mark.parametrize("backoff", [None, Backoff(base=0.25, jitter=1)])
async def test_jitter_comes_from_the_random_of_the_node(backoff: Backoff | None, autojump_clock: MockClock) -> None:
    """Nodes with the same seed try again at the same times, one with another seed at others, whether the backoff is
    the default or one that has no generator of its own."""
    delays = [await delay_of_three_retries(Node(seed=seed), backoff) for seed in (1, 1, 2)]
    assert delays[0] == pytest.approx(delays[1], abs=1e-9)
    assert delays[0] != pytest.approx(delays[2], abs=1e-3)
    expected = iter((backoff or Backoff()).with_random(Random(1)))
    assert delays[0] == pytest.approx(sum(next(expected) for _ in range(3)), abs=1e-9)


async def delay_of_three_retries(node: Node, backoff: Backoff | None) -> float:
    """Return the delay that a call reports which is refused three times and then answered."""
    refusals = [[(0, error(11))]] * 3
    async with running(node) as network, scripted(network, *refusals, [(0, OK)]):
        return (await node.rpc_retry("n2", ASK, backoff=backoff)).delay


async def test_backoff_keeps_its_own_generator(autojump_clock: MockClock) -> None:
    """A backoff with a generator of its own does not draw from the node's."""
    node = Node(seed=1)
    state = node.random.getstate()
    await attempt_times(node, backoff=Backoff(random=Random(5)))
    assert node.random.getstate() == state


# Counting


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
async def test_every_attempt_is_counted_once(seed: int, autojump_clock: MockClock) -> None:
    """Whatever comes, in time, late, twice, never, and wherever the call ends, all attempts are accounted for."""
    random = Random(seed)

    def replies() -> Replies:
        return [
            (random.randrange(64) / 16, random.choice([OK, error(11), error(0), error(22)]))
            for _ in range(random.choice([0, 0, 1, 2, 3]))
        ]

    node = Node(seed=seed)
    async with running(node) as network, scripted(network, *[replies() for _ in range(20)]):
        for _ in range(5):
            with trio.move_on_after(random.choice([0.5, 2.0, math.inf])):
                with contextlib.suppress(RpcError):
                    await node.rpc_retry("n2", ASK, timeout=0.5, backoff=STEADY, attempts=random.randint(1, 5))
            assert_nothing_left(node)
        await trio.sleep(8)
    assert node.stats.rpcs == node.stats.answered + node.stats.reaped + node.stats.abandoned + node.stats.closed
    assert node.stats.unknown_replies == 0
