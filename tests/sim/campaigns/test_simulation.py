"""Simulations as a whole: phases, verdicts, arguments, and that nothing but the seed decides."""

from __future__ import annotations

import asyncio
import math
import random as global_random
import re
from collections.abc import MutableMapping
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from support.simulations import sends

from trio_messenger import LWW_KV, Body, ErrorCode, KeyValue, Node, Request, RpcError
from trio_messenger.nodes import broadcast, echo, g_counter
from trio_messenger.sim import ClockSkew, Fault, Kill, Loss, Partition, Report, simulate
from trio_messenger.sim._cluster.in_process import EPOCH
from trio_messenger.sim._records.journal import Entry


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            time_limit=12,
        )

    first, again, other = run(1), run(1), run(2)
    assert first.digest == again.digest
    assert list(first.history) == list(again.history)
    assert first.results == again.results
    assert other.digest != first.digest


@pytest.mark.slow
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

    # trio-asyncio, which other tests import, makes loops of asyncio that run on Trio.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(inside()).valid is True


@pytest.mark.slow
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
        ({"workload": "ecko"}, r"^there is no workload 'ecko'; did you mean 'echo'\? There are: echo, unique-ids, "),
        ({"nodes": []}, r"^the nodes are \[\]; give at least one id, and each id only once$"),
        ({"nodes": ["n1", "n1"]}, r"; give at least one id, and each id only once$"),
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
        (
            {"nemesis": ["partitoin"]},
            r"^there is no nemesis 'partitoin'; did you mean 'partition'\? There are: partition, ",
        ),
        ({"faults": [Kill(nodes=["n7"])]}, r"^a kill names 'n7'; name one of the nodes "),
        ({"faults": [Kill(nodes=["lin-kv"])]}, r"^a kill names 'lin-kv', which is not a node; name only nodes$"),
        ({"faults": [Partition(links=[["n1", "n7"]])]}, r"^a partition names 'n7'; .* or a group of links$"),
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
            "'partition,kill' is a single text; give a list of names: ['partition', 'kill']",
        ),
        ({"nodes": "n1"}, "'n1' is a single text; give a list of names: ['n1']"),
        ({"faults": Kill(nodes=["n1"])}, "faults is a single kill; give a list of faults"),
        (
            {"faults": [{"kind": "kill"}]},
            "{'kind': 'kill'} is not a fault; give a fault such as Kill(nodes=['n1'], at=5, until=10)",
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
