"""Workloads: what clients ask, which replies they take, and how an error counts."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest

from trio_messenger import Body, ErrorCode, RpcError, RpcTimeout
from trio_messenger.sim import TOPOLOGIES, WORKLOADS, GeneratorContext, Workload

TIMEOUT = RpcTimeout("n1", 1, 5)
DEFINITE = RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE)
INDEFINITE = RpcError(ErrorCode.CRASH)

# What each function's request is for a value, and a reply to it with the value that it stands for.
FORMS: dict[str, dict[str, tuple[Any, Body, Body, Any]]] = {
    "echo": {"echo": ("hi", {"type": "echo", "echo": "hi"}, {"type": "echo_ok", "echo": ["x"]}, ["x"])},
    "unique-ids": {"generate": (None, {"type": "generate"}, {"type": "generate_ok", "id": 7}, 7)},
    "broadcast": {
        "broadcast": (3, {"type": "broadcast", "message": 3}, {"type": "broadcast_ok"}, 3),
        "read": (None, {"type": "read"}, {"type": "read_ok", "messages": [2, 1]}, [2, 1]),
    },
    "g-set": {
        "add": (3, {"type": "add", "element": 3}, {"type": "add_ok"}, 3),
        "read": (None, {"type": "read"}, {"type": "read_ok", "value": [2, 1]}, [2, 1]),
    },
    "g-counter": {
        "add": (3, {"type": "add", "delta": 3}, {"type": "add_ok"}, 3),
        "read": (None, {"type": "read"}, {"type": "read_ok", "value": 5}, 5),
    },
    "pn-counter": {
        "add": (-3, {"type": "add", "delta": -3}, {"type": "add_ok"}, -3),
        "read": (None, {"type": "read"}, {"type": "read_ok", "value": -5}, -5),
    },
    "lin-kv": {
        "read": ([7, None], {"type": "read", "key": 7}, {"type": "read_ok", "value": 3}, [7, 3]),
        "write": ([7, 3], {"type": "write", "key": 7, "value": 3}, {"type": "write_ok"}, [7, 3]),
        "cas": ([7, [1, 2]], {"type": "cas", "key": 7, "from": 1, "to": 2}, {"type": "cas_ok"}, [7, [1, 2]]),
    },
    "txn-list-append": {
        "txn": (
            [["r", 7, None], ["append", 7, 3]],
            {"type": "txn", "txn": [["r", 7, None], ["append", 7, 3]]},
            {"type": "txn_ok", "txn": [["r", 7, [1, 2]], ["append", 7, 3]]},
            [["r", 7, [1, 2]], ["append", 7, 3]],
        ),
    },
    "txn-rw-register": {
        "txn": (
            [["r", 7, None], ["w", 7, 3]],
            {"type": "txn", "txn": [["r", 7, None], ["w", 7, 3]]},
            {"type": "txn_ok", "txn": [["r", 7, 2], ["w", 7, 3]]},
            [["r", 7, 2], ["w", 7, 3]],
        ),
    },
}
FUNCTIONS = [(name, f) for name, functions in FORMS.items() for f in functions]


def some(name: str, count: int = 1000, seed: int = 1) -> list[tuple[str, Any]]:
    """Return the first operations of a workload."""
    workload, random = WORKLOADS[name](), Random(seed)
    contexts = (GeneratorContext(worker=n % 10, process=n % 10, node="n1", time=n) for n in range(count))
    return [found for context in contexts if (found := workload.next_invocation(context, random)) is not None]


def test_the_workloads_are_maelstroms() -> None:
    """Their names are Maelstrom's, and each tells in one line what it tests."""
    assert list(WORKLOADS) == [
        *("echo", "unique-ids", "broadcast", "g-set", "g-counter", "pn-counter", "lin-kv", "kafka"),
        *("txn-list-append", "txn-rw-register"),
    ]
    assert list(FORMS) == [name for name in WORKLOADS if name != "kafka"]  # whose operations take several requests
    for name, workload in WORKLOADS.items():
        assert workload.name == name
        assert workload.summary
        assert "\n" not in workload.summary


@pytest.mark.parametrize(("name", "f"), FUNCTIONS)
def test_requests_and_replies_have_maelstroms_form(name: str, f: str) -> None:
    """Each function makes its request, and its value comes out of the reply."""
    value, request, reply, outcome = FORMS[name][f]
    workload = WORKLOADS[name]()
    assert workload.request(f, value) == request
    parsed = workload.parse(f, {**reply, "in_reply_to": 1})
    assert workload.completed(f, value, parsed) == outcome
    assert workload.completed(f, value, workload.parse(f, {**reply, "in_reply_to": 1, "msg_id": 0})) == outcome


@pytest.mark.parametrize(("name", "f"), FUNCTIONS)
def test_the_schema_of_replies_is_closed(name: str, f: str) -> None:
    """A reply with a field too many or too few, or of another type, is refused with what is wrong."""
    _, _, reply, _ = FORMS[name][f]
    workload = WORKLOADS[name]()
    whole = {**reply, "in_reply_to": 1}
    with pytest.raises(msgspec.ValidationError, match="unknown field `more`"):
        workload.parse(f, {**whole, "more": 1})
    with pytest.raises(msgspec.ValidationError, match=f"^Expected the type '{f}_ok', got 'other_ok'$"):
        workload.parse(f, {**whole, "type": "other_ok"})
    for field in whole.keys() - {"type"}:
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{field}`"):
            workload.parse(f, {key: value for key, value in whole.items() if key != field})


def test_a_counter_is_no_fraction() -> None:
    """The value of a counter is an integer."""
    with pytest.raises(msgspec.ValidationError):
        WORKLOADS["g-counter"]().parse("read", {"type": "read_ok", "value": 1.5, "in_reply_to": 1})


@pytest.mark.parametrize("name", WORKLOADS)
def test_operations_depend_on_the_seed_alone(name: str) -> None:
    """The same stream of chance gives the same operations; another gives others, where there is any chance."""
    assert some(name) == some(name)
    if name != "unique-ids":
        assert some(name) != some(name, seed=2)


@pytest.mark.parametrize("name", ["broadcast", "g-set"])
def test_elements_are_added_once_and_in_order(name: str) -> None:
    """Half of the operations read, half add 0, 1, 2 and so on."""
    operations = some(name)
    added = [value for f, value in operations if f != "read"]
    assert added == list(range(len(added)))
    assert 450 < len(added) < 550
    assert {value for f, value in operations if f == "read"} == {None}


@pytest.mark.parametrize(
    ("name", "deltas", "share"), [("g-counter", range(5), 1 / 3), ("pn-counter", range(-5, 5), 1 / 2)]
)
def test_deltas_are_evenly_distributed(name: str, deltas: range, share: float) -> None:
    """Each delta is about as frequent as any other; of g-counter's operations a third add, of pn-counter's a half."""
    counts = Counter(value for f, value in some(name, 10_000) if f == "add")
    assert set(counts) == set(deltas)
    assert max(counts.values()) < 1.3 * min(counts.values())
    assert abs(counts.total() - share * 10_000) < 200


def test_g_counter_drops_negative_additions_after_mixing() -> None:
    """A g-counter's clients do what a pn-counter's do with the same seed, but for additions of less than 0."""
    both = [each for each in some("pn-counter", 1500) if each[0] == "read" or each[1] >= 0]
    assert some("g-counter", 1000) == both[:1000]


@pytest.mark.parametrize(("name", "field"), [("broadcast", "messages"), ("g-set", "value")])
def test_null_is_the_empty_set(name: str, field: str) -> None:
    """A node in Go that has kept nothing yet says null where a list is meant; a field that is missing is an error."""
    workload = WORKLOADS[name]()
    reply = workload.parse("read", {"type": "read_ok", field: None, "in_reply_to": 1})
    assert workload.completed("read", None, reply) == []
    with pytest.raises(msgspec.ValidationError, match=field):
        workload.parse("read", {"type": "read_ok", "in_reply_to": 1})


def test_echo_sends_one_of_128_texts() -> None:
    """The texts are Maelstrom's."""
    assert {value for _, value in some("echo", 10_000)} == {f"Please echo {number}" for number in range(128)}


@pytest.mark.parametrize("name", WORKLOADS)
def test_last_reads_are_for_what_converges(name: str) -> None:
    """Workloads whose nodes are to agree in the end read at the end."""
    converges = name in ("broadcast", "g-set", "g-counter", "pn-counter")  # kafka polls, until it has seen everything
    assert WORKLOADS[name]().final_invocation() == (("read", None) if converges else None)


@pytest.mark.parametrize("name", WORKLOADS)
def test_only_broadcast_tells_a_topology(name: str) -> None:
    """The topology is told once, with every node's neighbours."""
    told = WORKLOADS[name]().setup(["n1", "n2"], TOPOLOGIES["line"])
    expected = {"type": "topology", "topology": {"n1": ["n2"], "n2": ["n1"]}}
    assert told == (expected if name == "broadcast" else None)


@pytest.mark.parametrize(
    ("name", "f", "outcomes"),
    [
        ("echo", "echo", ["info", "fail", "info"]),
        ("unique-ids", "generate", ["info", "fail", "info"]),
        ("broadcast", "broadcast", ["info", "fail", "info"]),
        ("broadcast", "read", ["fail", "fail", "fail"]),
        ("g-set", "read", ["info", "info", "info"]),
        ("g-counter", "add", ["info", "info", "info"]),
        ("pn-counter", "add", ["info", "info", "info"]),
        ("lin-kv", "read", ["fail", "fail", "fail"]),
        ("lin-kv", "cas", ["info", "fail", "info"]),
        ("kafka", "send", ["info", "fail", "info"]),
        ("txn-list-append", "txn", ["info", "fail", "info"]),
        ("kafka", "assign", ["fail", "fail", "fail"]),
    ],
)
def test_errors_count_as_maelstrom_has_it(name: str, f: str, outcomes: list[str]) -> None:
    """Definite errors fail, others leave it open; a read of broadcast always fails, and the CRDTs leave all open."""
    workload: Workload = WORKLOADS[name]()
    assert [workload.outcome(f, error) for error in (TIMEOUT, DEFINITE, INDEFINITE)] == outcomes


@pytest.mark.parametrize("done", [[], [["r", 8, [1]]], [["append", 7, 1]], [["r", 7, [1]], ["r", 7, [1]]]])
def test_a_transaction_comes_back_with_its_own_operations(done: list[Any]) -> None:
    """A node that leaves operations out, or changes them, has answered with a malformed reply."""
    workload = WORKLOADS["txn-list-append"]()
    reply = workload.parse("txn", {"type": "txn_ok", "txn": done, "in_reply_to": 1})
    with pytest.raises(
        msgspec.ValidationError, match=r"^Expected the operations \[\['r', 7, None\]\], with the values"
    ):
        workload.completed("txn", [["r", 7, None]], reply)


@pytest.mark.parametrize(("name", "is_one"), [("txn-list-append", False), ("txn-rw-register", True)])
def test_a_read_of_a_list_is_a_list(name: str, is_one: bool) -> None:
    """Anything else is a malformed reply, and not a history that the checker cannot judge; a register has any value."""
    workload = WORKLOADS[name]()
    for value in (None, [1], 1):
        reply = workload.parse("txn", {"type": "txn_ok", "txn": [["r", 7, value]], "in_reply_to": 1})
        if value == 1 and not is_one:
            with pytest.raises(msgspec.ValidationError, match=r"^Expected a read of an array or null, got "):
                workload.completed("txn", [["r", 7, None]], reply)
        else:
            assert workload.completed("txn", [["r", 7, None]], reply) == [["r", 7, value]]
