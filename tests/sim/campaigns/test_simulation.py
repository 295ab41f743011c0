"""Simulations as a whole: phases, clients, verdicts, and that nothing but the seed decides."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import random as global_random
import re
from collections.abc import Callable, MutableMapping
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from support.kept_transport import node_and_transport

from trio_messenger import LWW_KV, Body, ErrorCode, KeyValue, Node, Request, RpcError
from trio_messenger.nodes import broadcast, echo, g_counter
from trio_messenger.sim import ClockSkew, Fault, Kill, Loss, Partition, Report, SetUpError, simulate
from trio_messenger.sim._cluster.durable import Build
from trio_messenger.sim._cluster.in_process import EPOCH
from trio_messenger.sim._records.journal import Entry


def local_echo() -> Node:
    """Return a node that echoes; not one that the command line could name."""
    return echo.build()


def sends(report: Report) -> list[dict[str, Any]]:
    """Return the messages sent, in order."""
    return [json.loads(bytes(entry.message)) for entry in report.journal if entry.message is not None]


def test_a_run_goes_as_maelstroms_do() -> None:
    """`init` for each, the topology, operations for the time limit, ten seconds of rest, and a read by each worker."""
    report = simulate("broadcast", broadcast.build, nodes=3, time_limit=20)
    types = [(message["src"], message["dest"], message["body"]["type"]) for message in sends(report)]
    requests = [(src, dest, kind) for src, dest, kind in types if src.startswith("c")]
    assert {(dest, kind) for _, dest, kind in requests[:3]} == {("n1", "init"), ("n2", "init"), ("n3", "init")}
    assert [src for src, _, _ in requests[:3]] == ["c0", "c1", "c2"]
    assert [kind for _, _, kind in requests[3:6]] == ["topology"] * 3
    final = [op for op in report.history if op.final and op.type == "invoke" and not op.audit]
    assert [op.f for op in final] == ["read"] * 3
    assert {op.process for op in final} == {0, 1, 2}
    last_before = max(op.time for op in report.history if not op.final)
    assert 18e9 < last_before <= 20e9
    assert {op.time for op in final} == {30 * 10**9}
    assert report.valid is True


@pytest.mark.parametrize(("lww_kv", "agrees"), [("separate", False), ("merging", True)])
def test_replicas_of_lww_kv_merge_if_that_is_asked_for(lww_kv: str, agrees: bool) -> None:
    """As in Maelstrom a key that was written once is missing from half of all reads; unless replicas are to merge."""
    found: list[int] = []

    def build() -> Node:
        node = echo.build()
        kv = KeyValue(node, LWW_KV)

        @node.on_init
        async def begin() -> None:
            await kv.write("k", 1)
            found.extend([await kv.read("k", default=0) for _ in range(100)])

        return node

    report = simulate("echo", build, nodes=1, time_limit=1, lww_kv=lww_kv)
    assert report.valid is True
    assert (sum(found[50:]) == 50) is agrees
    assert sum(found) > 30


def test_every_node_is_read_in_two_rounds_in_the_end() -> None:
    """First those that no worker asked, then, when these reads are over, all; by clients that nobody else is."""
    report = simulate("broadcast", broadcast.build, nodes=4, concurrency=2, time_limit=5, latency=100)
    audits = [op for op in report.history if op.audit]
    asked = [f"{op.node}" for op in audits if op.type == "invoke"]
    assert (sorted(asked[:2]), sorted(asked[2:])) == (["n3", "n4"], ["n1", "n2", "n3", "n4"])
    assert [op.type for op in audits] == ["invoke"] * 2 + ["ok"] * 2 + ["invoke"] * 4 + ["ok"] * 4
    assert all(op.final for op in audits)
    processes = [op.process for op in audits if op.type == "invoke"]
    assert len(set(processes)) == 6
    assert not set(processes) & {op.process for op in report.history if not op.audit}
    assert report.results["audit"]["ok-reads"] == {"n1": 2, "n2": 2, "n3": 2, "n4": 2}
    assert (report.valid, report.warnings()) == (True, [])


@pytest.mark.parametrize("workload", ["g-set", "g-counter", "pn-counter"])
def test_a_node_that_no_client_asks_is_judged(workload: str) -> None:
    """With one client of two nodes, the node that nobody else talks to is the one that has nothing, and is named."""

    def build() -> Node:
        node = Node()
        values: list[int] = []
        is_set = workload == "g-set"
        node.on("read")(lambda _: {"value": values if is_set else sum(values)})

        @node.on("add")
        def add(request: Request) -> Body:
            values.append(request.body["element" if is_set else "delta"])
            return {}

        return node

    report = simulate(workload, build, nodes=2, concurrency=1, time_limit=10)
    assert report.valid is False
    found = report.results["workload"]
    assert list(found["missing"]) == ["n2"] if workload == "g-set" else {e["node"] for e in found["errors"]} == {"n2"}


def test_a_node_that_cannot_be_read_in_the_end_is_named() -> None:
    """What it lacks nobody knows; the verdict is that of the others."""

    def build() -> Node:
        node = Node()
        node.on("add")(lambda _: {})

        @node.on("read")
        def read() -> Body:
            if node.id in ("n1", "n3"):
                raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "not now")
            return {"value": 0}

        return node

    report = simulate("pn-counter", build, nodes=3, rate=0, time_limit=5)
    assert report.results["audit"]["ok-reads"] == {"n1": 0, "n2": 2, "n3": 0}
    assert "no final read of n1 and n3 was ok, so values missing there go unnoticed" in report.warnings()


def test_nodes_of_which_nothing_was_seen_are_named() -> None:
    """Where there are no final reads: nodes that no client asks, and one that answers nothing well."""

    def build() -> Node:
        node = Node()

        @node.on("generate")
        def generate(request: Request) -> Body:
            if node.id == "n2":
                raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "not now")
            return {"id": f"{node.id} {node.stats.received}"}

        return node

    report = simulate("unique-ids", build, nodes=4, concurrency=2, time_limit=10)
    count = report.results["stats"]["by-node"]["n2"]["count"]
    assert report.warnings() == [
        "no client asked n3 and n4: set a longer time limit, or as many clients (concurrency) as nodes",
        f"none of the {count} operations that asked n2 was ok",
    ]
    assert report.results["audit"]["ok-reads"] == {}


@pytest.mark.unmeasured
def test_a_node_that_lost_its_memory_lacks_what_it_had() -> None:
    """Without gossip, one kill is enough: what was acknowledged before is missing from the next life for good."""

    def build() -> Node:
        node = Node()
        seen: list[int] = []

        @node.on("add")
        async def add(request: Request) -> Body:
            seen.append(request.body["element"])
            for peer in node.peers:
                await node.send(peer, {"type": "told", "element": seen[-1]})
            return {}

        node.on("told")(lambda request: seen.append(request.body["element"]))
        node.on("read")(lambda _: {"value": seen})
        return node

    for seed in range(10):
        kill = Kill(nodes=["n3"], at=5, until=6)
        report = simulate("g-set", build, nodes=3, seed=seed, rate=10, time_limit=10, faults=[kill])
        missing = report.results["workload"]["missing"]
        assert (report.valid, "n3" in missing) == (False, True)
        assert set(missing["n3"]) <= set(report.results["workload"]["lost"])


def test_the_audit_counts_nowhere() -> None:
    """Operations, latencies, availability and messages are those of the workload alone."""
    results = simulate("g-counter", g_counter.build, nodes=3, time_limit=10, latency=50).results
    counts = [part["count"] for part in results["stats"]["by-f"].values()]
    assert results["stats"]["count"] == results["latencies"]["count"] == sum(counts)
    assert results["net"]["clients"]["send-count"] == 2 * (results["stats"]["count"] + 3)  # init, and operations


@pytest.mark.unmeasured
def test_operations_come_at_the_rate() -> None:
    """About as many begin as rate times time, from the first moment on, by all workers."""
    report = simulate("echo", echo.build, rate=50, time_limit=20, concurrency=7)
    begun = [op for op in report.history if op.type == "invoke"]
    assert 900 < len(begun) < 1100
    assert begun[0].time == 0
    assert {op.process for op in begun} == set(range(7))


def test_each_client_has_its_node() -> None:
    """Client k asks node k modulo the number of nodes."""
    report = simulate("echo", echo.build, nodes=2, concurrency=4, time_limit=20)
    asked = {(message["src"], message["dest"]) for message in sends(report) if message["body"]["type"] == "echo"}
    assert asked == {("c2", "n1"), ("c3", "n2"), ("c4", "n1"), ("c5", "n2")}


def test_without_a_rate_nobody_asks() -> None:
    """With rate 0 the cluster is left alone for the time limit, and too little is seen to call it right."""
    report = simulate("broadcast", broadcast.build, rate=0, time_limit=5)
    assert [operation.f for operation in report.history.counted()] == ["read"] * 5
    assert report.valid == "unknown"


def test_a_busy_worker_delays_the_next_operation() -> None:
    """Operations wait for a free worker; none is begun by one that is busy."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        async def slow(request: Request) -> Body:
            await trio.sleep(1)
            return {"echo": request.body["echo"]}

        return node

    report = simulate("echo", build, nodes=1, concurrency=2, rate=100, time_limit=10)
    open_now: set[int] = set()
    for op in report.history:
        if op.type == "invoke":
            assert op.process not in open_now
            open_now.add(op.process)
        else:
            open_now.remove(op.process)
    assert len([op for op in report.history if op.type == "ok"]) == 20
    assert report.valid is True


def test_what_was_late_is_not_caught_up_with() -> None:
    """Once a worker is free again, operations come at the rate, and not all at once that it had no time for."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        async def slow_at_first(request: Request) -> Body:
            await trio.sleep(4 if request.msg_id == 1 else 0)
            return {"echo": request.body["echo"]}

        return node

    report = simulate("echo", build, nodes=1, concurrency=1, rate=10, time_limit=14)
    begun = [op.time / 1e9 for op in report.history if op.type == "invoke"]
    assert begun[:2] == [0, 4]
    assert 5 <= sum(4 <= time < 5 for time in begun) <= 20
    assert 80 <= sum(time >= 4 for time in begun) <= 120


def test_a_client_gives_up_after_five_seconds() -> None:
    """Without a reply, an operation ends as info after 5 s, and its process is used no more."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def nothing(request: Request) -> None:
            return None

        return node

    report = simulate("echo", build, nodes=1, concurrency=1, time_limit=12)
    ops = list(report.history)
    assert [op.type for op in ops[:4]] == ["invoke", "info", "invoke", "info"]
    assert ops[1].time - ops[0].time == 5 * 10**9
    assert [op.process for op in ops] == [0, 0, 1, 1, 2, 2]
    assert ops[1].error == "no reply from 'n1' to msg_id 1 within 5 s"
    assert {message["src"] for message in sends(report) if message["body"]["type"] == "echo"} == {"c1", "c2", "c3"}
    assert report.valid is False
    assert "no 'echo' of 3 was ok" in report.reasons()


def test_a_late_reply_is_nobodys() -> None:
    """What answers an operation that was given up is not taken for the answer to the next one."""

    def build() -> Node:
        node = Node()

        @node.on("generate")
        async def late(request: Request) -> Body:
            await trio.sleep(6)
            return {"id": request.msg_id}

        return node

    report = simulate("unique-ids", build, nodes=1, concurrency=1, time_limit=30)
    assert {op.type for op in report.history} == {"invoke", "info"}


def dawdling(seconds: float) -> Build:
    """Return what makes nodes of which n2 takes that long to answer, and the others no time."""

    def build() -> Node:
        node = Node()

        async def answer(request: Request) -> Body:
            await trio.sleep(seconds if node.id == "n2" else 0)
            return {"echo": request.body["echo"]} if request.type == "echo" else {"id": f"{node.id} {request.msg_id}"}

        node.on("echo")(answer)
        node.on("generate")(answer)
        return node

    return build


def test_replies_to_clients_that_have_given_up_are_told() -> None:
    """Maelstrom would have stopped listening to such a node: how often, which node, and what that means is a warning.

    As there, a client is closed when its worker's next operation begins, and not when it gives up."""
    report = simulate("echo", dawdling(5.5), nodes=3, rate=2, time_limit=40)
    asked = [op.time for op in report.history if op.type == "invoke" and op.process % 3 == 1]
    late = sum(then <= before + 5_500_000_000 for before, then in itertools.pairwise(asked))
    assert 0 < late < len(asked) - 1  # after some of them nothing was asked for a while
    assert report.results["clients"]["late-replies"] == {"n2": late}
    assert report.warnings()[1:] == [
        f"{late} replies arrived after their clients had given up (n2 {late}); the simulator ignores such replies, but"
        " Maelstrom stops listening to a node after the first one, so all its later operations time out"
    ]
    assert report.valid is True


def test_one_late_reply_is_told() -> None:
    """It is a single one, and a warning all the same."""
    report = simulate("echo", dawdling(5.5), nodes=["n2"], concurrency=1, rate=20, time_limit=6)
    assert report.results["clients"]["late-replies"] == {"n2": 1}
    assert report.warnings()[1].startswith("1 reply arrived after its client had given up (n2 1); ")


def test_replies_that_come_in_time_are_no_warning() -> None:
    """However long a client waits, as long as it does; and a client that nobody needs any more is not closed."""
    for seconds in (0, 4.5):
        assert simulate("echo", dawdling(seconds), nodes=3, time_limit=20).warnings() == []
    report = simulate("echo", dawdling(5.5), nodes=["n2"], concurrency=1, time_limit=1)
    assert report.results["clients"]["late-replies"] == {}


def test_clients_of_unique_ids_go_on() -> None:
    """They outlive an operation of which nobody knows what became, as in Maelstrom, so late replies find them."""
    report = simulate("unique-ids", dawdling(6), nodes=["n2", "n3"], rate=10, time_limit=20)
    assert {op.type for op in report.history} == {"invoke", "ok", "info"}
    clients = {message["src"] for message in sends(report) if message["body"]["type"] == "generate"}
    assert clients == {"c2", "c3"}
    assert report.results["clients"]["late-replies"] == {}
    assert not any("given up" in warning for warning in report.warnings())


def replying(replies: Callable[[Request], list[Body]]) -> Build:
    """Return what makes nodes that answer ``generate`` with these bodies, just as they are: a `Node` sees to that."""

    def build() -> Node:
        node, transport = node_and_transport()

        @node.on("generate")
        def generate(request: Request) -> None:
            messages = [{"src": node.id, "dest": request.src, "body": body} for body in replies(request)]
            transport().send_now([json.dumps(message).encode() for message in messages])

        return node

    return build


def test_the_first_of_two_replies_counts() -> None:
    """A second reply to the same request is a late one, even if it comes at the same moment."""

    def twice(request: Request) -> list[Body]:
        reply = {"type": "generate_ok", "in_reply_to": request.msg_id}
        return [{**reply, "id": f"{request.src} {request.msg_id}"}, {**reply, "id": "second"}]

    report = simulate("unique-ids", replying(twice), nodes=1, time_limit=10)
    assert report.valid is True
    assert "second" not in [op.value for op in report.history]


@pytest.mark.parametrize("number", [True, 1.0, "1", None])
def test_what_answers_no_number_is_no_reply(number: object) -> None:
    """Only an integer says which request is answered, whatever Python takes for equal to it."""

    def answer(_: Request) -> list[Body]:
        return [{"type": "generate_ok", "id": 1, "in_reply_to": number}]

    report = simulate("unique-ids", replying(answer), nodes=1, time_limit=4)
    assert [op.error for op in report.history] == [None, "no reply from 'n1' to msg_id 1 within 5 s"]


@pytest.mark.parametrize(
    ("error", "outcome"), [(ErrorCode.TEMPORARILY_UNAVAILABLE, "fail"), (ErrorCode.CRASH, "info"), (1234, "info")]
)
def test_errors_end_operations(error: int, outcome: str) -> None:
    """A definite error fails the operation, any other leaves it open; its text is in the history."""

    def build() -> Node:
        node = Node()

        @node.on("generate")
        def refuse() -> Body:
            raise RpcError(error, "no ids today")

        return node

    report = simulate("unique-ids", build, nodes=1, time_limit=5)
    ended = [op for op in report.history if op.type != "invoke"]
    assert {op.type for op in ended} == {outcome}
    assert all(op.error is not None and op.error.endswith(": no ids today") for op in ended)


def test_a_malformed_reply_is_a_defect() -> None:
    """A reply with a field too many ends as info, and makes the run invalid, saying which node and what is wrong."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def more(request: Request) -> Body:
            return {"echo": request.body["echo"], "more": 1}

        return node

    report = simulate("echo", build, nodes=1, time_limit=10)
    assert report.valid is False
    count = report.results["stats"]["info-count"]
    assert report.results["nodes"]["problems"] == [
        f"node 'n1' answered 'echo' with a malformed reply: Object contains unknown field `more`, {count} times"
    ]


def test_of_malformed_replies_each_kind_is_told_once() -> None:
    """Those that came often hide no others; the first few kinds are told, and how many more there are."""

    def build() -> Node:
        node, count = Node(), itertools.count()

        @node.on("echo")
        def more() -> Body:
            return {"echo": None, f"more{next(count) % 10}": 1}

        return node

    *first, last = simulate("echo", build, nodes=1, time_limit=3).results["nodes"]["problems"]
    told = [problem.rpartition("unknown field ")[2] for problem in first]
    assert [text.partition(",")[0] for text in told] == [f"`more{number}`" for number in range(8)]
    assert told[0].endswith(" times")
    assert last == "2 more kinds of malformed replies"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Object missing required field `code`"),
        ({"code": "busy"}, "Expected `int`, got `str` - at `$.code`"),
        ({"code": 11, "text": 7}, "Expected `str | null`, got `int` - at `$.text`"),
    ],
)
def test_an_error_without_a_code_is_a_malformed_reply(fields: Body, text: str) -> None:
    """It ends as info, since nobody knows what it means, and makes the run invalid; in set-up it ends that."""

    def build(bad: str) -> Node:
        node = Node() if bad == "topology" else broadcast.build()

        @node.on(bad)
        def fail() -> Body:
            return {"type": "error", **fields}

        return node

    report = simulate("echo", partial(build, "echo"), nodes=1, time_limit=0.1)
    assert f"node 'n1' answered 'echo' with a malformed reply: {text}" in report.results["nodes"]["problems"][0]
    assert {op.type for op in report.history} == {"invoke", "info"}
    with pytest.raises(SetUpError, match=f"^node 'n1' answered 'topology' with a malformed error: {re.escape(text)}\n"):
        simulate("broadcast", partial(build, "topology"), nodes=1, time_limit=0.1)


def test_a_message_to_nobody_is_a_defect() -> None:
    """A node that sends to an id that does not exist makes the run invalid; the message is shown."""

    def build() -> Node:
        node = echo.build()

        @node.on_init
        def err() -> None:
            node.send_nowait("n9", {"type": "hello"})

        return node

    report = simulate("echo", build, nodes=1, time_limit=5)
    assert report.valid is False
    [problem] = report.results["nodes"]["problems"]
    assert problem.startswith("a message to a node that does not exist: ")
    assert '"dest": "n9"' in problem


def test_a_failing_handler_is_a_defect() -> None:
    """An exception of a handler makes the run invalid, and is told; its traceback is in that node's log only."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def divide(request: Request) -> Body:
            assert 1 // (node.id != "n2") == 1
            return {"echo": request.body["echo"]}

        return node

    report = simulate("echo", build, nodes=2, time_limit=5)
    assert report.valid is False
    [problem] = report.results["nodes"]["problems"]
    count = report.results["stats"]["info-count"]
    assert problem == (
        f"node 'n2': {count} of its handlers, callbacks or background tasks raised an exception, such as"
        " ZeroDivisionError: integer division or modulo by zero; see node-logs/n2.log for the tracebacks"
    )
    assert any("ZeroDivisionError" in line for line in report.logs["n2"])
    assert report.logs["n1"] == []


def test_the_exception_that_is_told_is_one_of_the_librarys() -> None:
    """What a node has caught and logged itself is none; and there is none to tell where the library may not log."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def fail() -> Body:
            try:
                raise KeyError("mine")
            except KeyError:
                logging.getLogger("mine").exception("no harm done")
            raise ValueError("long " * 100)

        return node

    def problem() -> str:
        [text] = simulate("echo", build, nodes=1, time_limit=0.1).results["nodes"]["problems"]
        return str(text)

    assert ", such as ValueError: long long " in problem()
    assert "...; see node-logs/n1.log" in problem()
    assert len(problem()) < 320
    library = logging.getLogger("trio_messenger")
    library.setLevel(logging.CRITICAL + 1)
    try:
        assert "raised an exception; see node-logs" in problem()
    finally:
        library.setLevel(logging.NOTSET)


def test_what_nodes_log_and_print_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Log records and prints of a node go into its log, and not to the console; records have the virtual time.

    That counts from the beginning of the main phase, and before that, as the line says, from the beginning of the run.
    """

    def build() -> Node:
        node = Node()

        @node.on_init
        def speak() -> None:
            print("hello from", node.id)  # noqa: T201 - what is tested
            logging.getLogger("mine").warning("I am %s", node.id)

        @node.on("echo")
        def hear(request: Request) -> Body:
            logging.getLogger("mine").warning("I hear")
            return {"echo": request.body["echo"]}

        return node

    print("before")  # noqa: T201
    report = simulate("echo", build, nodes=2, time_limit=1)
    begun = {entry.node: entry.t for entry in report.journal if entry.event == "ready"}
    start = min(entry.t for entry in report.journal)
    for node_id in ("n1", "n2"):
        asked = [entry.t for entry in report.journal if b'"echo"' in bytes(entry.message or b"")]
        first, second, *heard = report.logs[node_id]
        assert first == f"hello from {node_id}"
        assert second == f"set-up {(begun[node_id] - start) / 1e9:.6f} WARNING: I am {node_id}"
        assert heard
        assert set(heard) <= {f"{time / 1e9:.6f} WARNING: I hear" for time in asked}
    assert capsys.readouterr().out == "before\n"


def test_what_others_log_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What nodes log is not in the log of the test, where nothing would say which node it was; what others log is."""

    def build() -> Node:
        node = echo.build()
        node.on_init(lambda: logging.getLogger("mine").warning("of the node"))
        return node

    logging.getLogger("mine").warning("before")
    simulate("echo", build, nodes=1, time_limit=1)
    logging.getLogger("mine").warning("after")
    assert [record.getMessage() for record in caplog.records] == ["before", "after"]


def test_a_node_that_ends_is_a_defect() -> None:
    """A node that closes in the middle makes the run invalid; what is sent to it is dropped."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def leave(request: Request) -> Body:
            node.shutdown()
            return {"echo": request.body["echo"]}

        return node

    report = simulate("echo", build, nodes=1, time_limit=20)
    assert report.valid is False
    assert report.results["nodes"]["problems"] == ["node 'n1' ended by itself, although its input had not ended"]
    assert {entry.reason for entry in report.journal if entry.event == "drop"} == {"down"}


def test_a_node_that_cannot_be_made_is_told() -> None:
    """What the factory raises is in the error, which names the node; so is a factory that makes something else."""

    def broken() -> Node:
        raise RuntimeError("no disk")

    with pytest.raises(SetUpError, match=r"^node 'n1' could not be started: RuntimeError: no disk\n"):
        simulate("echo", broken)
    with pytest.raises(SetUpError, match=r"^node 'n1' could not be started: TypeError: the node factory returned 7"):
        simulate("echo", lambda: 7)  # type: ignore[arg-type, return-value]


def test_a_node_that_refuses_init_is_told() -> None:
    """The error names the node, says how it answered, and shows what it said last."""

    def build() -> Node:
        node = Node()

        @node.on_init
        def refuse() -> None:
            print("I am not well")  # noqa: T201
            raise RpcError(ErrorCode.ABORT, "not today")

        return node

    with pytest.raises(
        SetUpError, match=r"^node 'n1' did not answer 'init': abort \(14\): not today\n(.|\n)*\n  I am not well\n"
    ):
        simulate("echo", build)


def test_a_node_that_never_answers_init_is_told() -> None:
    """After ten seconds of virtual time the run is given up."""

    def build() -> Node:
        node = Node()
        node.on_init(trio.sleep_forever)
        return node

    with pytest.raises(SetUpError, match="node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 10 s"):
        simulate("echo", build)


def test_a_node_that_does_not_know_the_topology_is_told() -> None:
    """The request that begins a workload has to be acknowledged."""
    with pytest.raises(SetUpError, match=r"^node 'n1' did not answer 'topology': not-supported \(10\)"):
        simulate("broadcast", echo.build)


@pytest.mark.unmeasured
def test_the_seed_decides_all() -> None:
    """The same seed gives the same journal and history; another seed gives others."""

    def run(seed: int) -> Report:
        return simulate(
            "broadcast",
            broadcast.build,
            seed=seed,
            nemesis=["partition", "loss"],
            latency=20,
            latency_dist="exponential",
            time_limit=30,
        )

    first, again, other = run(1), run(1), run(2)
    assert first.digest == again.digest
    assert list(first.history) == list(again.history)
    assert first.results == again.results
    assert other.digest != first.digest


@pytest.mark.unmeasured
def test_a_fault_that_touches_nothing_changes_nothing() -> None:
    """Messages are the same, at the same times, as without it, though nodes' timers go off when it begins and ends."""

    def messages(*faults: Fault) -> list[Entry]:
        report = simulate("broadcast", broadcast.build, seed=3, rate=20, time_limit=10, faults=faults)
        kept = [entry for entry in report.journal if entry.event not in ("begin", "end")]
        return [msgspec.structs.replace(entry, i=0) for entry in kept]

    inert = [Loss(rate=0, at=quarter / 4, until=quarter / 4 + 1) for quarter in range(1, 30)]
    assert messages(*inert) == messages()


def test_chance_outside_is_left_alone() -> None:
    """A simulation neither uses nor changes Python's global generator, nor Trio's once it has ended."""
    global_random.seed(5)
    trios: Random = trio._core._run._r
    before = global_random.getstate(), trios.getstate()
    simulate("echo", echo.build, time_limit=5)
    assert (global_random.getstate(), trios.getstate()) == before


def test_a_simulation_is_for_plain_functions() -> None:
    """Within Trio there is a clear error, and not Trio's own about nested runs."""

    async def inside() -> None:
        simulate("echo", echo.build)

    with pytest.raises(RuntimeError, match=r"^a simulation starts its own Trio run: call it from a plain function"):
        trio.run(inside)


def test_a_simulation_runs_beside_asyncio() -> None:
    """It may be run from a function that asyncio calls: the two know nothing of each other."""

    async def inside() -> Report:
        return simulate("echo", echo.build, time_limit=5)

    assert asyncio.run(inside()).valid is True


def test_the_last_word_has_the_schedule() -> None:
    """A fault that lasts for ever is healed before the last reads."""
    cut = Partition.between(["n1", "n2"], ["n3"], at=0)
    report = simulate("broadcast", broadcast.build, nodes=3, faults=[cut], time_limit=20)
    assert report.valid is True
    [begin] = [entry for entry in report.journal if entry.event == "begin"]
    [end] = [entry for entry in report.journal if entry.event == "end"]
    assert (begin.t, begin.fault, end.fault) == (0, 0, 0)
    assert 20 * 10**9 <= end.t < 30 * 10**9
    assert begin.text == "partition n1,n2 -> n3; n3 -> n1,n2"


def test_a_dead_node_leaves_no_trace() -> None:
    """After a kill neither `finally`, nor a callback, nor a write to the store of the old life has any effect."""

    def build(store: MutableMapping[str, Any]) -> Node:
        node = echo.build()
        life = store["life"] = store.get("life", 0) + 1

        @node.background
        async def linger() -> None:
            try:
                await trio.sleep_forever()
            finally:
                store["ghost"] = life
                node.send_nowait("n1", {"type": "ghost", "life": life})
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                    node.send_nowait("n1", {"type": "ghost", "life": life})

        @node.on_init
        def tell() -> None:
            node.send_nowait("n1", {"type": "alive", "life": life, "ghost": store.get("ghost")})

        return node

    report = simulate("echo", build, nodes=1, faults=[Kill(nodes=["n1"], at=2, until=4)], time_limit=10)
    assert not [message for message in sends(report) if message["body"]["type"] == "ghost"]
    alive = [message["body"] for message in sends(report) if message["body"]["type"] == "alive"]
    assert [(body["life"], body["ghost"]) for body in alive] == [(1, None), (2, None)]


def test_skewed_clocks_are_seen_and_healed() -> None:
    """A node's clock of the day is ahead for as long as the fault lasts; timers are not touched."""
    seen: list[tuple[float, float]] = []

    def build() -> Node:
        node = echo.build()

        async def look() -> None:
            seen.append((trio.current_time(), node.wall_time()))

        node.every(1, look)
        return node

    fault = ClockSkew(nodes=["n1"], seconds=100, at=2.5, until=4.5)
    report = simulate("echo", build, nodes=1, faults=[fault], time_limit=6)
    ahead = {now: round(wall - now - EPOCH) for now, wall in seen}
    assert ahead == {1: 0, 2: 0, 3: 100, 4: 100, 5: 0, 6: 0} | {now: 0 for now in ahead if now > 6}
    assert report.results["faults"]["schedule"][0]["took-effect"] == 2


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"workload": "ecko"}, r"^there is no workload 'ecko'; there are: echo, unique-ids, "),
        ({"nodes": []}, r"^the nodes are \[\]; give one id or more, each once$"),
        ({"nodes": ["n1", "n1"]}, r"; give one id or more, each once$"),
        ({"nodes": ["c1"]}, r"^a node cannot be named 'c1'; ids that begin with 'c' are for clients$"),
        ({"nodes": ["../n1"]}, r"^a node cannot be named '\.\./n1'; use letters, digits, '\.', '-' and '_'$"),
        ({"nodes": ["lin-kv"]}, r"^a node cannot be named 'lin-kv'"),
        ({"concurrency": 0}, r"^concurrency is 0; give 1 or more$"),
        ({"rate": -1}, r"^rate is -1; give 0 or more$"),
        ({"time_limit": math.inf}, r"^time_limit is inf; give 0 or more$"),
        ({"rate": math.inf}, r"^rate is inf; give 0 or more$"),
        ({"latency": -5}, r"^a latency is -5 ms; give a finite number of 0 or more"),
        ({"latency_dist": "normal"}, r"latency|distribution"),
        ({"loss": 1.5}, r"^loss is 1\.5; give a probability from 0 to 1$"),
        ({"duplicate": -0.5}, r"^duplicate is -0\.5; give a probability from 0 to 1$"),
        ({"topology": "ring"}, r"^there is no topology 'ring'; there are: grid, line, "),
        ({"availability": 2}, r"^availability is 2; give 'total' or a fraction from 0 to 1$"),
        ({"nemesis": ["partitoin"]}, r"^there is no nemesis 'partitoin'; there are: partition, "),
        ({"faults": [Kill(nodes=["n7"])]}, r"^a kill names 'n7', which is neither a node of "),
        ({"faults": [Kill(nodes=["lin-kv"])]}, r"^a kill names 'lin-kv', which is no node; name nodes only$"),
        ({"faults": [Partition(links=[["n1", "n7"]])]}, r"^a partition names 'n7', .* nor a group of links$"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(given: dict[str, Any], text: str) -> None:
    """Each is named with its value, and with what would make sense."""
    with pytest.raises(ValueError, match=text):
        simulate(**{"workload": "echo", "build": echo.build, **given})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"nemesis": "partition,kill"},
            "'partition,kill' is one text where a list of names is wanted; give ['partition', 'kill']",
        ),
        ({"nodes": "n1"}, "'n1' is one text where a list of names is wanted; give ['n1']"),
        ({"faults": Kill(nodes=["n1"])}, "faults is a single kill; give a list of them"),
        (
            {"faults": [{"kind": "kill"}]},
            "{'kind': 'kill'} is no fault; give one such as Kill(nodes=['n1'], at=5, until=10)",
        ),
    ],
)
def test_one_where_a_list_is_wanted_is_refused(given: dict[str, Any], text: str) -> None:
    """A text is not taken for a list of its characters; what is in the list is looked at as well."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        simulate("echo", echo.build, **given)


def test_a_node_is_no_factory() -> None:
    """A node where a function is wanted that makes nodes is refused at once, and not by each node's life."""
    node: Any = echo.build()
    with pytest.raises(TypeError, match=r"^build is <.*Node object at .*>; give a function that makes a new Node each"):
        simulate("echo", node)
