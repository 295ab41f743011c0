"""Runs whose nodes run elsewhere: the same clients and checkers, behind one transport."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from support.far_cluster import CLIENT, FarCluster, line

from trio_messenger import ErrorCode, Node, Request, RpcError, Transport
from trio_messenger.nodes import broadcast, echo
from trio_messenger.sim import Kill, Latency, Options, Report, SetUpError, Workload, WorkloadClient, WorkloadError, save
from trio_messenger.sim._campaigns.simulation import make_report
from trio_messenger.sim._judging.loading import load
from trio_messenger.sim._runs.elsewhere import check_elsewhere, conduct_elsewhere
from trio_messenger.sim._runs.run import Run
from trio_messenger.transports.memory import memory_transport_pair


async def judged(workload: str, cluster: FarCluster, nodes: list[str] | None = None, **given: Any) -> Report:
    """Test *cluster* for a few seconds."""
    options = Options(workload=workload, nodes=nodes or list(cluster.nodes), **{"time_limit": 5, **given})
    run = await conduct_elsewhere(
        cluster.opened(), CLIENT, lambda make_host: Run(options, make_host, must_be_fresh=True)
    )
    return make_report(run, ("--nats", "demo"))


def three(build: Callable[[], Node]) -> FarCluster:
    return FarCluster({node_id: build() for node_id in ("n1", "n2", "n3")})


def deaf() -> Node:
    """Return a broadcast node that tells nobody."""
    node, messages = Node(), list[Any]()
    node.on("topology")(lambda: {})
    node.on("read")(lambda: {"messages": messages})

    @node.on("broadcast")
    def take(request: Request) -> dict[str, Any]:
        messages.append(request.body["message"])
        return {}

    return node


async def test_a_cluster_elsewhere_gets_a_verdict(autojump_clock: object, tmp_path: Path) -> None:
    """Valid nodes are found valid. All clients are one client there, each request with a number that no other has."""
    cluster = three(broadcast.build)
    report = await judged("broadcast", cluster)
    assert (report.valid, report.warnings()) == (True, [])
    assert {op.node for op in report.history} == {"n1", "n2", "n3"}
    asked = [message for message in cluster.sent if message.src == CLIENT]
    assert len({message.body["msg_id"] for message in asked}) == len(asked) > 20
    assert {message.src for message in cluster.sent} == {CLIENT, "n1", "n2", "n3"}
    assert "between clients and nodes; those between nodes are not seen" in f"{report}"
    folder = save(report, tmp_path, "run")
    assert load(folder).node == ("--nats", "demo")
    assert b"server messages" not in (folder / "index.html").read_bytes()


async def test_a_wrong_node_is_found_invalid(autojump_clock: object) -> None:
    """With the same reasons as in a simulated cluster."""
    report = await judged("broadcast", three(deaf))
    assert report.valid is False
    assert re.match(r"n\d lacks \d of the \d values at the end", report.reasons()[0])
    assert "no message" not in f"{report}", "those between nodes are not seen"


def answering(**replies: Any) -> Callable[[], Node]:
    """Return a function that makes a node with a fixed reply for each type."""

    def build() -> Node:
        node = Node()
        for name, reply in replies.items():
            node.on(name)(lambda reply=reply: reply)
        return node

    return build


def transacting(full: int = 3) -> Node:
    node = Node()
    node.on("txn")(
        lambda request: {"txn": [[f, key, [7] if key == full else None] for f, key, _ in request.body["txn"]]}
    )
    return node


def registers(*kept: int) -> Callable[[], Node]:
    def build() -> Node:
        node = Node()

        @node.on("read")
        def read(request: Request) -> dict[str, Any]:
            if request.body["key"] not in kept:
                raise RpcError(ErrorCode.KEY_DOES_NOT_EXIST, "no key")
            return {"value": 4}

        return node

    return build


@pytest.mark.parametrize(
    ("workload", "build", "left"),
    [
        ("broadcast", answering(topology={}, read={"messages": [5]}), "returns [5] to a 'read'"),
        ("pn-counter", answering(read={"value": -3}), "returns -3 to a 'read'"),
        ("lin-kv", registers(1), "has the value 4 in the register 1"),
        ("txn-list-append", transacting, "reads [7] from the key 3"),
        ("kafka", answering(poll={"msgs": {"0": [], "2": [[0, "old"]]}}), 'has the message "old" in the log "2"'),
    ],
)
async def test_a_cluster_that_is_not_fresh_is_refused(
    autojump_clock: object, workload: str, build: Callable[[], Node], left: str
) -> None:
    """The checker would take what an earlier run has left for wrong values."""
    given: dict[str, Any] = {"concurrency": 12} if workload == "lin-kv" else {}
    with pytest.raises(SetUpError) as caught:
        await judged(workload, three(build), **given)
    assert f"{caught.value}" == (
        f"node 'n1' {left} before the first operation: the test needs a fresh cluster; start all nodes again without"
        " their data, or with another --cluster"
    )


@pytest.mark.parametrize(
    ("workload", "build"),
    [
        ("lin-kv", registers()),
        ("lin-kv", answering()),
        ("txn-rw-register", answering(txn={"txn": []})),
        ("txn-list-append", partial(transacting, -1)),
        ("kafka", answering(poll={"msgs": {}})),
        ("pn-counter", answering(read={"value": 0})),
    ],
)
async def test_no_values_and_errors_are_no_leftovers(
    autojump_clock: object, workload: str, build: Callable[[], Node]
) -> None:
    """A node that answers with an error may wait for others, so the test begins."""
    report = await judged(workload, FarCluster({"n1": build()}), time_limit=1)
    assert report.results["clients"]["asked"]


async def fail(_: Workload, client: WorkloadClient) -> str | None:
    raise ZeroDivisionError(client.node)


async def test_a_mistake_in_leftovers_is_named(autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the method."""
    monkeypatch.setattr(Workload, "leftovers", fail)
    with pytest.raises(WorkloadError, match=r"^the workload 'echo' failed in leftovers\(\): ZeroDivisionError"):
        await judged("echo", three(echo.build))


async def test_nodes_that_do_not_answer_are_named(autojump_clock: object) -> None:
    """And what to check; nothing is said of logs, which are elsewhere."""
    with pytest.raises(SetUpError) as caught:
        await judged("echo", three(echo.build), ["n1", "n2", "n3", "n4"])
    assert f"{caught.value}" == (
        "node 'n4' does not answer, for 10 s: check that it runs, with this id, the same --cluster and --prefix, and"
        " servers of the same NATS cluster"
    )


async def test_other_peers_are_named(autojump_clock: object) -> None:
    """The test has to be about the whole cluster."""
    with pytest.raises(SetUpError) as caught:
        await judged("echo", three(echo.build), ["n1", "n2"])
    assert f"{caught.value}" == (
        "node 'n1' did not answer 'init': precondition-failed (22): this node is 'n1' of ['n1', 'n2', 'n3'] already;"
        " restart it to change that"
    )


async def test_a_node_that_is_started_late_is_waited_for(autojump_clock: object) -> None:
    """The first attempts to reach it are lost."""
    cluster = three(echo.build)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Transport]:
        async with cluster.opened() as transport, trio.open_nursery() as nursery:
            late = cluster.ends.pop("n2")
            nursery.start_soon(appear, late)
            yield transport

    async def appear(late: Any) -> None:
        await trio.sleep(3)
        cluster.ends["n2"] = late

    options = Options(workload="echo", nodes=list(cluster.nodes), time_limit=5)
    run = await conduct_elsewhere(opened(), CLIENT, lambda make_host: Run(options, make_host))
    assert make_report(run, ()).valid is True


async def test_what_replies_to_nothing_is_told(autojump_clock: object) -> None:
    """Replies to requests of others, and of other nodes; a copy is dropped, and so is what strangers send."""
    cluster = three(echo.build)

    async def lie(transport: Any) -> None:
        await trio.sleep(1)
        number = next(m.body["msg_id"] for m in cluster.sent if m.dest == "n1")
        for src, reply in (("n1", number + 10**9), ("n2", number), ("n1", True), ("n1", number), ("n9", 1)):
            await cluster.ends[CLIENT].send([line(src, CLIENT, {"type": "lie", "in_reply_to": reply})])

    @asynccontextmanager
    async def opened() -> AsyncIterator[Transport]:
        async with cluster.opened() as transport, trio.open_nursery() as nursery:
            nursery.start_soon(lie, transport)
            yield transport

    options = Options(workload="echo", nodes=list(cluster.nodes), time_limit=5)
    run = await conduct_elsewhere(opened(), CLIENT, lambda make_host: Run(options, make_host))
    report = make_report(run, ())
    assert report.valid is True
    one, two = report.warnings()
    assert one.startswith("node 'n1' sent 2 messages to 'tester' that reply to no request of this run, the first: {\"")
    assert two.startswith("node 'n2' sent 1 message to 'tester' that reply to no request of this run, the first: {")


async def test_a_malformed_message_is_a_problem_of_its_node(autojump_clock: object) -> None:
    """As in a simulated cluster; the first one is shown."""
    cluster = three(echo.build)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Transport]:
        async with cluster.opened() as transport, trio.open_nursery() as nursery:
            nursery.start_soon(lie)
            yield transport

    async def lie() -> None:
        await trio.sleep(1)
        for _ in range(2):
            await cluster.ends[CLIENT].send([b'{"src": "n1", "dest": "tester", "body": 5}'])

    options = Options(workload="echo", nodes=list(cluster.nodes), time_limit=5)
    run = await conduct_elsewhere(opened(), CLIENT, lambda make_host: Run(options, make_host))
    report = make_report(run, ())
    assert report.valid is False
    [problem] = report.reasons()
    assert problem == (
        'node \'n1\' sent a line that is not a message: {"src": "n1", "dest": "tester", "body": 5} (Expected `object`,'
        " got `int` - at `$.body`)"
    )


class Breaking(Transport):
    """A transport whose connection is lost, and which is refused after *seconds*."""

    def __init__(self, inner: Transport, seconds: float) -> None:
        self.counters = {"nats_connections": 2, "nats_unsent": 5, "nats_denied": 0}
        self._inner = inner
        self._ends_at = trio.current_time() + seconds

    async def receive(self) -> Any:
        with trio.move_on_at(self._ends_at):
            return await self._inner.receive()
        raise trio.BrokenResourceError("the credentials have expired")

    async def send(self, value: list[bytes]) -> None:
        await self._inner.send(value)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("seconds", [0, 3])
async def test_a_connection_that_ends_for_good_leaves_no_verdict(autojump_clock: object, seconds: float) -> None:
    """During set-up or later."""
    with pytest.raises(trio.BrokenResourceError, match=r"^the credentials have expired$"):
        await broken(seconds)
    assert trio.current_time() < 5


async def broken(seconds: float) -> Run:
    cluster = three(echo.build)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Transport]:
        async with cluster.opened() as transport:
            yield Breaking(transport, seconds)

    options = Options(workload="echo", nodes=list(cluster.nodes), time_limit=5)
    return await conduct_elsewhere(opened(), CLIENT, lambda make_host: Run(options, make_host))


async def test_a_connection_that_was_lost_is_told(autojump_clock: object) -> None:
    """The requests of that time have failed, which is not the fault of the nodes."""
    report = make_report(await broken(100), ())
    assert report.warnings() == ["the connection of the clients was not perfect: nats_connections=2, nats_unsent=5"]


async def test_a_transport_that_cannot_be_opened_leaves_no_verdict(autojump_clock: object) -> None:
    """The error passes."""

    class Away(FarCluster):
        @asynccontextmanager
        async def opened(self) -> AsyncIterator[Transport]:
            if self.nodes:
                raise trio.BrokenResourceError("nobody is there")
            yield memory_transport_pair()[0]

    with pytest.raises(trio.BrokenResourceError, match=r"^nobody is there$"):
        await judged("echo", Away({"n1": echo.build()}))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"nemesis": ["kill"]}, "nemesis is for a simulated network; break the real one yourself while the test runs"),
        (
            {"faults": [Kill(nodes=["n1"], at=1, until=2)]},
            "faults is for a simulated network; break the real one yourself while the test runs",
        ),
        ({"latency": Latency(5)}, "latency is for a simulated network"),
        ({"loss": 0.1}, "loss is for a simulated network"),
        ({"duplicate": 0.1}, "duplicate is for a simulated network"),
        ({"lww_kv": "merging"}, "lww_kv is for a simulated service"),
        ({"busy_limit": 5000}, "busy_limit is for nodes that the test runs itself"),
        ({"invariants": ["a:b"]}, "invariants looks at the objects of nodes, which are elsewhere"),
    ],
)
def test_options_of_a_simulation_are_refused(given: dict[str, Any], reason: str) -> None:
    """Each with a reason."""
    check_elsewhere(Options(workload="echo"))
    with pytest.raises(ValueError, match=f"^{reason}; leave it out$"):
        check_elsewhere(Options(workload="echo", **given))
