"""The envelope log: which messages it shows, in what order, and with which times."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import attrs
import pytest
import trio
from support.far_away import FarAway
from support.lines import line
from trio.testing import MockClock

from trio_messenger import Body, Envelope, EnvelopeLog, MessageLoss, Node, Request, Transport
from trio_messenger.testing import running

MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC).timestamp()


def heads(node: Node) -> list[tuple[str, str, str, str]]:
    return [(it.dir, it.src, it.dest, it.msg_type) for it in node.envelopes]


def doubler(envelope_log: int = 100) -> Node:
    node = Node(envelope_log=envelope_log)

    @node.on("double")
    def double(request: Request) -> Body:
        return {"value": request.body["value"] * 2}

    return node


async def test_log_shows_both_directions_in_their_order() -> None:
    """Each message has its envelope: requests as they were routed, replies and RPCs as they were sent."""
    node = doubler()
    async with running(node) as network:
        await network.send_bytes(b"".join(line({"type": "double", "msg_id": n, "value": n}) for n in (1, 2)))
        await network.receive()
        await network.receive()
        node.rpc_callback("n2", {"type": "ask"}, lambda _: None)
        await network.reply(await network.receive(), {"type": "ask_ok"})
        await network.receive_nothing()
    assert heads(node) == [
        ("RECV", "c0", "n1", "init"),
        ("SENT", "n1", "c0", "init_ok"),
        ("RECV", "c1", "n1", "double"),
        ("SENT", "n1", "c1", "double_ok"),
        ("RECV", "c1", "n1", "double"),
        ("SENT", "n1", "c1", "double_ok"),
        ("SENT", "n1", "n2", "ask"),
        ("RECV", "n2", "n1", "ask_ok"),
    ]


async def test_log_shows_what_is_refused_or_goes_astray() -> None:
    """A message for another node, of an unknown type or before init is shown; one without a type is not."""
    node = Node(envelope_log=100)
    async with running(node, init=False) as network:
        assert (await network.request("early"))["code"] == 11
    assert heads(node) == [("RECV", "c1", "n1", "early"), ("SENT", "n1", "c1", "error")]
    node = Node(envelope_log=100)
    async with running(node) as network:
        await network.send("c1", {"type": "stray"}, dest="n2")
        await network.send("c1", {"type": 5})
        await network.send_bytes(b"rubbish\n")
        assert (await network.request("unknown"))["code"] == 10
    assert heads(node)[2:] == [
        ("RECV", "c1", "n2", "stray"),
        ("RECV", "c1", "n1", "unknown"),
        ("SENT", "n1", "c1", "error"),
    ]


async def test_log_shows_lost_messages_as_sent() -> None:
    """What a lossy transport loses the node has sent, as far as it knows."""
    loss = MessageLoss()
    node = Node(envelope_log=100, wrap_transport=loss.wrap)
    async with running(node) as network:
        loss.turn_on(1.0, node.random)
        node.send_nowait("n2", {"type": "tell"})
        await network.receive_nothing()
    assert heads(node)[2:] == [("SENT", "n1", "n2", "tell")]


async def test_log_is_off_by_default() -> None:
    """A node that is not told otherwise keeps no envelope."""
    node = Node()
    assert not node.envelopes.is_on
    async with running(node):
        pass
    assert len(node.envelopes) == 0
    assert node.envelopes.latest(5) == []


async def test_log_is_a_ring() -> None:
    """Only the newest are kept, as many as it has room for, oldest first."""
    log = EnvelopeLog(3)
    assert log.is_on
    for number in range(5):
        assert len(log) == min(number, 3)
        log.note(0.0, "SENT", "n1", "n2", f"t{number}")
    assert [envelope.msg_type for envelope in log] == ["t2", "t3", "t4"]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, ["t3"]), (2, ["t2", "t3"]), (4, ["t0", "t1", "t2", "t3"])]
)
async def test_latest_are_the_newest_oldest_first(count: int, expected: list[str]) -> None:
    """As many of the newest as were asked for, in the order in which they were noted; none at all for 0."""
    log = EnvelopeLog(10)
    for number in range(4):
        log.note(0.0, "RECV", "n1", "n2", f"t{number}")
    assert [envelope.msg_type for envelope in log.latest(count)] == expected


async def test_latest_are_all_there_are_if_more_are_asked_for() -> None:
    """A count beyond what is there is no error, on an empty log either."""
    log = EnvelopeLog(10)
    assert log.latest(5) == []
    log.note(0.0, "RECV", "n1", "n2", "t")
    assert len(log.latest(5)) == len(log.latest(10**9)) == 1


async def test_long_names_are_cut() -> None:
    """Of names and types, which peers choose, 256 characters are kept; the messages themselves are whole."""
    node = Node(envelope_log=100)
    long = "x" * 1_000_000
    async with running(node) as network:
        await network.send(f"c{long}", {"type": f"t{long}", "msg_id": 1})
        assert (await network.receive()).dest == f"c{long}"
        node.send_nowait(f"n{long}", {"type": f"u{long}"})
        message = await network.receive()
        assert (message.dest, message.body["type"]) == (f"n{long}", f"u{long}")
    assert heads(node)[2:] == [
        ("RECV", f"c{long[:255]}", "n1", f"t{long[:255]}"),
        ("SENT", "n1", f"c{long[:255]}", "error"),
        ("SENT", "n1", f"n{long[:255]}", f"u{long[:255]}"),
    ]
    log = EnvelopeLog(1)
    log.note(0.0, "SENT", long[:256], long[:257], long[:255])
    (envelope,) = log
    assert [len(envelope.src), len(envelope.dest), len(envelope.msg_type)] == [256, 256, 255]


async def test_times_are_read_off_trios_clock_and_shown_in_utc(autojump_clock: MockClock) -> None:
    """Times between messages are Trio's; the time of day is that of the look, however the clock was set meanwhile."""
    shown = 0.0
    log = EnvelopeLog(10, lambda: shown)
    log.note(trio.current_time(), "RECV", "c1", "n1", "a")
    await trio.sleep(1.5)
    log.note(trio.current_time(), "SENT", "n1", "c1", "b")
    await trio.sleep(2.0)
    shown = MIDNIGHT
    assert list(log) == [
        Envelope("2026-01-01T23:59:56.500000+00:00", "RECV", "c1", "n1", "a"),
        Envelope("2026-01-01T23:59:58+00:00", "SENT", "n1", "c1", "b"),
    ]


async def test_times_are_those_of_the_world_that_the_node_is_in(autojump_clock: MockClock) -> None:
    """The time of day is that of the transport, also when the node has closed: a simulated run can be repeated."""
    worlds = []

    def wrap(transport: Transport) -> Transport:
        worlds.append(FarAway(transport))
        return worlds[-1]

    node = Node(envelope_log=100, wrap_transport=wrap)
    async with running(node):
        await trio.sleep(1.5)
        node.send_nowait("n2", {"type": "tell"})
        assert [envelope.ts for envelope in node.envelopes] == [
            "2026-01-02T00:00:00+00:00",
            "2026-01-02T00:00:00+00:00",
            "2026-01-02T00:00:01.500000+00:00",
        ]
        worlds[0].ahead = 3600.0
    assert [envelope.ts for envelope in node.envelopes.latest(1)] == ["2026-01-02T01:00:01.500000+00:00"]


async def test_log_of_its_own_tells_the_time_of_this_machine() -> None:
    """A log that is not told whose clock to look at looks at this one's."""
    log = EnvelopeLog(1)
    log.note(trio.current_time(), "RECV", "c1", "n1", "a")
    before = time.time()
    (envelope,) = log
    assert before - 1e-3 <= datetime.fromisoformat(envelope.ts).timestamp() <= time.time() + 1e-3


async def test_envelope_has_the_fields_of_a_log_entry_in_their_order() -> None:
    """As a dict it is what `get_log` shows."""
    log = EnvelopeLog(1)
    log.note(trio.current_time(), "RECV", "c1", "n1", "a")
    assert list(attrs.asdict(log.latest(1)[0])) == ["ts", "dir", "src", "dest", "msg_type"]


@pytest.mark.parametrize("make", [EnvelopeLog, doubler])
def test_capacity_is_not_negative(make: type[EnvelopeLog]) -> None:
    """A negative capacity is refused, by the log and by the node."""
    with pytest.raises(ValueError, match=f"^{re.escape('envelope_log is -1; give 0 (no log) or more')}$"):
        make(-1)
