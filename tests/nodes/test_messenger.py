"""The messenger node: its messages, as the table of its message types has them, seen from the network."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from support.lines import line
from support.messenger import ECHO, error, keys, send
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Request
from trio_messenger.nodes import NODES, messenger
from trio_messenger.nodes.messenger import build
from trio_messenger.testing import running
from trio_messenger.transports.memory import MemoryTransport


async def converse(given: bytes) -> bytes:
    """Give a messenger these bytes and the end of input, and return all the bytes that it sends."""
    to_node, input_ = trio.open_memory_channel[bytes](1)
    output, from_node = trio.open_memory_channel[bytes](100)
    with from_node:
        to_node.send_nowait(given)
        to_node.close()
        await build().serve(MemoryTransport(output, input_, 1 << 20))
        return b"".join([data async for data in from_node])


def test_it_is_listed() -> None:
    """The messenger is among the ready-made nodes."""
    assert "messenger" in NODES


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            b'{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}\n'
            b'{"src":"c1","dest":"n1","body":{"type":"pending_count","msg_id":2}}\n',
            b'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}\n'
            b'{"src": "n1", "dest": "c1", "body": {"type": "pending_count_ok", "count": 0, "in_reply_to": 2, '
            b'"msg_id": 1}}\n',
        ),
        (
            b'{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}\n'
            b'{"src":"c1","dest":"n1","body":{"type":"send_fire_forget","msg_id":2,"target":"n2",'
            b'"payload":{"type":"echo","echo":"lost"}}}\n',
            b'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}\n'
            b'{"src": "n1", "dest": "n2", "body": {"type": "echo", "echo": "lost", "msg_id": 1}}\n'
            b'{"src": "n1", "dest": "c1", "body": {"type": "send_fire_forget_ok", "pending": 1, "in_reply_to": 2, '
            b'"msg_id": 2}}\n',
        ),
    ],
    ids=["pending_count", "send_fire_forget"],
)
async def test_output_is_exact_to_the_byte(given: bytes, expected: bytes, autojump_clock: MockClock) -> None:
    """The two reference conversations come out byte for byte, and the end of input costs no time."""
    start = trio.current_time()
    assert await converse(given) == expected
    assert trio.current_time() == start


def test_module_reads_like_the_table() -> None:
    """Each message is a few lines over the toolkit: the module has at most 250."""
    assert len(Path(messenger.__file__).read_text().splitlines()) <= 250


def test_each_build_is_a_new_node() -> None:
    """build() returns a node of its own each time."""
    assert build() is not build()


async def test_unknown_type_is_error_10_which_lists_every_message() -> None:
    """The refusal names all the types there are: those of the table."""
    async with running(build()) as network:
        code, text = error(await network.request("nonsense"))
    types = (
        "backoff_relay, batch_echo, bench_echo, bench_stats, chaos_off, chaos_on, chaos_stats, compute_backoff, "
        "dedup_echo, dedup_stats, echo, get_log, init, pending_count, proxy, reaper_stats, relay, send_fire_forget, "
        "validate"
    )
    assert (code, text) == (10, f"this node does not handle 'nonsense'; it handles {types}")


# Malformed requests


NO_TYPE = "Expected a `type` that is a string in `body.{}`, got {}"

TO_TARGET = ("send_fire_forget", "relay", "backoff_relay")

WRONG_TARGETS: list[tuple[Body, str]] = [
    ({"payload": ECHO}, "Object missing required field `target`"),
    ({"target": "n2"}, "Object missing required field `payload`"),
    ({"target": None, "payload": ECHO}, "Expected `str`, got `null` - at `body.target`"),
    ({"target": "n2", "payload": [1]}, "Expected `object`, got `array` - at `body.payload`"),
    ({"target": "n2", "payload": {}}, NO_TYPE.format("payload", "{}")),
    ({"target": "n2", "payload": {"type": 1}}, NO_TYPE.format("payload", "{'type': 1}")),
]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "echo"}, "Object missing required field `echo`"),
        ({"type": "dedup_echo"}, "Object missing required field `echo`"),
        ({"type": "bench_echo"}, "Object missing required field `echo`"),
        ({"type": "batch_echo"}, "Object missing required field `values`"),
        ({"type": "batch_echo", "values": 5}, "Expected `array`, got `int` - at `body.values`"),
        ({"type": "proxy", "inner": ECHO}, "Object missing required field `target`"),
        ({"type": "proxy", "target": "n2"}, "Object missing required field `inner`"),
        ({"type": "proxy", "target": 2, "inner": ECHO}, "Expected `str`, got `int` - at `body.target`"),
        ({"type": "proxy", "target": "n2", "inner": "x"}, "Expected `object`, got `str` - at `body.inner`"),
        ({"type": "proxy", "target": "n2", "inner": {"x": 1}}, NO_TYPE.format("inner", "{'x': 1}")),
        ({"type": "proxy", "target": "n2", "inner": {"type": 1}}, NO_TYPE.format("inner", "{'type': 1}")),
        *[({"type": kind, **fields}, reason) for kind in TO_TARGET for fields, reason in WRONG_TARGETS],
        ({"type": "compute_backoff", "max_retries": "3"}, "Expected `int`, got `str` - at `body.max_retries`"),
        ({"type": "compute_backoff", "max_retries": -1}, "Expected `int` >= 0 - at `body.max_retries`"),
        ({"type": "compute_backoff", "max_retries": 1001}, "Expected `int` <= 1000 - at `body.max_retries`"),
        ({"type": "compute_backoff", "base_delay": -0.1}, "Expected `float` >= 0.0 - at `body.base_delay`"),
        ({"type": "compute_backoff", "base_delay": None}, "Expected `float`, got `null` - at `body.base_delay`"),
        ({"type": "compute_backoff", "max_delay": 3601}, "Expected `float` <= 3600.0 - at `body.max_delay`"),
        ({"type": "validate"}, "Object missing required field `payload`"),
        ({"type": "validate", "payload": {"x": 1}}, "Expected `str`, got `object` - at `body.payload`"),
        ({"type": "get_log"}, "Object missing required field `count`"),
        ({"type": "get_log", "count": -1}, "Expected `int` >= 0 - at `body.count`"),
        ({"type": "get_log", "count": 1.5}, "Expected `int`, got `float` - at `body.count`"),
        ({"type": "chaos_on", "drop_rate": 1.5}, "Expected `float` <= 1.0 - at `body.drop_rate`"),
        ({"type": "chaos_on", "drop_rate": -0.5}, "Expected `float` >= 0.0 - at `body.drop_rate`"),
        ({"type": "chaos_on", "drop_rate": "all"}, "Expected `float`, got `str` - at `body.drop_rate`"),
    ],
)
async def test_field_that_does_not_fit_is_named(body: Body, reason: str) -> None:
    """A missing, mistyped or out-of-range field is named, with what was expected; nothing is sent or changed."""
    node = build()
    fields = {key: value for key, value in body.items() if key != "type"}
    async with running(node) as network:
        reply = await network.request(body["type"], **fields)
        assert error(reply) == (12, f"malformed {body['type']!r} request: {reason}")
        assert (await network.request("chaos_stats"))["enabled"] is False
        await network.receive_nothing()
    assert node.stats.handler_failures == 0
    assert node.stats.rpcs == 0


async def test_malformed_bench_echo_is_not_measured() -> None:
    """Only what was echoed is in the statistics."""
    async with running(build()) as network:
        assert (await network.request("bench_echo"))["code"] == 12
        assert (await network.request("bench_stats"))["total_messages"] == 0


# Echoes


@pytest.mark.parametrize("value", [None, 0, False, "", "höß \u0000 ☃", [], {}, {"a": [1, {"b": None}]}, 1.5, 2**63])
@pytest.mark.parametrize("kind", ["echo", "dedup_echo", "bench_echo"])
async def test_each_echo_comes_back_unchanged(kind: str, value: Any) -> None:
    """Any JSON value is echoed, null and false included."""
    async with running(build()) as network:
        reply = await network.request(kind, echo=value)
    assert keys(reply, f"{kind}_ok")[0] == "echo"
    assert (reply["echo"], type(reply["echo"])) == (value, type(value))


async def test_echo_has_no_other_fields() -> None:
    """The reply to an echo is the echo alone."""
    async with running(build()) as network:
        assert keys(await network.request("echo", echo=1), "echo_ok") == ["echo"]


async def test_echoes_are_answered_in_the_order_of_the_requests() -> None:
    """A batch of a hundred requests, of several plain types, is answered in its order."""
    async with running(build()) as network:
        kinds = ["echo", "dedup_echo", "bench_echo", "pending_count"]
        await network.send_bytes(
            b"".join(line({"type": kinds[n % 4], "echo": n, "msg_id": n}) for n in range(100)),
        )
        replies = [(await network.receive()).body for _ in range(100)]
    assert [reply["in_reply_to"] for reply in replies] == list(range(100))
    assert [reply["msg_id"] for reply in replies] == list(range(1, 101))


async def test_duplicates_are_answered_with_the_first_answer() -> None:
    """The same src and msg_id is a duplicate, whatever it says; another src or msg_id is none."""
    async with running(build()) as network:

        async def dedup_echo(src: str, msg_id: int, echo: str) -> tuple[str, bool]:
            await send(network, "dedup_echo", msg_id, src, echo=echo)
            reply = await network.receive()
            assert (reply.dest, reply.body["in_reply_to"]) == (src, msg_id)
            assert keys(reply.body, "dedup_echo_ok") == ["echo", "was_duplicate"]
            return reply.body["echo"], reply.body["was_duplicate"]

        assert await dedup_echo("c1", 0, "a") == ("a", False)
        assert await dedup_echo("c1", 0, "b") == ("a", True)
        assert await dedup_echo("c2", 0, "c") == ("c", False)
        assert await dedup_echo("c1", 1, "d") == ("d", False)
        assert await dedup_echo("c1", 0, "e") == ("a", True)
        stats = await network.request("dedup_stats")
    assert keys(stats, "dedup_stats_ok") == ["total", "duplicates", "cache_size"]
    assert (stats["total"], stats["duplicates"], stats["cache_size"]) == (5, 2, 3)


async def test_a_thousand_answers_are_remembered() -> None:
    """Of 1001 requests the first is forgotten, and would be served again; the other thousand are not."""
    async with running(build()) as network:
        for first in (0, 1, 0):
            await network.send_bytes(
                b"".join(line({"type": "dedup_echo", "echo": 1, "msg_id": n}) for n in range(first, 1001))
            )
            duplicates = [(await network.receive()).body["was_duplicate"] for _ in range(first, 1001)]
            if first == 1:
                assert duplicates == [True] * 1000
                await network.send_bytes(line({"type": "dedup_stats", "msg_id": 5000}))
                stats = (await network.receive()).body
                assert (stats["total"], stats["duplicates"], stats["cache_size"]) == (2001, 1000, 1000)
            else:
                assert duplicates[0] is False


async def test_bench_stats_are_zeros_before_the_first_echo() -> None:
    """Nothing is divided by nothing, and no other message counts."""
    async with running(build()) as network:
        await network.request("echo", echo=1)
        stats = await network.request("bench_stats")
    names = ["total_messages", "elapsed_ms", "throughput_per_sec", "avg_latency_us", "p99_latency_us"]
    assert keys(stats, "bench_stats_ok") == names
    assert [stats[name] for name in names] == [0] * 5


async def test_bench_stats_tell_of_the_echoes_so_far(autojump_clock: MockClock) -> None:
    """Five echoes in two seconds of virtual time: the throughput is theirs, and each took no time at all."""
    async with running(build()) as network:
        await trio.sleep(1.0)
        for _ in range(5):
            reply = await network.request("bench_echo", echo="x")
            assert keys(reply, "bench_echo_ok") == ["echo", "latency_us"]
            assert (reply["latency_us"], type(reply["latency_us"])) == (0, int)
            await trio.sleep(0.5)
        stats = await network.request("bench_stats")
    assert stats["total_messages"] == 5
    assert (stats["elapsed_ms"], stats["throughput_per_sec"]) == (2000.0, 2.5)
    assert (stats["avg_latency_us"], stats["p99_latency_us"]) == (0, 0)


async def test_bench_latency_is_counted_from_receiving(autojump_clock: MockClock) -> None:
    """It is the time since the batch of the request was read, in whole microseconds."""
    node = build()

    @node.on("stall")
    def stall(request: Request) -> None:
        autojump_clock.jump(request.body["seconds"])  # something in the same batch that takes its time

    async with running(node) as network:
        latencies = []
        for seconds in (0.25, 0.5, 0.0):
            await network.send_bytes(
                line({"type": "stall", "seconds": seconds}) + line({"type": "bench_echo", "echo": 1, "msg_id": 1})
            )
            latencies.append((await network.receive()).body["latency_us"])
        stats = await network.request("bench_stats")
    assert latencies == [250_000, 500_000, 0]
    assert (stats["avg_latency_us"], stats["elapsed_ms"], stats["throughput_per_sec"]) == (250_000, 750.0, 4.0)
    assert stats["p99_latency_us"] == pytest.approx(500_000, rel=0.011)


# Looks at messages


@pytest.mark.parametrize(
    ("payload", "valid", "fields"),
    [
        ('{"src": "c1", "dest": "n1", "body": {"type": "echo", "msg_id": 1, "echo": null}}', True,
         ["src", "dest", "body.type", "body.msg_id", "body.echo"]),
        ('{"body": {"b": 1, "a": 2}, "dest": "n1", "src": "c1"}', True, ["src", "dest", "body.b", "body.a"]),
        ('{"dest": null}', True, ["dest"]),
        ('{"body": {}}', True, []),
        ('{"body": [1, 2]}', True, []),
        ('{"other": 1}', True, []),
        ("{}", True, []),
        ("", False, []),
        ("not JSON", False, []),
        ("[1]", False, []),
        ("null", False, []),
        ('"text"', False, []),
        ('{"a": 1} x', False, []),
        ('{"a": NaN}', False, []),
        ("[" * 100_000, False, []),
        ('{"a":' * 100_000, False, []),
    ],
)  # fmt: skip
async def test_validate_lists_what_is_present(payload: str, valid: bool, fields: list[str]) -> None:
    """src, dest, then the keys of the body in their order; what is no JSON object is not valid."""
    async with running(build()) as network:
        reply = await network.request("validate", payload=payload)
    assert keys(reply, "validate_ok") == ["valid", "fields"]
    assert (reply["valid"], reply["fields"]) == (valid, fields)


async def test_log_ends_with_the_request_itself() -> None:
    """The latest envelopes, oldest first; the reply to the request is not in it yet."""
    async with running(build()) as network:
        await network.request("echo", echo=1)
        first = await network.request("get_log", count=10)
        second = await network.request("get_log", count=2)
        third = await network.request("get_log", count=0)
    assert keys(first, "get_log_ok") == ["entries"]
    assert [list(entry) for entry in first["entries"]] == [["ts", "dir", "src", "dest", "msg_type"]] * 5
    assert [list(entry.values())[1:] for entry in first["entries"]] == [
        ["RECV", "c0", "n1", "init"],
        ["SENT", "n1", "c0", "init_ok"],
        ["RECV", "c1", "n1", "echo"],
        ["SENT", "n1", "c1", "echo_ok"],
        ["RECV", "c1", "n1", "get_log"],
    ]
    assert [entry["msg_type"] for entry in second["entries"]] == ["get_log_ok", "get_log"]
    assert third["entries"] == []


async def test_log_entries_have_their_time_in_utc() -> None:
    """`ts` is ISO 8601 with the offset of UTC, and no entry is older than the one before it."""
    async with running(build()) as network:
        entries = (await network.request("get_log", count=10))["entries"]
    times = [datetime.fromisoformat(entry["ts"]) for entry in entries]
    assert times == sorted(times)
    assert {str(time.tzinfo) for time in times} == {"UTC"}
    assert abs(datetime.now(times[0].tzinfo) - times[-1]).total_seconds() < 60


async def test_log_is_a_ring_of_a_hundred() -> None:
    """However many there were, and however many are asked for, a hundred are shown."""
    async with running(build()) as network:
        for number in range(60):
            await network.request("echo", echo=number)
        entries = (await network.request("get_log", count=1000))["entries"]
    assert len(entries) == 100
    assert entries[-1]["msg_type"] == "get_log"
    assert [entry["msg_type"] for entry in entries[:-1]] == ["echo_ok", *["echo", "echo_ok"] * 49]


# Loss on purpose


@pytest.mark.parametrize(("fields", "rate"), [({}, 0.1), ({"drop_rate": 0.5}, 0.5)])
async def test_chaos_drops_by_random_42(fields: Body, rate: float) -> None:
    """The n-th application message is lost if the n-th number of a generator seeded with 42 is below the rate."""
    random = Random(42)
    arriving = [number for number in range(40) if random.random() >= rate]
    async with running(build()) as network:
        on = await network.request("chaos_on", **fields)
        assert keys(on, "chaos_on_ok") == ["drop_rate"]
        assert on["drop_rate"] == rate
        await network.send_bytes(b"".join(line({"type": "echo", "echo": n, "msg_id": 100 + n}) for n in range(40)))
        await wait_all_tasks_blocked()
        await network.send_bytes(line({"type": "chaos_stats", "msg_id": 500}))
        replies = [(await network.receive()).body for _ in [*arriving, None]]
    assert [reply["echo"] for reply in replies[:-1]] == arriving
    assert [reply["msg_id"] for reply in replies[:-1]] == [2 + number for number in arriving]
    stats = replies[-1]
    assert keys(stats, "chaos_stats_ok") == ["enabled", "drop_rate", "total_sent", "total_dropped"]
    assert list(stats.values())[1:5] == [True, rate, 40, 40 - len(arriving)]
    assert stats["msg_id"] == 42


async def test_chaos_never_drops_its_own_replies_nor_init_ok() -> None:
    """Under a total loss the chaos messages and a repeated init are answered, errors and echoes are not."""
    async with running(build()) as network:
        assert (await network.request("chaos_on", drop_rate=1))["drop_rate"] == 1
        await network.send_bytes(
            line({"type": "echo", "echo": 1, "msg_id": 50})
            + line({"type": "nonsense", "msg_id": 51})
            + line({"type": "send_fire_forget", "target": "n2", "payload": ECHO, "msg_id": 52})
        )
        await network.receive_nothing()
        init = {"type": "init", "msg_id": 60, "node_id": "n1", "node_ids": ["n1", "n2", "n3"]}
        await network.send("c0", init)
        assert (await network.receive()).body == {"type": "init_ok", "in_reply_to": 60, "msg_id": 6}
        assert (await network.request("chaos_on", drop_rate=1))["msg_id"] == 7
        stats = await network.request("chaos_stats")
        assert list(stats.values())[1:5] == [True, 1.0, 4, 4]
        off = await network.request("chaos_off")
        assert keys(off, "chaos_off_ok") == []
        assert (await network.request("echo", echo=2))["echo"] == 2


async def test_chaos_is_off_until_it_is_on_and_after_it_is_off() -> None:
    """It counts application messages all the while, and drops none of them."""
    async with running(build()) as network:
        assert list((await network.request("chaos_stats")).values())[1:5] == [False, 0.0, 0, 0]
        for number in range(30):
            await network.request("echo", echo=number)
        assert list((await network.request("chaos_stats")).values())[1:5] == [False, 0.0, 30, 0]
        await network.request("chaos_on", drop_rate=1)
        await network.request("chaos_off")
        for number in range(30):
            await network.request("echo", echo=number)
        assert list((await network.request("chaos_stats")).values())[1:5] == [False, 1.0, 60, 0]


async def test_chaos_that_is_turned_on_again_starts_from_its_seed() -> None:
    """The same messages are lost the second time."""
    async with running(build()) as network:
        rounds = []
        for _ in range(2):
            await network.request("chaos_on", drop_rate=0.5)
            await network.send_bytes(b"".join(line({"type": "echo", "echo": n, "msg_id": n}) for n in range(20)))
            await wait_all_tasks_blocked()
            await network.send_bytes(line({"type": "chaos_off", "msg_id": 500}))
            arrived = []
            while (reply := (await network.receive()).body)["type"] == "echo_ok":
                arrived.append(reply["echo"])
            rounds.append(arrived)
    assert rounds[0] == rounds[1]
    assert 0 < len(rounds[0]) < 20


async def test_chaos_decides_when_a_message_is_sent() -> None:
    """Of one batch, an echo before chaos_on is answered, one after it is not."""
    async with running(build()) as network:
        await network.send_bytes(
            line({"type": "echo", "echo": "before", "msg_id": 1})
            + line({"type": "chaos_on", "drop_rate": 1, "msg_id": 2})
            + line({"type": "echo", "echo": "after", "msg_id": 3})
        )
        assert [(await network.receive()).body["type"] for _ in range(2)] == ["echo_ok", "chaos_on_ok"]
        await network.receive_nothing()


async def test_relay_is_tried_again_under_chaos(autojump_clock: MockClock) -> None:
    """Attempts that are lost count as attempts: with all of them lost the relay takes its time and fails."""
    node = build()
    async with running(node) as network:
        await network.request("chaos_on", drop_rate=1)
        await send(network, "relay", target="n2", payload=ECHO)
        await trio.sleep(1.75)
        stats = await network.request("chaos_stats")
        assert list(stats.values())[1:5] == [True, 1.0, 4, 4]  # three attempts, and the error that tells of them
    assert (node.stats.rpcs, node.stats.reaped) == (3, 3)
