"""Maelstrom's services in the simulator: against models that are slow and obvious, and promise by promise."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from trio_messenger import (
    LIN_KV,
    LIN_TSO,
    LWW_KV,
    SEQ_KV,
    Body,
    ErrorCode,
    KeyValue,
    RpcError,
    TimestampOracle,
)
from trio_messenger.sim._services import LWW_KV_VARIANTS, SERVICES, SimulatedService

MERGING = "lww-kv, merging"

CONVERGING = [LIN_KV, SEQ_KV, MERGING]
"""Those whose readers all come to read the same once nobody writes any more."""

KV = [*CONVERGING, LWW_KV]

MAKERS = {**SERVICES, MERGING: LWW_KV_VARIANTS["merging"]}


def make(name: str, seed: int = 0) -> SimulatedService:
    return MAKERS[name](Random(seed))


def id_of(name: str) -> str:
    """Return the id that nodes send to."""
    return name.partition(",")[0]


def asked(service: SimulatedService, src: str, body: Body) -> Body:
    """Return the reply to *body*, which is there and has none of the fields that are the network's."""
    reply = service.handle(src, body)
    assert reply is not None
    assert not {"msg_id", "in_reply_to"} & set(reply)
    return reply


def read(service: SimulatedService, src: str, key: Any) -> Any:
    """Return what *src* reads, ``"none"`` if there is no such key."""
    reply = asked(service, src, {"type": "read", "key": key})
    if reply["type"] == "error":
        assert reply["code"] == 20
        return "none"
    assert list(reply) == ["type", "value"]
    assert reply["type"] == "read_ok"
    return reply["value"]


def write(service: SimulatedService, src: str, key: Any, value: Any) -> None:
    assert asked(service, src, {"type": "write", "key": key, "value": value}) == {"type": "write_ok"}


def cas(service: SimulatedService, src: str, key: Any, expected: Any, value: Any, **more: Any) -> Any:
    """Return 0 if it succeeded, else the code of the error."""
    reply = asked(service, src, {"type": "cas", "key": key, "from": expected, "to": value, **more})
    return reply["code"] if reply["type"] == "error" else {"cas_ok": 0}[reply["type"]]


# The models. States are whole dictionaries, which are copied; keys and values are JSON texts.

State: TypeAlias = dict[str, Any]
"""What each key holds."""


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def applied(state: State, body: Body, may_create: bool = True) -> tuple[State, Body]:
    """Return the state after *body*, a well-formed request, and the reply."""
    key = text(body["key"])
    if body["type"] == "write":
        return {**state, key: text(body["value"])}, {"type": "write_ok"}
    create = body.get("create_if_not_exists")
    if key not in state and (create is None or create is False or not may_create):
        return state, {"type": "error", "code": 20}
    if body["type"] == "read":
        return state, {"type": "read_ok", "value": json.loads(state[key])}
    if state.get(key, text(body["from"])) == text(body["from"]):
        return {**state, key: text(body["to"])}, {"type": "cas_ok"}
    return state, {"type": "error", "code": 22}


class LinModel:
    """One state."""

    def __init__(self, _: Random) -> None:
        self.state: State = {}

    def handle(self, _: str, body: Body) -> Body:
        self.state, reply = applied(self.state, body)
        return reply


class SeqModel:
    """Every state there ever was, of which the last 32 can be drawn."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.states: list[State] = [{}]
        self.seen: dict[str, int] = {}

    def handle(self, src: str, body: Body) -> Body:
        last, first = len(self.states) - 1, self.seen.get(src, 0)
        drawn = max(first + int(self.random.random() * (last - first + 1)), last - 31)
        state, reply = applied(self.states[drawn], body)
        if state != self.states[drawn]:
            state, reply = applied(self.states[-1], body)
            self.states.append(state)
            drawn = last + 1
        self.seen[src] = drawn
        return reply


class LwwModel:
    """Two replicas, each with a clock and all of its entries: (stamp, writer, value) by key. They do not merge."""

    merges = False

    def __init__(self, random: Random) -> None:
        self.random = random
        self.clocks = [0, 0]
        self.entries: list[dict[str, tuple[int, int, str]]] = [{}, {}]

    def draw(self) -> int:
        return int(self.random.random() * 2)

    def handle(self, _: str, body: Body) -> Body:
        source, dest = self.draw(), self.draw()
        if self.merges:
            self.clocks[dest] = max(self.clocks[source], self.clocks[dest])
            for name, entry in self.entries[source].items():
                self.entries[dest][name] = max(entry, self.entries[dest].get(name, entry))
        at = self.draw()
        entries = self.entries[at]
        values = {name: value for name, (_, _, value) in entries.items()}
        reply = applied(values, body, may_create=False)[1]
        if reply["type"] in ("write_ok", "cas_ok"):
            value = body["value"] if body["type"] == "write" else body["to"]
            entries[text(body["key"])] = (self.clocks[at], at, text(value))
            self.clocks[at] += 1
        return reply


class MergingModel(LwwModel):
    """The same, but they do. Merges look at all entries."""

    merges = True


MODELS: dict[str, Callable[[Random], Any]] = {
    LIN_KV: LinModel,
    SEQ_KV: SeqModel,
    LWW_KV: LwwModel,
    MERGING: MergingModel,
}

KEYS = [1, "1", True, 1.0, None, [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
VALUES = [0, 1, True, 1.0, "1", [1, True], {"x": 1, "y": [0]}, {"y": [0], "x": 1}]


def requests(random: Random, keys: list[Any], values: list[Any]) -> Iterator[tuple[str, Body]]:
    """Yield random requests of three nodes, and now and then of another one, without end."""
    while True:
        body: Body = {"type": random.choice(["read", "write", "cas"]), "key": random.choice(keys)}
        if body["type"] == "write":
            body["value"] = random.choice(values)
        elif body["type"] == "cas":
            body |= {"from": random.choice(values), "to": random.choice(values)}
            if random.random() < 0.3:
                body["create_if_not_exists"] = random.choice([True, False, None, 0, "", []])
        src = random.randrange(3) if random.random() < 0.98 else random.randrange(100)
        yield f"n{src + 1}", body


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", KV)
@pytest.mark.parametrize(("runs", "length", "keys", "values"), [(1000, 12, 2, 2), (200, 40, 8, 8), (20, 300, 3, 3)])
def test_a_service_answers_as_its_model_does(name: str, runs: int, length: int, keys: int, values: int) -> None:
    """On random requests, few or many, about few keys or many, each reply is the model's, given the same draws."""
    seen: Counter[str] = Counter()
    for seed in range(runs):
        service, model = make(name, seed), MODELS[name](Random(seed))
        stream = requests(Random(f"requests {seed}"), KEYS[:keys], VALUES[:values])
        for src, body in itertools.islice(stream, length):
            reply = asked(service, src, copy.deepcopy(body))
            expected = model.handle(src, body)
            assert text({**reply, "text": None}) == text({**expected, "text": None}), f"seed {seed}: {body}"
            seen[f"{body['type']} {reply.get('code', 0)}"] += 1
    assert set(seen) == {"read 0", "read 20", "write 0", "cas 0", "cas 20", "cas 22"}
    assert min(seen.values()) >= 20


def orders(programs: dict[str, list[Any]]) -> Iterator[list[Any]]:
    """Yield each way to interleave the programs."""
    if not programs:
        yield []
    for src, (first, *rest) in programs.items():
        others = {**programs, src: rest} if rest else {other: programs[other] for other in programs if other != src}
        for order in orders(others):
            yield [first, *order]


def is_sequential(programs: dict[str, list[tuple[Body, Body]]]) -> bool:
    """Tell whether one map, asked in some order that keeps each client's own, gives all the replies."""

    def fits(order: list[tuple[Body, Body]]) -> bool:
        state: State = {}
        for body, reply in order:
            state, expected = applied(state, body)
            if text(expected) != text(reply):
                return False
        return True

    return any(map(fits, orders(programs)))


# What all key-value services promise


DISTINCT: list[Any] = [
    *(0, 1, -1, 2**53, 2**53 + 1, 10**30, 0.0, 1.0, 1e30, 0.1, True, False, None),
    *("", "0", "-0.0", "1", "1.0", "true", "null", "[]", "é", "e\u0301"),
    *([], [0], [0.0], [False], [[]], [0, 1], [1, 0], {}, {"": 0}, {"a": 0}, {"a": False}, {"b": 0}, {"a": 0, "b": 0}),
]
"""JSON values, no two of them the same."""

SAME: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([{"a": {"c": 1, "d": 2}}], [{"a": {"d": 2, "c": 1}}]),
    (100.0, 1e2),
    (0.0, -0.0),
    ([{"a": [0.0]}, "-0.0"], [{"a": [-0.0]}, "-0.0"]),
]
"""JSON values that are the same though they are written differently."""


@pytest.mark.parametrize("name", CONVERGING)
def test_keys_are_told_apart_as_json_values(name: str) -> None:
    """1, "1", true and 1.0 are four keys, and so on for all pairs; an object's fields have no order."""
    service = make(name)
    for number, key in enumerate(DISTINCT):
        write(service, "n1", key, number)
    for _ in range(60):  # a lww-kv whose replicas merge needs a while to agree
        read(service, "n1", "other")
    assert [read(service, "n1", key) for key in DISTINCT] == list(range(len(DISTINCT)))
    for key, same in SAME:
        write(service, "n1", key, "first")
        for _ in range(60):
            read(service, "n1", "other")
        assert read(service, "n1", same) == "first"


def test_values_are_compared_as_json_values() -> None:
    """A compare-and-set takes no true for 1, no 1.0 for 1 and no 0 for false, at any depth; fields have no order."""
    service = make(LIN_KV)
    for held, expected in itertools.product(DISTINCT, repeat=2):
        write(service, "n1", "x", held)
        assert cas(service, "n1", "x", expected, "set") == (0 if held is expected else 22), (held, expected)
    for held, expected in SAME:
        write(service, "n1", "x", held)
        assert cas(service, "n1", "x", expected, "set") == 0


@pytest.mark.parametrize("name", CONVERGING)
def test_a_value_is_read_as_it_was_written(name: str) -> None:
    """Every JSON value comes back as what it was: true as true, 1.0 as a float, null as null."""
    for value in [*DISTINCT, -0.0, [-0.0]]:
        service = make(name)
        write(service, "n1", "x", value)
        for _ in range(60):
            asked(service, "n1", {"type": "read", "key": "x"})
        assert repr(read(service, "n1", "x")) == repr(value)


@pytest.mark.parametrize("name", CONVERGING)
def test_values_are_not_shared_with_the_nodes(name: str) -> None:
    """A node that changes what it wrote, or what it read, does not change what is kept."""
    service = make(name)
    written = {"list": [1, {"deep": [2]}]}
    key = ["k", [1]]
    body = {"type": "write", "key": key, "value": written, "msg_id": 1}
    before = copy.deepcopy(body)
    asked(service, "n1", body)
    assert body == before
    written["list"].append("changed")
    key.append("changed")
    values = [read(service, "n1", ["k", [1]]) for _ in range(60)]
    kept = [value for value in values if value != "none"]
    assert kept
    for value in kept:
        assert value == {"list": [1, {"deep": [2]}]}
        value["list"][1]["deep"].clear()
    to = ["new"]
    while cas(service, "n1", ["k", [1]], {"list": [1, {"deep": [2]}]}, to):
        pass
    to.clear()
    for _ in range(60):
        read(service, "n1", ["k", [1]])
    assert read(service, "n1", ["k", [1]]) == ["new"]


ERRORS: list[tuple[Body, int, str]] = [
    ({"type": "read", "key": "x"}, 20, 'key does not exist: "x"'),
    ({"type": "read", "key": {"b": [None, 1.0], "a": True}}, 20, 'key does not exist: {"a":true,"b":[null,1.0]}'),
    ({"type": "read", "key": "é" * 200}, 20, 'key does not exist: "' + "é" * 119 + "..."),
    ({"type": "cas", "key": 1, "from": 1, "to": 2}, 20, "key does not exist: 1"),
    ({"type": "cas", "key": 1, "from": 1, "to": 2, "create_if_not_exists": False}, 20, "key does not exist: 1"),
    ({"type": "cas", "key": 1, "from": 1, "to": 2, "create_if_not_exists": None}, 20, "key does not exist: 1"),
    ({"type": "read"}, 12, "malformed 'read' request: Object missing required field `key`"),
    ({"type": "write", "value": 1}, 12, "malformed 'write' request: Object missing required field `key`"),
    ({"type": "write", "key": 1}, 12, "malformed 'write' request: Object missing required field `value`"),
    ({"type": "cas", "from": 1, "to": 2}, 12, "malformed 'cas' request: Object missing required field `key`"),
    ({"type": "cas", "key": 1, "to": 2}, 12, "malformed 'cas' request: Object missing required field `from`"),
    ({"type": "cas", "key": 1, "from": 1}, 12, "malformed 'cas' request: Object missing required field `to`"),
    ({}, 12, "malformed request: its `type` must be a string"),
    ({"type": ["read"], "key": 1}, 12, "malformed request: its `type` must be a string"),
]


@pytest.mark.parametrize("name", KV)
@pytest.mark.parametrize(("body", "code", "expected"), ERRORS)
def test_an_error_says_what_is_wrong(name: str, body: Body, code: int, expected: str) -> None:
    """A key that is not there is error 20, a malformed request error 12; the text names the key or the field."""
    reply = asked(make(name), "n1", body)
    assert list(reply.items()) == [("type", "error"), ("code", code), ("text", expected)]
    assert isinstance(RpcError.from_body(reply).code, ErrorCode)


@pytest.mark.parametrize(("name", "types"), [*((name, "read, write, cas") for name in KV), (LIN_TSO, "ts")])
def test_an_unknown_type_is_answered(name: str, types: str) -> None:
    """A type that the service does not know is error 10, which names it and those that it knows."""
    reply = asked(make(name), "n1", {"type": "append", "key": 1})
    assert reply == {"type": "error", "code": 10, "text": f"{id_of(name)} does not handle 'append'; it handles {types}"}
    reply = asked(make(name), "n1", {"type": "a" * 1000})
    assert reply["text"] == f"{id_of(name)} does not handle '{'a' * 79}; it handles {types}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_reply_is_not_answered(name: str) -> None:
    """An error, or another reply that went astray, gets no answer: two that answer those would never stop."""
    service = make(name)
    assert service.handle("n1", {"type": "error", "code": 10}) is None
    assert service.handle("n1", {"type": "error", "code": 10, "in_reply_to": 0}) is None
    assert service.handle("n1", {"type": "echo_ok", "in_reply_to": 0}) is None
    assert service.handle("n1", {"in_reply_to": 0}) is None


@pytest.mark.parametrize("name", CONVERGING)
def test_the_text_of_a_failed_comparison_names_both_values(name: str) -> None:
    """Error 22 tells what is there and what was expected, both as JSON, cut off where they are long."""
    service = make(name)
    for held, expected, words in [
        (3, 2, "current value 3 is not 2"),
        (1, True, "current value 1 is not true"),
        ({"b": None, "a": "é"}, "1", 'current value {"a":"é","b":null} is not "1"'),
        ("a" * 119, "b" * 118, 'current value "' + "a" * 119 + '... is not "' + "b" * 118 + '"'),
    ]:
        write(service, "n1", "x", held)
        for _ in range(60):
            read(service, "n1", "other")
        reply = asked(service, "n1", {"type": "cas", "key": "x", "from": expected, "to": 0})
        assert reply == {"type": "error", "code": 22, "text": words}


@pytest.mark.parametrize("name", KV)
def test_a_refused_request_changes_nothing(name: str) -> None:
    """What cannot be served leaves no trace: nothing is stored and no draw is used up."""
    disturbed, quiet = make(name, 5), make(name, 5)
    for src, body in itertools.islice(requests(Random(6), KEYS[:2], VALUES[:2]), 200):
        for bad, code, _ in ERRORS:
            if code == 12:
                asked(disturbed, src, bad)
        asked(disturbed, src, {"type": "append", "key": 1, "value": 1})
        assert asked(disturbed, src, body) == asked(quiet, src, body)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("name", KV)
@pytest.mark.parametrize("field", ["key", "value"])
def test_deep_nesting_is_refused(name: str, field: str) -> None:
    """A key or value that is nested too deeply to be written as JSON is error 12, and the service goes on."""
    service = make(name)
    reply = asked(service, "n1", {"type": "write", "key": 1, "value": 1, field: nested(100_000)})
    assert reply == {"type": "error", "code": 12, "text": "malformed 'write' request: it is nested too deeply"}
    assert read(service, "n1", 1) == "none"


# lin-kv


@pytest.mark.parametrize("asked_for", [True, 1, 0, "", "false", [], {}, 0.0])
@pytest.mark.parametrize("name", [LIN_KV, SEQ_KV])
def test_anything_but_false_and_null_asks_to_create(name: str, asked_for: Any) -> None:
    """``create_if_not_exists`` is true as Clojure has it: 0 and the empty string as well."""
    assert cas(make(name), "n1", "x", 1, 2, create_if_not_exists=asked_for) == 0
    assert cas(make(name), "n1", "x", 1, 2, create_if_not_exists=None) == 20
    assert cas(make(name), "n1", "x", 1, 2, create_if_not_exists=False) == 20


def test_writing_the_other_zero_changes_nothing() -> None:
    """To seq-kv 0.0 and -0.0 are one value: to write one where the other is may stay in the past."""
    kept = 0
    for seed in range(50):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 0.0)
        write(service, "n2", "x", 1)
        write(service, "n1", "x", -0.0)
        kept += [read(service, "n2", "x") for _ in range(30)][-1] == 1
    assert 10 < kept < 40


def test_lin_kv_creates_where_that_is_asked_for() -> None:
    """With create_if_not_exists a missing key is set whatever was expected; one that exists is compared as ever."""
    service = make(LIN_KV)
    assert cas(service, "n1", "x", "whatever", 1, create_if_not_exists=True) == 0
    assert cas(service, "n2", "x", "whatever", 2, create_if_not_exists=True) == 22
    assert cas(service, "n2", "x", 1, 2, create_if_not_exists=True) == 0
    assert read(service, "n3", "x") == 2


def test_lin_kv_holds_null_as_a_value() -> None:
    """A key that holds null exists: it is read as null, and compared with null."""
    service = make(LIN_KV)
    write(service, "n1", "x", None)
    assert read(service, "n1", "x") is None
    assert cas(service, "n1", "x", 1, 2) == 22
    assert cas(service, "n1", "x", None, 2) == 0


# seq-kv


@pytest.mark.unmeasured
def test_seq_kv_is_sequentially_consistent() -> None:
    """Whatever the nodes are told, one map, asked in an order that keeps each node's own, would have said it too."""
    stale = 0
    for seed in range(250):
        service, one_map = make(SEQ_KV, seed), LinModel(Random())
        programs: dict[str, list[tuple[Body, Body]]] = {}
        for src, body in itertools.islice(requests(Random(f"sequential {seed}"), ["x", "y"], [0, 1]), 8):
            reply = asked(service, src, body)
            reply.pop("text", None)
            programs.setdefault(src, []).append((body, reply))
            stale += reply != one_map.handle(src, body)
        assert is_sequential(programs), f"seed {seed}"
    assert stale > 100  # were nothing stale, this would say little


def test_the_check_for_sequential_consistency_sees_a_view_that_goes_back() -> None:
    """The search that the test above relies on finds no order in which one node reads 2 and then 1."""
    writes: list[tuple[Body, Body]] = [({"type": "write", "key": 1, "value": n}, {"type": "write_ok"}) for n in (1, 2)]
    reads: list[tuple[Body, Body]] = [({"type": "read", "key": 1}, {"type": "read_ok", "value": n}) for n in (1, 2)]
    assert is_sequential({"n1": writes, "n2": reads})
    assert not is_sequential({"n1": writes, "n2": reads[::-1]})


@pytest.mark.unmeasured
@pytest.mark.parametrize(("writes", "seeds"), [(10, 500), (31, 500), (32, 500), (100, 2000)])
def test_a_view_never_goes_back(writes: int, seeds: int) -> None:
    """However many changes a fresh reader has missed, what it reads never gets older, over thousands of seeds."""
    for seed in range(seeds):
        service = make(SEQ_KV, seed)
        for n in range(writes):
            write(service, "n1", "x", n)
        values = [-1 if value == "none" else value for value in (read(service, "n2", "x") for _ in range(8))]
        assert values == sorted(values), f"seed {seed}"


def test_a_fresh_reader_sees_any_state_that_is_kept() -> None:
    """After 15 changes each of 16 states is drawn equally often; after 99, the oldest of 32 stands for 68 more."""
    first: dict[int, Counter[Any]] = {}
    for writes in (15, 99):
        service = make(SEQ_KV, writes)
        for n in range(writes):
            write(service, "n1", "x", n)
        first[writes] = Counter(read(service, f"reader {n}", "x") for n in range(3200))
    assert set(first[15]) == {"none", *range(15)}
    assert all(140 < count < 260 for count in first[15].values())  # 200, and more than four deviations of 14
    assert set(first[99]) == set(range(67, 99))
    assert 2100 < first[99].pop(67) < 2320  # 69 of 100
    assert all(8 < count < 64 for count in first[99].values())  # 1 of 100


@pytest.mark.unmeasured
def test_a_reader_that_keeps_reading_catches_up() -> None:
    """Each read is drawn from what is left, so that 60 reads reach the newest of a hundred states."""
    for seed in range(300):
        service = make(SEQ_KV, seed)
        for n in range(100):
            write(service, "n1", "x", n)
        values = [read(service, "n2", "x") for _ in range(60)]
        assert values[-1] == 99


def test_whoever_changes_something_is_up_to_date() -> None:
    """A node that wrote sees the newest of every key at once, and its change is made to the newest state."""
    for seed in range(300):
        service = make(SEQ_KV, seed)
        for n in range(20):
            write(service, "n1", "x", n)
        write(service, "n2", "y", 1)
        assert read(service, "n2", "x") == 19
        assert read(service, "n2", "y") == 1


def test_a_change_is_made_to_the_newest_state() -> None:
    """A compare-and-set that would do on an old state, and fails on the newest, fails."""
    codes: Counter[int] = Counter()
    for seed in range(300):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        write(service, "n1", "x", 2)
        codes[cas(service, "n2", "x", 1, 3)] += 1
        assert read(service, "n1", "x") == 2
    assert set(codes) == {20, 22}


def newest(service: SimulatedService, key: Any) -> Any:
    """Return the newest value of *key*, read by a node that has just changed something else."""
    write(service, "n9", "other", "changed")
    return read(service, "n9", key)


def test_a_write_of_what_was_there_may_stay_in_the_past() -> None:
    """A second write of 1 may be served before the 2 that came in between, and then 2 stays; or it comes last."""
    last: Counter[Any] = Counter()
    for seed in range(400):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        write(service, "n2", "x", 2)  # no state has that yet, so this goes to the newest
        write(service, "n1", "x", 1)
        last[newest(service, "x")] += 1
    assert set(last) == {1, 2}
    assert 150 < last[1] < 250


def test_setting_a_value_to_itself_may_stay_in_the_past() -> None:
    """A compare-and-set from 1 to 1 succeeds where a node still sees 1, though another has set 2; nothing changes."""
    codes: Counter[int] = Counter()
    for seed in range(400):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        write(service, "n2", "x", 2)
        codes[cas(service, "n1", "x", 1, 1)] += 1
        assert newest(service, "x") == 2
    assert set(codes) == {0, 22}
    assert 150 < codes[0] < 250


def test_clients_of_seq_kv_stand_in_different_places() -> None:
    """What one node has seen says nothing of another: it may still read what was there before."""
    behind = 0
    for seed in range(300):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        assert read(service, "n1", "x") == 1
        behind += read(service, "n2", "x") == "none"
    assert 100 < behind < 200


# lww-kv


class Scripted(Random):
    """A source of chance that knows its draws beforehand, as letters: a or b for the first or the second replica."""

    def __init__(self, draws: str) -> None:
        super().__init__(0)
        self._draws = iter(draws)

    def random(self) -> float:
        return {"a": 0.0, "b": 0.5}[next(self._draws)]


def scripted(*draws: str) -> SimulatedService:
    """Return a merging lww-kv that draws these: source, destination and server, for each request."""
    return MAKERS[MERGING](Scripted("".join(draws)))


def test_replicas_never_merge() -> None:
    """As in Maelstrom, each replica keeps its own entries and clock, whatever is drawn for a merge."""
    service = SERVICES[LWW_KV](Scripted("".join(["aaa", "abb", "baa", "abb", "abb", "baa", "aba"])))
    write(service, "n1", "x", 1)
    assert read(service, "n1", "x") == "none"
    assert read(service, "n1", "x") == 1
    assert cas(service, "n1", "x", 1, 2) == 20
    write(service, "n1", "x", 3)
    assert cas(service, "n1", "x", 1, 2) == 0  # it was never told of the 3
    assert read(service, "n1", "x") == 2


@pytest.mark.parametrize("number", [1, 6, 12])
def test_half_of_all_reads_miss_a_key_forever(number: int) -> None:
    """After one write each read finds the key or not, as if a coin were thrown, however much later it comes."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", 1)
        return [read(service, "n1", "x") for _ in range(number)][-1]

    counts = Counter(run(make(LWW_KV, seed)) for seed in range(500))
    assert set(counts) == {1, "none"}
    assert 200 < counts["none"] < 300


def test_both_variants_draw_the_same() -> None:
    """Whether or not replicas merge, a request is served by the same one of them."""
    served = []
    for name in (LWW_KV, MERGING):
        random = Random(3)
        service = MAKERS[name](random)
        for n in range(10):
            write(service, "n1", "x", n)
        served.append(random.getstate())
    assert served[0] == served[1]


def test_lww_kv_merges_and_serves_as_drawn() -> None:
    """The first drawn replica is merged into the second, and nothing is merged the other way; the third serves."""
    service = scripted("aaa", "aab", "baa", "abb", "aba")
    write(service, "n1", "x", 1)
    assert read(service, "n1", "x") == "none"
    assert read(service, "n1", "x") == 1  # b, merged into a, brings nothing
    assert read(service, "n1", "x") == 1  # now b has it
    assert read(service, "n1", "x") == 1


@pytest.mark.parametrize("merges", [["ab"], ["ba"], ["ab", "ba"], ["ba", "ab"]])
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_tie_does_not_depend_on_the_direction_of_the_merge(merges: list[str], first: str) -> None:
    """Of two writes with the same stamp that of the second replica survives, whichever came first or is merged."""
    other = {"a": "b", "b": "a"}[first]
    # Both have written once, so both stamps are 0; then come the merges, and each replica is told of the other.
    service = scripted("aa" + first, "aa" + other, *(merge + "a" for merge in merges), "aba", "baa", "aaa", "aab")
    write(service, "n1", "x", first)
    write(service, "n1", "x", other)
    for _ in range(len(merges) + 2):
        read(service, "n1", "x")
    assert [read(service, "n1", "x"), read(service, "n1", "x")] == ["b", "b"]


def test_the_tie_is_broken_by_the_writer_and_not_by_the_value() -> None:
    """Neither the greater nor the smaller value has an advantage."""
    for mine, theirs in [(1, 2), (2, 1)]:
        service = scripted("aaa", "aab", "baa")
        write(service, "n1", "x", theirs)
        write(service, "n1", "x", mine)
        assert read(service, "n1", "x") == mine


def test_a_merge_moves_the_clock() -> None:
    """A replica that has heard of a stamp gives a later one, so that its next write wins over all it knew."""
    # The second writes four times, and is merged into the first, which then writes: later, though it wrote but once.
    service = scripted("aab", "aab", "aab", "aab", "baa", "aaa", "aba", "bab")
    for n in range(4):
        write(service, "n1", f"key {n}", n)
    write(service, "n1", "key 3", "later")
    assert [read(service, "n1", "key 3") for _ in range(3)] == ["later"] * 3


def test_the_later_stamp_wins() -> None:
    """Of two writes that did not know of each other that of the replica with more writes survives, first or not."""
    service = scripted("bbb", "bbb", "aaa", "aba", "aab", "baa")
    write(service, "n1", "x", "of 0")
    write(service, "n1", "x", "of 1")
    write(service, "n1", "x", "of 0, acknowledged last")
    assert read(service, "n1", "x") == "of 0, acknowledged last"
    assert read(service, "n1", "x") == "of 1"
    assert read(service, "n1", "x") == "of 1"


def settled(service: SimulatedService, key: Any) -> Any:
    """Return what is read of *key* after many reads, when all further ones agree."""
    for _ in range(60):
        read(service, "n9", key)
    [value] = {text(read(service, "n9", key)) for _ in range(20)}
    return json.loads(value)


@pytest.mark.unmeasured
def test_replicas_converge() -> None:
    """After any requests, once nobody writes any more all reads of a key come to agree, over 500 seeds."""
    for seed in range(500):
        service = make(MERGING, seed)
        for src, body in itertools.islice(requests(Random(f"converge {seed}"), ["x", "y"], [0, 1, 2, 3]), 30):
            asked(service, src, body)
        settled(service, "x")
        settled(service, "y")


def test_a_merge_looks_at_what_is_new_only() -> None:
    """What the replicas have told each other costs nothing any more, however many keys there are."""

    def calls(keys: int) -> int:
        service = scripted(*["aaa"] * keys, "aba", "baa", "aba", "baa")
        for n in range(keys):
            write(service, "n1", n, n)
        read(service, "n1", 0)
        events: list[str] = []
        sys.setprofile(lambda _frame, event, _arg: events.append(event))
        try:
            for _ in range(3):
                service.handle("n1", {"type": "read", "key": 0})
        finally:
            sys.setprofile(None)
        return len(events)

    assert calls(1000) == calls(1) > 0


def outcomes(run: Callable[[SimulatedService], Any]) -> Counter[Any]:
    return Counter(run(make(MERGING, seed)) for seed in range(500))


def test_acknowledged_writes_can_vanish() -> None:
    """Of two writes, one after the other, the later can lose; with seed 1 it does."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", "earlier")
        write(service, "n1", "x", "later")
        return settled(service, "x")

    counts = outcomes(run)
    assert set(counts) == {"earlier", "later"}
    assert 55 < counts["earlier"] < 135  # 3 of 16: the second replica, the first one, and no merge in between
    assert run(make(MERGING, 1)) == "earlier"


def test_a_written_key_may_not_be_there() -> None:
    """A read right after an acknowledged write can find no key; it is the same node that asks."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", 1)
        return read(service, "n1", "x")

    counts = outcomes(run)
    assert set(counts) == {1, "none"}
    assert 140 < counts["none"] < 235  # 3 of 8: the other replica serves, and was not told just before


def test_a_compare_and_set_can_succeed_twice() -> None:
    """Both of two nodes may take the same step, of which a lock or a counter would know nothing."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", 0)
        settled(service, "x")
        return cas(service, "n1", "x", 0, 1), cas(service, "n2", "x", 0, 2)

    counts = outcomes(run)
    assert set(counts) == {(0, 0), (0, 22)}
    assert 140 < counts[0, 0] < 235


def test_lww_kv_does_not_create() -> None:
    """It does not know create_if_not_exists: a key that is not there is error 20, and stays away."""
    service = make(MERGING)
    for _ in range(20):
        assert cas(service, "n1", "x", None, 1, create_if_not_exists=True) == 20
    assert settled(service, "x") == "none"


# lin-tso


def test_timestamps_count_from_zero() -> None:
    """Each request gets the next integer, whoever asks; a request that is refused uses none up."""
    service = make(LIN_TSO)
    replies = []
    for n in range(1000):
        assert asked(service, "n1", {"type": "read", "key": 1})["code"] == 10
        replies.append(asked(service, f"n{n % 3}", {"type": "ts", "msg_id": n}))
    assert replies == [{"type": "ts_ok", "ts": n} for n in range(1000)]


# All of them


def test_the_services_are_maelstroms() -> None:
    """There are four, known by the ids that nodes send to."""
    assert set(SERVICES) == {"lin-kv", "seq-kv", "lww-kv", "lin-tso"}


@pytest.mark.parametrize("name", KV)
def test_each_run_has_services_of_its_own(name: str) -> None:
    """Two of a kind share nothing: neither what they hold nor, given different streams, their draws."""
    first, second = make(name), make(name)
    for _ in range(10):
        write(first, "n1", "x", 1)
    assert {read(second, "n1", "x") for _ in range(60)} == {"none"}


@pytest.mark.parametrize("name", [SEQ_KV, LWW_KV])
def test_the_seed_decides(name: str) -> None:
    """The same stream gives the same replies, and another one others."""

    def replies(seed: int) -> list[Body]:
        service = make(name, seed)
        stream = itertools.islice(requests(Random(1), KEYS, VALUES), 300)
        return [asked(service, src, body) for src, body in stream]

    assert replies(1) == replies(1)
    assert replies(1) != replies(2)


@pytest.mark.parametrize("name", KV)
def test_old_values_are_not_kept(name: str) -> None:
    """A service does not grow with the number of writes, only with that of keys."""

    def size(writes: int) -> int:
        service = make(name)
        for n in range(writes):
            write(service, "n1", n % 3, f"{n:09}")
        return len(pickle.dumps(service))

    assert size(6000) < size(600) + 100


class Direct:
    """A caller next to the service: each request takes a millisecond there and one back."""

    def __init__(self, service: SimulatedService, src: str, random: Random) -> None:
        self.id, self.random = src, random
        self._service = service

    async def rpc(self, _: str, body: Any, *, timeout: float | None = None) -> Body:  # noqa: ARG002 - as Node.rpc
        await trio.sleep(0.001)
        reply = asked(self._service, self.id, body)
        await trio.sleep(0.001)
        if reply["type"] == "error":
            raise RpcError.from_body(reply)
        return reply


@pytest.mark.parametrize("name", [LIN_KV, SEQ_KV])
async def test_the_clients_counters_add_up(name: str, autojump_clock: MockClock) -> None:
    """Three nodes that add to one counter with `KeyValue.update` lose nothing, though seq-kv shows them old values."""
    service = make(name, 1)

    async def add(src: str) -> None:
        store = KeyValue(Direct(service, src, Random(src)), name)
        for _ in range(5):
            await store.update("count", lambda count: count + 1, default=0, attempts=200)

    async with trio.open_nursery() as nursery:
        for src in ("n1", "n2", "n3"):
            nursery.start_soon(add, src)
    assert await KeyValue(Direct(service, "n4", Random(4)), name).read("count", fresh=True) == 15


async def test_the_clients_timestamps_are_the_services(autojump_clock: MockClock) -> None:
    """`TimestampOracle` reads them."""
    oracle = TimestampOracle(Direct(make(LIN_TSO), "n1", Random(1)))
    assert [await oracle.ts() for _ in range(3)] == [0, 1, 2]
