"""lin-kv, seq-kv and lin-tso on JetStream, against a stand-in for it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from support.fake_jetstream import FakeJetStream

from trio_messenger import Body, RpcError
from trio_messenger.sim._services.jetstream import (
    WRITE_ATTEMPTS,
    Bucket,
    KeyValueOnJetStream,
    StreamError,
    TimestampsOnJetStream,
    bucket_of,
    service_node,
    token_of,
)
from trio_messenger.sim._services.lin_kv import LinKv
from trio_messenger.sim._services.lin_tso import LinTso
from trio_messenger.testing import running


@pytest.fixture
async def fake() -> FakeJetStream:
    return FakeJetStream()


@pytest.fixture
async def bucket(fake: FakeJetStream) -> Bucket:
    found = Bucket(fake.request, "demo", 1)
    await found.open()
    return found


async def answer(service: KeyValueOnJetStream, body: Body) -> Body | None:
    """Return the reply, an error included."""
    try:
        return await service.serve(body)
    except RpcError as exc:
        return exc.to_body()


REQUESTS: list[Body] = [
    {"type": "read", "key": "x"},
    {"type": "cas", "key": "x", "from": 1, "to": 2},
    {"type": "cas", "key": "x", "from": 1, "to": {"a": [1, None]}, "create_if_not_exists": True},
    {"type": "read", "key": "x"},
    {"type": "cas", "key": "x", "from": {"a": [1, 5]}, "to": 2},
    {"type": "cas", "key": "x", "from": {"a": [1, None]}, "to": 0},
    {"type": "read", "key": "x"},
    {"type": "write", "key": "x", "value": None},
    {"type": "read", "key": "x"},
    {"type": "write", "key": 1, "value": "one"},
    {"type": "read", "key": "1"},
    {"type": "read", "key": 1},
    {"type": "read", "key": {"b.*>": " é\n"}},
    {"type": "write", "key": "k" * 5000, "value": "long"},
    {"type": "read", "key": "k" * 5000},
    {"type": "read"},
    {"type": "write", "key": 1},
    {"type": "delete", "key": 1},
    {"type": "error", "code": 1},
]


async def test_replies_are_those_of_maelstrom(bucket: Bucket) -> None:
    """One request after another, they are those of the simulated service, errors included."""
    real, simulated = KeyValueOnJetStream("lin-kv", bucket), LinKv()
    for body in REQUESTS:
        assert await answer(real, body) == simulated.handle("n1", body)


async def test_a_read_is_confirmed_by_a_write(fake: FakeJetStream, bucket: Bucket, autojump_clock: object) -> None:
    """A server that has lost its majority answers with old values; the write tells the truth."""
    service = KeyValueOnJetStream("lin-kv", bucket)
    await service.serve({"type": "write", "key": "x", "value": "old"})
    fake.old = dict(fake.messages)
    await service.serve({"type": "write", "key": "x", "value": "new"})
    for body in ({"type": "read", "key": "x"}, {"type": "cas", "key": "x", "from": "new", "to": 1}):
        fake.asked.clear()
        reply = await answer(service, body)
        assert reply is not None
        assert (reply["type"], reply["code"]) == ("error", 11)
        assert fake.asked["STREAM.MSG.GET"] == fake.asked["PUT"] == WRITE_ATTEMPTS
    fake.old = None
    assert await service.serve({"type": "read", "key": "x"}) == {"type": "read_ok", "value": "new"}


async def test_requests_of_an_instance_wait_for_each_other(
    fake: FakeJetStream, bucket: Bucket, autojump_clock: object
) -> None:
    """So each needs one attempt. Those at other instances fail some of its writes, and none is lost."""
    one = KeyValueOnJetStream("lin-kv", bucket)
    two = KeyValueOnJetStream("lin-kv", Bucket(fake.request, "demo", 1))

    async def add(service: KeyValueOnJetStream, key: str) -> None:
        while True:
            found = await service.serve({"type": "read", "key": key})
            assert found is not None
            value = found["value"]
            reply = await answer(service, {"type": "cas", "key": key, "from": value, "to": value + 1})
            assert reply is not None
            if reply["type"] == "cas_ok":
                return
            assert reply["code"] == 22

    for key, services in (("x", (one, one)), ("y", (one, two))):
        await one.serve({"type": "write", "key": key, "value": 0})
        fake.asked.clear()
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(add, services[number % 2], key)
        assert await one.serve({"type": "read", "key": key}) == {"type": "read_ok", "value": 10}
        assert fake.asked["STREAM.MSG.GET"] == fake.asked["PUT"]
        assert (fake.conflicts > 0) == (key == "y")


@pytest.mark.parametrize(
    ("kind", "failure", "code", "text"),
    [
        ("PUT", trio.TooSlowError("late"), 0, "JetStream has not confirmed the request; it may have happened"),
        ("PUT", trio.BrokenResourceError("no link"), 11, "JetStream cannot do it at the moment: no link"),
        ("PUT", {"err_code": 10077, "description": "full"}, 11, "JetStream cannot do it at the moment: full"),
        ("STREAM.MSG.GET", trio.TooSlowError("late"), 11, "JetStream cannot do it at the moment: late"),
        ("STREAM.MSG.GET", {}, 11, "JetStream cannot do it at the moment: no reason given"),
    ],
)
async def test_what_jetstream_does_not_do_is_an_error(
    fake: FakeJetStream, bucket: Bucket, kind: str, failure: Any, code: int, text: str
) -> None:
    """Definite, unless it may have happened."""
    fake.fails[kind] = failure
    service = KeyValueOnJetStream("lin-kv", bucket)
    assert await answer(service, {"type": "read", "key": 1}) == {"type": "error", "code": code, "text": text}


async def test_a_write_without_an_answer_is_not_repeated(
    fake: FakeJetStream, bucket: Bucket, autojump_clock: object
) -> None:
    """It may have happened."""
    fake.loses_answers = True
    service = KeyValueOnJetStream("lin-kv", bucket)
    reply = await answer(service, {"type": "cas", "key": 1, "from": 0, "to": 1, "create_if_not_exists": True})
    assert (reply or {})["code"] == 0
    assert fake.asked["PUT"] == 1
    fake.loses_answers = False
    assert await service.serve({"type": "read", "key": 1}) == {"type": "read_ok", "value": 1}


async def test_nodes_serve_it(bucket: Bucket) -> None:
    """Over the protocol, with its errors; timestamps grow."""
    async with running(service_node("lin-kv", bucket), node_id="lin-kv", node_ids=["lin-kv"]) as network:
        assert (await network.request("write", key="x", value=[1]))["type"] == "write_ok"
        assert (await network.request("read", key="x"))["value"] == [1]
        assert (await network.request("read", key="y"))["code"] == 20
        assert (await network.request("ts"))["code"] == 10
    async with running(service_node("lin-tso", bucket), node_id="lin-tso", node_ids=["lin-tso"]) as network:
        first, second = [(await network.request("ts"))["ts"] for _ in range(2)]
        assert first < second
    assert await TimestampsOnJetStream(bucket).serve({"type": "read"}) == LinTso().handle("n1", {"type": "read"})


def test_keys_and_buckets_have_names_that_jetstream_takes() -> None:
    """Different ones have different names."""
    keys = [b'"x"', b'"X"', b"1", b'"1"', b'"_31"', b'{"a.*>": 1}', b'"' + b"k" * 300 + b'"', b'"' + b"k" * 301 + b'"']
    tokens = [token_of(key) for key in keys]
    assert tokens[:5] == ["_22x_22", "_22X_22", "1", "_221_22", "_22_5F31_22"]
    assert len(set(tokens)) == len(keys)
    assert all(
        len(token) < 201 and token.replace("=", "").replace("_", "").replace("-", "").isalnum() for token in tokens
    )
    assert bucket_of("messenger", "demo", "lin-kv") == "messenger__demo__lin-kv"
    assert bucket_of("a_", "b.c", "lin-kv") == "a_5F__b_2Ec__lin-kv"


async def test_a_bucket_is_made_once(fake: FakeJetStream) -> None:
    """Without direct reads, which replicas would answer."""
    for _ in range(2):
        await Bucket(fake.request, "demo", 3).open()
    assert fake.asked["STREAM.CREATE"] == 1
    assert fake.streams["KV_demo"]["allow_direct"] is False
    with pytest.raises(
        StreamError, match=r"^the bucket 'demo' has 3 replicas, and not 1: give --replicas 3, or change"
    ):
        await Bucket(fake.request, "demo", 1).open()


@pytest.mark.parametrize(
    ("kind", "failure", "text", "seconds"),
    [
        (
            "STREAM.CREATE",
            {"err_code": 10074, "description": "replicas > 1 not supported in non-clustered mode"},
            "JetStream refuses the bucket 'demo': replicas > 1 not supported in non-clustered mode",
            0,
        ),
        (
            "STREAM.INFO",
            {"err_code": 10039, "description": "not enabled"},
            "JetStream refuses the bucket 'demo': not enabled",
            0,
        ),
        (
            "STREAM.INFO",
            trio.BrokenResourceError("nobody serves it"),
            "JetStream does not answer: nobody serves it; turn it on in the servers (nats-server -js), and check that"
            " most of them run",
            10,
        ),
    ],
)
async def test_a_bucket_that_cannot_be_made_is_named(
    fake: FakeJetStream, autojump_clock: object, kind: str, failure: Any, text: str, seconds: float
) -> None:
    """After some seconds, if there is no answer."""
    fake.fails[kind] = failure
    with pytest.raises(StreamError) as caught:
        await Bucket(fake.request, "demo", 1).open()
    assert f"{caught.value}" == text
    assert math.floor(trio.current_time()) == seconds
