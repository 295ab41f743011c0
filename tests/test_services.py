"""The clients of the services: what they send, what they make of the replies, and how they deal with others."""

from __future__ import annotations

import itertools
import math
import re
from random import Random
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from trio_messenger import (
    Backoff,
    Body,
    ErrorCode,
    KeyValue,
    Node,
    RemoteProtocolError,
    RetriesExhausted,
    RpcError,
    RpcTimeout,
    TimestampOracle,
)
from trio_messenger.services import LIN_KV, LIN_TSO, LWW_KV, SEQ_KV, UPDATE_ATTEMPTS
from trio_messenger.testing import running

MISSING = RpcError(ErrorCode.KEY_DOES_NOT_EXIST, "no such key")
CONFLICT = RpcError(ErrorCode.PRECONDITION_FAILED, "it is something else")


class Script:
    """A caller that knows its replies beforehand and remembers what it was asked, and when."""

    def __init__(self, *replies: object) -> None:
        self.asked: list[tuple[str, Body, float | None]] = []
        self.times: list[float] = []
        self._replies = iter(replies)

    @property
    def bodies(self) -> list[Body]:
        return [body for _, body, _ in self.asked]

    async def rpc(self, dest: str, body: Any, *, timeout: float | None = None) -> Body:
        self.asked.append((dest, body, timeout))
        self.times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        reply = next(self._replies)
        if isinstance(reply, RpcError):
            raise reply
        assert isinstance(reply, dict)
        return reply


class Store:
    """A caller that is a whole linearizable key-value service."""

    def __init__(self, **values: Any) -> None:
        self.values: dict[Any, Any] = values
        self.conflicts = 0

    async def rpc(self, dest: str, body: Any, *, timeout: float | None = None) -> Body:  # noqa: ARG002 - as Node.rpc
        await trio.sleep(0.25)
        key = body["key"]
        if body["type"] == "read":
            if key not in self.values:
                raise MISSING
            return {"type": "read_ok", "value": self.values[key]}
        if body["type"] == "cas" and key in self.values and self.values[key] != body["from"]:
            self.conflicts += 1
            raise CONFLICT
        self.values[key] = body["to"]
        return {"type": "cas_ok"}


def value(it: Any) -> Body:
    return {"type": "read_ok", "value": it, "in_reply_to": 0}


@attrs.frozen
class Account:
    owner: str
    balance: int


# What is sent


def test_services_have_the_ids_that_maelstrom_gives_them() -> None:
    """The constants are the ids of the services, and the clients ask the linearizable ones by default."""
    assert (LIN_KV, SEQ_KV, LWW_KV, LIN_TSO) == ("lin-kv", "seq-kv", "lww-kv", "lin-tso")
    assert (KeyValue(Script()).service, TimestampOracle(Script()).service) == ("lin-kv", "lin-tso")
    assert (KeyValue(Script(), SEQ_KV).service, TimestampOracle(Script(), "tso2").service) == ("seq-kv", "tso2")


async def test_each_method_sends_its_body_exactly() -> None:
    """Bodies have the protocol's fields in its order and no others; a key may be any JSON value."""
    script = Script(value(1), {"type": "write_ok"}, {"type": "cas_ok"}, {"type": "cas_ok"})
    kv = KeyValue(script, SEQ_KV)
    assert await kv.read(1) == 1
    await kv.write("x", [None, 2])
    await kv.cas(["k", 1], None, 2)
    await kv.cas("x", 1, 2, create=True)
    assert {dest for dest, _, _ in script.asked} == {"seq-kv"}
    assert [list(body.items()) for body in script.bodies] == [
        [("type", "read"), ("key", 1)],
        [("type", "write"), ("key", "x"), ("value", [None, 2])],
        [("type", "cas"), ("key", ["k", 1]), ("from", None), ("to", 2)],
        [("type", "cas"), ("key", "x"), ("from", 1), ("to", 2), ("create_if_not_exists", True)],
    ]


@pytest.mark.parametrize("timeout", [None, 0.5])
async def test_timeout_is_that_of_the_client_or_else_the_callers(timeout: float | None) -> None:
    """Every RPC is made with the client's timeout; None leaves it to the caller."""
    script = Script({"type": "write_ok"}, value(1), {"type": "cas_ok"}, {"type": "ts_ok", "ts": 1})
    await KeyValue(script, timeout=timeout).read("x", fresh=True)
    await KeyValue(script, timeout=timeout).cas("x", 1, 2)
    await TimestampOracle(script, timeout=timeout).ts()
    assert [asked for _, _, asked in script.asked] == [timeout] * 4


async def test_records_are_sent_as_their_fields() -> None:
    """An attrs record as a value is a dict of its fields on the way out, in write, in cas and in update."""
    ann, bob = Account("ann", 1), Account("bob", 2)
    script = Script({"type": "write_ok"}, {"type": "cas_ok"}, value({"owner": "bob", "balance": 2}), {"type": "cas_ok"})
    kv = KeyValue(script)
    await kv.write("x", ann)
    await kv.cas("x", ann, bob)
    assert await kv.update("x", lambda old: Account(old["owner"], old["balance"] + 1)) == {"owner": "bob", "balance": 3}
    assert script.bodies[0]["value"] == {"owner": "ann", "balance": 1}
    assert script.bodies[1]["from"] == {"owner": "ann", "balance": 1}
    assert script.bodies[1]["to"] == {"owner": "bob", "balance": 2}
    assert script.bodies[3]["to"] == {"owner": "bob", "balance": 3}


async def test_every_method_is_a_checkpoint() -> None:
    """Each method lets other tasks run, over whatever caller."""
    script = Script(value(1), {"type": "write_ok"}, {"type": "cas_ok"}, value(1), {"type": "cas_ok"}, {"ts": 1})
    kv = KeyValue(script)
    with assert_checkpoints():
        await kv.read("x")
    with assert_checkpoints():
        await kv.write("x", 1)
    with assert_checkpoints():
        await kv.cas("x", 1, 2)
    with assert_checkpoints():
        await kv.update("x", str)
    with assert_checkpoints():
        await TimestampOracle(script).ts()


# Reading


async def test_read_of_a_missing_key_raises_unless_there_is_a_default() -> None:
    """Error 20 is raised; with a default, be it None, that is returned instead, unconverted."""
    kv = KeyValue(Script(*[MISSING] * 4))
    with pytest.raises(RpcError, match=r"^key-does-not-exist \(20\): no such key$") as info:
        await kv.read("x")
    assert info.value is MISSING
    assert await kv.read("x", default=None) is None
    assert await kv.read("x", default=0) == 0
    assert await kv.read("x", default="none", as_=str) == "none"


async def test_default_stands_for_nothing_but_a_missing_key() -> None:
    """A value that is there, null included, is returned as it is; another error is raised in spite of the default."""
    kv = KeyValue(Script(value(None), value(0), RpcTimeout("lin-kv", 3, 2.0), CONFLICT))
    assert await kv.read("x", default=7) is None
    assert await kv.read("x", default=7) == 0
    with pytest.raises(RpcTimeout, match=r"^no reply from 'lin-kv' to msg_id 3 within 2 s$"):
        await kv.read("x", default=7)
    with pytest.raises(RpcError, match=r"^precondition-failed \(22\): it is something else$"):
        await kv.read("x", default=7)


@pytest.mark.parametrize(
    ("as_", "stored", "expected"),
    [
        (int, 5, 5),
        (list[int], [1, 2], [1, 2]),
        (set[str], ["a", "b", "a"], {"a", "b"}),
        (Account, {"owner": "ann", "balance": 3}, Account("ann", 3)),
        (int | None, None, None),
    ],
)
async def test_typed_read_returns_what_was_asked_for(as_: Any, stored: Any, expected: Any) -> None:
    """The value is validated and converted to what *as_* says."""
    assert await KeyValue(Script(value(stored))).read("x", as_=as_) == expected


@pytest.mark.parametrize(
    ("as_", "stored", "reason"),
    [
        (int, "5", "Expected `int`, got `str`"),
        (int, True, "Expected `int`, got `bool`"),
        (list[int], [1, None], "Expected `int`, got `null` - at `$[1]`"),
        (Account, {"owner": "ann", "balance": "3"}, "Expected `int`, got `str` - at `$.balance`"),
        (Account, {"owner": "ann"}, "Object missing required field `balance`"),
        (Account, None, "Expected `object`, got `null`"),
    ],
)
async def test_value_that_does_not_fit_is_the_services_fault(as_: Any, stored: Any, reason: str) -> None:
    """RemoteProtocolError names the key, the service, the place in the value, and what was expected there."""
    expected = f"the value of ('k', 1) in 'lww-kv' does not fit: {reason}"
    with pytest.raises(RemoteProtocolError, match=f"^{re.escape(expected)}$"):
        await KeyValue(Script(value(stored)), LWW_KV).read(("k", 1), as_=as_, default=None)


async def test_reply_without_a_value_is_the_services_fault() -> None:
    """RemoteProtocolError names what is missing and shows the beginning of the reply."""
    with pytest.raises(RemoteProtocolError, match=r"^the reply of 'lin-kv' has no 'value': \{'type': 'read_ok'\}$"):
        await KeyValue(Script({"type": "read_ok"})).read("x", default=1)
    with pytest.raises(RemoteProtocolError, match=r"^the reply of 'lin-kv' has no 'value': .{80}$"):
        await KeyValue(Script({"type": "read_ok", "rubbish": "x" * 1000})).read("x")


async def test_fresh_read_writes_first() -> None:
    """A fresh read writes something to a key of its own, waits for that, and reads; a plain one only reads."""
    script = Script({"type": "write_ok"}, value(1), value(1), {"type": "write_ok"}, MISSING)
    kv = KeyValue(script, SEQ_KV)
    assert await kv.read("x", fresh=True) == 1
    assert await kv.read("x") == 1
    assert await kv.read("x", fresh=True, default=2) == 2
    assert [body["type"] for body in script.bodies] == ["write", "read", "read", "write", "read"]
    assert [body["key"] for body in script.bodies] == ["_fresh", "x", "x", "_fresh", "x"]


async def test_fresh_read_that_cannot_write_does_not_read() -> None:
    """If the write fails, so does the read, default or not: what it would return may be stale."""
    script = Script(RpcTimeout("seq-kv", 1, 0.5))
    with pytest.raises(RpcTimeout, match=r"^no reply from 'seq-kv' to msg_id 1 within 0.5 s$"):
        await KeyValue(script, SEQ_KV).read("x", fresh=True, default=2)
    assert len(script.asked) == 1


async def fresh_writes(client: KeyValue, script: Script, count: int) -> list[str]:
    for _ in range(count):
        await client.read("x", fresh=True)
    return [body["value"] for body in script.bodies if body["type"] == "write"][-count:]


async def test_fresh_reads_never_write_the_same_value_twice() -> None:
    """A write that changes nothing does not move the reader: no value repeats, in one client or in several."""
    script = Script(*[{"type": "write_ok"}, value(1)] * 60)
    clients = [KeyValue(script), KeyValue(script), KeyValue(script)]
    written = [it for client in clients for it in await fresh_writes(client, script, 20)]
    assert len(set(written)) == 60


async def test_fresh_reads_differ_even_if_random_numbers_repeat() -> None:
    """The count alone tells the writes of one client apart."""

    class Stuck(Random):
        def getrandbits(self, _: int) -> int:
            return 5

    script = Script(*[{"type": "write_ok"}, value(1)] * 3)
    script.random = Stuck()  # type: ignore[attr-defined]
    assert await fresh_writes(KeyValue(script), script, 3) == ["5-0", "5-1", "5-2"]


async def test_fresh_reads_of_a_restarted_client_differ() -> None:
    """The random number alone tells a client from the one before it, whose count began at 0 as well."""
    script = Script(*[{"type": "write_ok"}, value(1)] * 2)
    first, second = [*await fresh_writes(KeyValue(script), script, 1), *await fresh_writes(KeyValue(script), script, 1)]
    assert first != second


async def test_fresh_reads_of_two_nodes_with_the_same_seed_differ() -> None:
    """Nodes that run one program with one seed draw the same numbers; what they write differs all the same."""
    written = []
    for node_id in ("n1", "n2"):
        script = Script({"type": "write_ok"}, value(1))
        script.random, script.id = Random(7), node_id  # type: ignore[attr-defined]
        written += await fresh_writes(KeyValue(script), script, 1)
    assert written[0] != written[1]


# Updating


async def test_update_without_contention_reads_and_sets_once() -> None:
    """One read, one compare-and-set from what was read, and the new value is returned."""
    script = Script(value(4), {"type": "cas_ok"})
    assert await KeyValue(script).update("x", lambda old: old + 1) == 5
    assert script.bodies == [
        {"type": "read", "key": "x"},
        {"type": "cas", "key": "x", "from": 4, "to": 5, "create_if_not_exists": True},
    ]


@pytest.mark.parametrize("default", [None, 10])
async def test_update_of_a_missing_key_begins_with_the_default(default: int | None) -> None:
    """The function is given the default, None if there is none, and the key is created."""
    script = Script(MISSING, {"type": "cas_ok"})
    given = []

    def function(old: int | None) -> int:
        given.append(old)
        return 1

    kv = KeyValue(script)
    assert await (kv.update("x", function) if default is None else kv.update("x", function, default=default)) == 1
    assert given == [default]
    assert script.bodies[1] == {"type": "cas", "key": "x", "from": default, "to": 1, "create_if_not_exists": True}


async def test_update_waits_and_tries_again_after_conflicts(autojump_clock: MockClock) -> None:
    """After each conflict it waits by its backoff, reads again, and calls the function with the new value."""
    script = Script(value(1), CONFLICT, value(5), CONFLICT, MISSING, MISSING, value(7), {"type": "cas_ok"})
    given = []

    def function(old: int) -> int:
        given.append(old)
        return old * 10

    kv = KeyValue(script, backoff=Backoff(base=0.25, cap=0.75, jitter=0))
    assert await kv.update("x", function, default=0) == 70
    assert given == [1, 5, 0, 7]
    assert script.times == [0, 0, 0.25, 0.25, 0.75, 0.75, 1.5, 1.5]


async def test_exhausted_update_says_that_nothing_was_set(autojump_clock: MockClock) -> None:
    """After its last attempt it raises at once, definite, with the attempts and the last conflict."""
    script = Script(*[value(1), CONFLICT] * 3)
    kv = KeyValue(script, backoff=Backoff(base=0.25, jitter=0))
    text = "RPC failed after 3 attempts: precondition-failed (22): it is something else"
    with pytest.raises(RetriesExhausted, match=f"^{re.escape(text)}$") as info:
        await kv.update("x", lambda old: old, attempts=3)
    assert (info.value.attempts, info.value.last, info.value.__cause__) == (3, CONFLICT, CONFLICT)
    assert info.value.definite
    assert trio.current_time() == 0.75
    assert len(script.asked) == 6


async def test_update_tries_as_often_as_documented(autojump_clock: MockClock) -> None:
    """By default it tries `UPDATE_ATTEMPTS` times; one attempt is enough to ask for, none is not."""
    script = Script(*[value(1), CONFLICT] * (UPDATE_ATTEMPTS + 1))
    with pytest.raises(RetriesExhausted):
        await KeyValue(script).update("x", str)
    assert len(script.asked) == 2 * UPDATE_ATTEMPTS
    with pytest.raises(RetriesExhausted):
        await KeyValue(script).update("x", str, attempts=1)
    assert len(script.asked) == 2 * UPDATE_ATTEMPTS + 2
    with pytest.raises(ValueError, match=r"^attempts is 0; give a whole number, 1 "):
        await KeyValue(script).update("x", str, attempts=0)


class Rival(Store):
    """A store in which another writer comes between each read and the compare-and-set after it."""

    async def rpc(self, dest: str, body: Any, *, timeout: float | None = None) -> Body:
        reply = await super().rpc(dest, body, timeout=timeout)
        if body["type"] == "read":
            self.values["x"] += 1
        return reply


async def test_update_without_a_limit_ends_at_its_total_timeout(autojump_clock: MockClock) -> None:
    """If it was waiting to try again, or was reading, nothing has been set: the error is definite."""
    kv = KeyValue(Rival(x=0), backoff=Backoff(base=0.5, jitter=0))
    for total_timeout, attempts in ((0.75, 1), (1.1, 2)):
        start = trio.current_time()
        with pytest.raises(RetriesExhausted) as info:
            await kv.update("x", lambda old: old, attempts=math.inf, total_timeout=total_timeout)
        assert (info.value.definite, info.value.attempts) == (True, attempts)
        assert trio.current_time() == pytest.approx(start + total_timeout)


@pytest.mark.parametrize("total_timeout", [0.125, 0.375, 1.375])
async def test_update_that_may_have_set_the_value_says_so(total_timeout: float, autojump_clock: MockClock) -> None:
    """If its total timeout ends a compare-and-set, or the first read, the error is an indefinite timeout."""
    kv = KeyValue(Rival(x=0), backoff=Backoff(base=0.5, jitter=0))
    text = f"the update of 'x' in 'lin-kv' took longer than {total_timeout:g} s"
    with pytest.raises(RpcError) as info:
        await kv.update("x", lambda old: old, total_timeout=total_timeout)
    assert (info.value.code, info.value.text, info.value.definite) == (ErrorCode.TIMEOUT, text, False)
    assert trio.current_time() == total_timeout


async def test_update_in_time_ignores_its_total_timeout(autojump_clock: MockClock) -> None:
    """And one that is cancelled from outside is cancelled."""
    kv = KeyValue(Store(x=1))
    assert await kv.update("x", lambda old: old + 1, total_timeout=0.75) == 2
    with trio.move_on_after(0.1) as scope:
        await kv.update("x", lambda old: old + 1, total_timeout=5)
    assert scope.cancelled_caught
    for total_timeout in (-1.0, math.nan):
        with pytest.raises(ValueError, match=rf"^total_timeout is {total_timeout} s; give 0 or more, or math.inf"):
            await kv.update("x", str, total_timeout=total_timeout)


async def test_default_backoff_of_update_draws_from_the_callers_random(autojump_clock: MockClock) -> None:
    """Waits begin with 5 to 10 ms, double, end at 100 ms, and repeat with the seed of the caller."""

    async def waits(seed: int) -> list[float]:
        script = Script(*[value(1), CONFLICT] * 8)
        script.random = Random(seed)  # type: ignore[attr-defined]
        with pytest.raises(RetriesExhausted):
            await KeyValue(script).update("x", str, attempts=8)
        return [after - before for before, after in itertools.pairwise(script.times[::2])]

    random = Random(3)
    expected = [min(0.1, 0.005 * 2**n * (1 + random.random())) for n in range(7)]
    assert await waits(3) == pytest.approx(expected)  # no binary fractions
    assert await waits(4) != pytest.approx(expected)


@pytest.mark.parametrize("error", [RpcTimeout("lin-kv", 9, 1.0), RpcError(ErrorCode.CRASH), RpcError(11, "busy")])
async def test_update_is_not_tried_again_after_other_errors(error: RpcError) -> None:
    """Whatever is no conflict, a timeout above all, is raised: the value may have been set."""
    script = Script(value(1), error)
    with pytest.raises(RpcError) as info:
        await KeyValue(script).update("x", str)
    assert info.value is error
    assert len(script.asked) == 2


async def test_update_leaves_errors_of_the_read_and_of_the_function_alone() -> None:
    """What the read or the function raises ends the update before anything is set."""
    script = Script(RpcTimeout("lin-kv", 9, 1.0), value("x"))
    with pytest.raises(RpcTimeout):
        await KeyValue(script).update("x", str)
    with pytest.raises(ValueError, match=r"^invalid literal for int\(\) with base 10: 'x'$"):
        await KeyValue(script).update("x", int)
    assert [body["type"] for body in script.bodies] == ["read", "read"]


async def test_contending_updates_all_take_effect(autojump_clock: MockClock) -> None:
    """Ten clients that count at the same time lose no count and invent none."""
    store = Store()
    async with trio.open_nursery() as nursery:
        for seed in range(10):
            kv = KeyValue(store, backoff=Backoff(base=0.25, jitter=1.0, random=Random(seed)))
            nursery.start_soon(kv.update, "x", lambda old: (old or 0) + 1)
    assert store.values == {"x": 10}
    assert store.conflicts > 0


# Timestamps


async def test_oracle_asks_for_a_timestamp() -> None:
    """The body is the type alone, and the reply's ``ts`` is returned."""
    script = Script({"type": "ts_ok", "ts": 0}, {"type": "ts_ok", "ts": 2**60})
    oracle = TimestampOracle(script, timeout=0.5)
    assert (await oracle.ts(), await oracle.ts()) == (0, 2**60)
    assert script.asked == [("lin-tso", {"type": "ts"}, 0.5)] * 2


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"type": "ts_ok"}, "the reply of 'lin-tso' has no 'ts': {'type': 'ts_ok'}"),
        ({"ts": "5"}, "the timestamp from 'lin-tso' does not fit: Expected `int`, got `str`"),
        ({"ts": None}, "the timestamp from 'lin-tso' does not fit: Expected `int`, got `null`"),
        ({"ts": 1.5}, "the timestamp from 'lin-tso' does not fit: Expected `int`, got `float`"),
    ],
)
async def test_reply_without_a_timestamp_is_the_services_fault(reply: Body, text: str) -> None:
    """RemoteProtocolError says what is wrong with the reply."""
    with pytest.raises(RemoteProtocolError, match=f"^{re.escape(text)}$"):
        await TimestampOracle(Script(reply)).ts()


# Over a node


async def test_clients_work_over_a_node(autojump_clock: MockClock) -> None:
    """A node is a caller: requests leave it, error replies become errors, and its random numbers are used."""
    node = Node(seed=5)
    results: list[object] = []

    async def use() -> None:
        kv = KeyValue(node, LWW_KV, timeout=0.5)
        results.append(await kv.read("x", default="none"))
        results.append(await kv.read("x", fresh=True, as_=int))
        results.append(await TimestampOracle(node).ts())
        with pytest.raises(RpcTimeout, match=r"^no reply from 'lww-kv' to msg_id 5 within 0.5 s$"):
            await kv.write("x", 1)
        results.append(trio.current_time())

    replies: list[Body] = [
        {"type": "error", "code": 20, "text": "not found"},
        {"type": "write_ok"},
        {"type": "read_ok", "value": 8},
        {"type": "ts_ok", "ts": 3},
    ]
    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(use)
        asked = []
        for reply in replies:
            message = await network.receive()
            asked.append((message.dest, message.body))
            await network.reply(message, reply)
    assert results == ["none", 8, 3, 0.5]
    assert asked == [
        ("lww-kv", {"type": "read", "key": "x", "msg_id": 1}),
        ("lww-kv", {"type": "write", "key": "_fresh", "value": asked[1][1]["value"], "msg_id": 2}),
        ("lww-kv", {"type": "read", "key": "x", "msg_id": 3}),
        ("lin-tso", {"type": "ts", "msg_id": 4}),
    ]
    assert f"{Random(5).getrandbits(64):x}" in asked[1][1]["value"]
