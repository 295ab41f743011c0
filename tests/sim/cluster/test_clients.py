"""Clients of a run: how fast they ask, how long they wait, and which replies they take."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from functools import partial

import pytest
import trio
from support.kept_transport import node_and_transport
from support.simulations import sends

from trio_messenger import Body, ErrorCode, Node, Request, RpcError
from trio_messenger.nodes import broadcast, echo
from trio_messenger.sim import SetUpError, simulate
from trio_messenger.sim._cluster.durable import Build


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "no 'echo' of 3 was ok; most often: no reply from 'n1' to msg_id 1 within 5 s" in report.reasons()


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
