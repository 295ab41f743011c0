"""The simulated network: who hears what, and when."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing
from support.network_plays import Line, play
from support.stage import Stage, staged

from trio_messenger.sim._faults.faults import (
    Fault,
    Loss,
    Partition,
    SlowLinks,
)
from trio_messenger.sim._network.latency_distribution import Latency
from trio_messenger.sim._network.network import Delivery


def test_a_message_is_delivered_as_it_was_sent() -> None:
    """The receiver gets the message decoded, its line, and its number; others get nothing."""
    got: list[Delivery] = []

    async def script(stage: Stage) -> None:
        stage.join("n1", "n3")
        stage.network.attach("n2", "nodes", got.append)
        stage.network.send(b'{"src": "n1","dest":"n2",  "body":{"type":"x","y":[1,"\xc3\xa9"]}}')

    stage = staged(script)
    [delivery] = got
    assert (delivery.message.src, delivery.message.dest, delivery.id) == ("n1", "n2", 0)
    assert delivery.message.body == {"type": "x", "y": [1, "é"]}
    assert delivery.line == b'{"src": "n1","dest":"n2",  "body":{"type":"x","y":[1,"\xc3\xa9"]}}'
    assert stage.heard == []


@pytest.mark.parametrize("line", [b"", b"hello", b"[]", b'{"src": "n1", "dest": "n2"}'])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    """A line that is no message raises where it is sent, and leaves no trace."""

    async def script(stage: Stage) -> None:
        with pytest.raises(msgspec.DecodeError):
            stage.network.send(line)
        stage.join("n2")
        stage.say("n1", "n2")

    assert staged(script).fates() == [(0, "deliver", None, None)]


def test_a_message_to_nobody_is_dropped() -> None:
    """A message to an id that never was in the network is dropped as such; one to itself is heard."""
    stage = staged(play([Line(1, "n1", "n9"), Line(2, "n1", "n1")]))
    assert stage.fates() == [(0, "drop", "unknown", None), (1, "deliver", None, None)]


def test_who_joins_later_is_what_it_is_then() -> None:
    """What was sent to an id before anybody had it settles nothing: whoever joins as a client has no latency."""

    async def script(stage: Stage) -> None:
        stage.join("n1")
        stage.say("n1", "c1", "early")
        stage.join("c1")
        stage.say("n1", "c1", "late")
        assert stage.values() == ["late"]
        await stage.until(2)

    assert staged(script, latency=Latency(1000)).values() == ["late"]


def test_who_has_left_hears_nothing_more() -> None:
    """What is sent to one who has left is dropped; so is what was on its way, even if the receiver is back by then."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.say("n1", "n2", "in flight")
        stage.network.detach("n2")
        assert stage.network.role("n2") == "nodes"
        stage.say("n1", "n2", "while away")
        await stage.until(0.5)
        stage.join("n2")
        stage.say("n1", "n2", "after")
        await stage.until(2)

    stage = staged(script, latency=Latency(1000))
    assert stage.values() == ["after"]
    assert stage.fates() == [(0, "drop", "down", None), (1, "drop", "down", None), (2, "deliver", None, None)]


def test_the_copy_of_what_was_lost_with_a_receiver_is_lost() -> None:
    """A copy of a message from before the receiver came back is as old as the message."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.say("n1", "n2")
        stage.network.detach("n2")
        stage.join("n2")
        await stage.until(1)

    stage = staged(script, duplicate=1)
    assert stage.fates() == [(0, "duplicate", None, None), (0, "deliver", None, None), (0, "drop", "down", None)]


def test_roles_are_known() -> None:
    """The network tells nodes, services and clients apart, and knows no others."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "c1", "lin-kv")
        assert [stage.network.role(name) for name in ("n1", "c1", "lin-kv", "x")] == [
            *("nodes", "clients", "services", None)
        ]

    staged(script)


def test_messages_keep_their_order_on_a_link() -> None:
    """With one latency for all, messages are heard in the order in which they were sent, also within one moment."""
    lines = [Line(1 + i // 4, "n1", "n2") for i in range(12)]
    for latency in (0, 5, 1000):
        assert staged(play(lines), latency=Latency(latency)).values() == list(range(12))


def test_what_is_due_now_goes_before_what_is_sent_now() -> None:
    """A message without latency does not overtake one that is due at the same moment."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        stage.network.begin(0, SlowLinks(extra=1))
        stage.say("n1", "n2", "slow")
        stage.network.end(0)
        await stage.until(0.5)
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(0.5)  # the first is due, and nobody has had the time to deliver it
        stage.say("n1", "n2", "fast")
        assert stage.values() == []
        await stage.until(1)

    assert staged(script).values() == ["slow", "fast"]


@pytest.mark.parametrize("latency", [0, 250])
@pytest.mark.parametrize("fault", [Partition(at=1, until=2), Loss(at=1, until=2, rate=1)])
def test_a_fault_begins_and_ends_before_all_else_at_that_moment(fault: Fault, latency: float) -> None:
    """What arrives just when a fault begins is touched, what arrives just when it ends is not, whatever the seed."""
    lines = [Line(at - latency / 1000, "n1", "n2") for at in (0.75, 1, 1.75, 2)]
    for seed in range(20):
        assert staged(play(lines), faults=[fault], latency=Latency(latency), seed=seed).values() == [0, 3]


def test_links_become_slow_before_all_else_at_that_moment() -> None:
    """The same holds for what is decided when a message is sent."""
    lines = [Line(at, "n1", "n2") for at in (0.75, 1, 1.75, 2)]
    for seed in range(20):
        stage = staged(play(lines), faults=[SlowLinks(at=1, until=2, extra=3)], seed=seed)
        assert [heard.at for heard in stage.heard] == [0.75, 2, 4, 4.75]


def test_without_latency_it_is_heard_while_it_is_sent() -> None:
    """Where nothing delays a message, it has been heard when `send` returns, and what it causes as well."""

    async def script(stage: Stage) -> None:
        def answer(delivery: Delivery) -> None:
            stage.say("n2", "n1", "pong")

        stage.join("n1")
        stage.network.attach("n2", "nodes", answer)
        stage.say("n1", "n2", "ping")
        assert stage.values() == ["pong"]

    assert [entry.event for entry in staged(script).journal] == ["send", "deliver", "send", "deliver"]
