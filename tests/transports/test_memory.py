"""The transport in memory: a pipe in both directions, without the pipe."""

from __future__ import annotations

import math

import msgspec
import pytest
import trio
from support.lines import line
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_messenger import MalformedMessage, Message, Transport
from trio_messenger.transports.memory import BATCHES, MemoryTransport, memory_transport_pair

A = Message("a", "b", {"type": "a"})
B = Message("b", "a", {"type": "b", "deep": {"list": [1]}})


def lines(*messages: Message) -> list[bytes]:
    """Encode *messages*."""
    return [msgspec.json.encode(message) for message in messages]


@pytest.fixture
def pair() -> tuple[MemoryTransport, MemoryTransport]:
    """Two transports that are connected."""
    return memory_transport_pair()


Pair = tuple[MemoryTransport, MemoryTransport]


async def test_what_one_sends_the_other_receives(pair: Pair) -> None:
    """Batches arrive as they were sent, in both directions, and each is one receive."""
    one, other = pair
    assert isinstance(one, Transport)
    await one.send(lines(A, B))
    await one.send(lines(B))
    await other.send(lines(A))
    assert await other.receive() == [A, B]
    assert await other.receive() == [B]
    assert await one.receive() == [A]


async def test_no_object_is_shared(pair: Pair) -> None:
    """A receiver owns what it gets: changing it changes nothing for the sender or another receive."""
    one, other = pair
    sent = lines(B)
    await one.send(sent)
    await one.send(sent)
    sent.clear()
    [first], [second] = await other.receive(), await other.receive()
    assert first == second == B
    first.body["deep"]["list"].append(2)
    assert second == B


async def test_any_bytes_may_be_sent(pair: Pair) -> None:
    """Half a line waits for its end, several come together, rubbish comes as malformed, blank lines not at all."""
    one, other = pair
    whole = line({"type": "t"})
    await one.send_bytes(whole[:5])
    await one.send_bytes(b"")
    await one.send_bytes(whole[5:] + whole + b"rubbish\n" + whole[:9])
    await one.send_bytes(whole[9:-1] + b"\n\n")
    message = Message("c1", "n1", {"type": "t"})
    [first, second, malformed] = await other.receive()
    assert [first, second] == [message, message]
    assert isinstance(malformed, MalformedMessage)
    assert await other.receive() == [message]
    with trio.move_on_after(0) as scope:
        await other.receive()
    assert scope.cancelled_caught


async def test_an_empty_batch_is_nothing(pair: Pair) -> None:
    """Sending no lines is allowed, and is no message."""
    one, other = pair
    with assert_checkpoints():
        await one.send([])
    await one.send(lines(A))
    assert await other.receive() == [A]


async def test_the_line_limit_is_that_of_the_pair() -> None:
    """A line over the limit comes as malformed at either end."""
    for sender, receiver in (memory_transport_pair(line_limit=50), memory_transport_pair(line_limit=50)[::-1]):
        await sender.send([b"x" * 51])
        [refused] = await receiver.receive()
        assert isinstance(refused, MalformedMessage)
        assert refused.reason == "the line is longer than the limit of 50 bytes; raise the limit or send less"


# The end


async def test_after_eof_there_is_no_more(pair: Pair) -> None:
    """EOF comes after what was sent before it, an unfinished line included, and stays; the way back is open."""
    one, other = pair
    await one.send(lines(A))
    await one.send_bytes(lines(B)[0])
    one.send_eof()
    assert await other.receive() == [A]
    assert await other.receive() == [B]
    for _ in range(2):
        with assert_checkpoints(), pytest.raises(trio.EndOfChannel):
            await other.receive()
    await other.send(lines(B))
    assert await one.receive() == [B]


async def test_eof_without_a_line_is_the_end(pair: Pair) -> None:
    """A stream that ends with blank bytes, or none, just ends."""
    one, other = pair
    await one.send_bytes(b" \r")
    one.send_eof()
    with pytest.raises(trio.EndOfChannel):
        await other.receive()


async def test_eof_ends_a_loop(pair: Pair) -> None:
    """`async for` over a transport ends at EOF, with all batches seen."""
    one, other = pair
    await one.send(lines(A))
    await one.send(lines(B))
    one.send_eof()
    assert [batch async for batch in other] == [[A], [B]]


async def test_sending_after_eof_is_an_error(pair: Pair) -> None:
    """Who said that nothing more will come cannot send, and may say it again."""
    one, _ = pair
    one.send_eof()
    one.send_eof()
    with pytest.raises(trio.ClosedResourceError):
        await one.send(lines(A))


async def test_a_closed_transport_does_nothing(pair: Pair) -> None:
    """After closing, both directions of this end are closed; closing twice is allowed, and always a checkpoint."""
    one, _ = pair
    for _ in range(2):
        with assert_checkpoints():
            await one.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await one.send(lines(A))
    with pytest.raises(trio.ClosedResourceError):
        await one.receive()


async def test_when_one_end_closes_the_other_learns_it(pair: Pair) -> None:
    """At the other end, receiving gives what was sent and then the end, and sending says what broke."""
    one, other = pair
    await one.send(lines(A))
    await one.aclose()
    assert await other.receive() == [A]
    with pytest.raises(trio.EndOfChannel):
        await other.receive()
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError, match=r"^the other end of the memory transport is closed$"):
            await other.send(lines(A))


async def test_closing_during_receive(pair: Pair, nursery: trio.Nursery) -> None:
    """A receive that waits ends with an error when its own end is closed, and with the end when the other is."""
    one, _ = pair
    seen: list[str] = []

    async def receive(transport: MemoryTransport) -> None:
        try:
            await transport.receive()
        except (trio.ClosedResourceError, trio.EndOfChannel) as exc:
            seen.append(type(exc).__name__)

    nursery.start_soon(receive, one)
    await wait_all_tasks_blocked()
    nursery.start_soon(one.aclose)
    await wait_all_tasks_blocked()
    assert seen == ["ClosedResourceError"]
    there, here = memory_transport_pair()
    nursery.start_soon(receive, there)
    await wait_all_tasks_blocked()
    await here.aclose()
    await wait_all_tasks_blocked()
    assert seen == ["ClosedResourceError", "EndOfChannel"]


async def test_closing_during_send(nursery: trio.Nursery) -> None:
    """A send that waits for room ends with an error when either end is closed."""
    seen: list[str] = []

    async def send(transport: MemoryTransport) -> None:
        try:
            await transport.send(lines(A))
        except (trio.ClosedResourceError, trio.BrokenResourceError) as exc:
            seen.append(type(exc).__name__)

    for closing in (0, 1):
        pair = memory_transport_pair(batches=0)
        nursery.start_soon(send, pair[0])
        await wait_all_tasks_blocked()
        await pair[closing].aclose()
        await wait_all_tasks_blocked()
    assert seen == ["ClosedResourceError", "BrokenResourceError"]


# Back-pressure and cancellation


@pytest.mark.parametrize("batches", [1, 3, BATCHES])
async def test_a_direction_holds_so_many_batches(batches: int, nursery: trio.Nursery) -> None:
    """The sender waits after as many batches as were agreed on, whatever their size; the way back is not affected."""
    one, other = memory_transport_pair(batches=batches)
    sent: list[int] = []

    async def send() -> None:
        for number in range(batches + 2):
            await one.send(lines(A) * (number + 1))
            sent.append(number)

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert len(sent) == batches
    await other.send(lines(B))
    assert await one.receive() == [B]
    assert await other.receive() == [A]
    await wait_all_tasks_blocked()
    assert len(sent) == batches + 1
    assert await other.receive() == [A, A]
    await wait_all_tasks_blocked()
    assert len(sent) == batches + 2


async def test_by_default_16_batches_wait(pair: Pair, nursery: trio.Nursery) -> None:
    """Without a number of batches, the 17th waits."""
    one, _ = pair
    for _ in range(16):
        await one.send(lines(A))
    with trio.CancelScope() as scope:
        nursery.start_soon(_cancel_when_blocked, scope)
        await one.send(lines(A))
    assert scope.cancelled_caught


async def test_there_may_be_no_limit() -> None:
    """``math.inf`` lets any number of batches wait."""
    one, other = memory_transport_pair(batches=math.inf)
    for _ in range(1000):
        await one.send(lines(A))
    one.send_eof()
    assert len([batch async for batch in other]) == 1000


async def test_send_and_receive_are_checkpoints(pair: Pair) -> None:
    """Both always let others run, also when they need not wait."""
    one, other = pair
    with assert_checkpoints():
        await one.send(lines(A))
    with assert_checkpoints():
        assert await other.receive() == [A]
    with assert_checkpoints():
        await one.send_bytes(b"\n")


async def test_a_cancelled_receive_has_taken_nothing(pair: Pair, nursery: trio.Nursery) -> None:
    """Whatever a cancelled receive had read of a line is there for the next."""
    one, other = pair
    data = lines(A)[0] + b"\n"
    with trio.CancelScope() as scope:
        scope.cancel()
        await other.receive()
    await one.send_bytes(data[:10])
    with trio.CancelScope() as scope:
        nursery.start_soon(_cancel_when_blocked, scope)
        await other.receive()
    assert scope.cancelled_caught
    await one.send_bytes(data[10:])
    with trio.CancelScope() as scope:
        scope.cancel()
        await other.receive()
    assert scope.cancelled_caught
    assert await other.receive() == [A]


async def test_a_receive_cancelled_at_the_end_can_be_repeated(pair: Pair) -> None:
    """The end is still the end for whoever was cancelled when it came."""
    one, other = pair
    await one.send_bytes(lines(A)[0])
    one.send_eof()
    for _ in range(2):
        with trio.CancelScope() as scope:
            scope.cancel()
            await other.receive()
        assert scope.cancelled_caught
    assert await other.receive() == [A]
    with trio.CancelScope() as scope:
        scope.cancel()
        await other.receive()
    assert scope.cancelled_caught
    with pytest.raises(trio.EndOfChannel):
        await other.receive()


async def test_a_cancelled_send_has_sent_nothing(nursery: trio.Nursery) -> None:
    """In memory a batch goes whole or not at all: cancelled while it waited, it did not go."""
    one, other = memory_transport_pair(batches=1)
    await one.send(lines(A))
    with trio.CancelScope() as scope:
        nursery.start_soon(_cancel_when_blocked, scope)
        await one.send(lines(B))
    assert scope.cancelled_caught
    assert await other.receive() == [A]
    await one.send(lines(A))
    assert await other.receive() == [A]


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()
