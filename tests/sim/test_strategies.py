"""The Hypothesis strategy for schedules: all of them make sense, the simplest come first, and runs stand them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings, strategies as st

from trio_messenger import Node, Request
from trio_messenger.sim import Journal, Options, Report, simulate
from trio_messenger.sim._faults.faults import (
    BETWEEN_NODES,
    KINDS,
    ClockSkew,
    Duplication,
    Fault,
    Kill,
    LinkFault,
    Loss,
    NodeFault,
    Partition,
    Pause,
    Reordering,
    SlowLinks,
    Storage,
)
from trio_messenger.sim.strategies import MAX_SIZE, fault_schedules

NODES = ["n1", "n2", "n3"]

LIMITS = st.sampled_from([0.25, 0.3, 1.0, 7.9, 60.0])


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 5), LIMITS, st.lists(st.sampled_from(list(KINDS)), min_size=1), st.integers(0, 7))
def test_every_schedule_makes_sense(
    data: st.DataObject, count: int, time_limit: float, kinds: list[str], max_size: int
) -> None:
    """Schedules have the kinds and the length asked for, times on quarters of a second, and members that exist."""
    nodes = [f"n{number}" for number in range(count)]
    faults = data.draw(fault_schedules(nodes, time_limit=time_limit, kinds=kinds, max_size=max_size))
    assert len(faults) <= max_size
    for fault in faults:
        assert fault.kind in kinds
        assert 0 <= fault.at < fault.until <= time_limit
        assert (fault.at * 4).is_integer()
        assert (fault.until * 4).is_integer()
        if isinstance(fault, LinkFault):
            assert fault.links
            assert fault.links == BETWEEN_NODES or all(a != b and {a, b} <= set(nodes) for a, b in fault.links)
        else:
            assert isinstance(fault, NodeFault)
            assert fault.nodes
            assert list(fault.nodes) == [node for node in nodes if node in fault.nodes]
    assert Options(workload="echo", nodes=nodes, faults=faults).faults == tuple(faults)


@settings(deadline=None, max_examples=60)
@given(fault_schedules(NODES))
def test_figures_have_an_effect(faults: list[Fault]) -> None:
    """No fault is one that can do nothing, whatever the latency: rates, delays and skews are not 0."""
    assert len(faults) <= MAX_SIZE
    for fault in faults:
        match fault:
            case Loss(rate=rate) | Duplication(rate=rate) | Reordering(rate=rate):
                assert 0.125 <= rate <= 1
                assert (rate * 8).is_integer()
            case SlowLinks(factor=factor, extra=extra):
                assert 1 <= factor <= 10
                assert 0.25 <= extra <= 8
            case ClockSkew(seconds=seconds):
                assert 0.25 <= abs(seconds) <= 60
            case Storage(seconds=seconds, torn=torn):  # has an effect with any figures
                assert 0 <= seconds <= 1
                assert 0 <= torn <= 1
            case _:
                assert isinstance(fault, (Partition, Kill, Pause))
        if isinstance(fault, Reordering):
            assert 0.25 <= fault.seconds <= 8


def simplest(condition: Callable[[list[Fault]], bool], **options: Any) -> list[Fault]:
    """Return the simplest schedule with *condition* that Hypothesis finds."""
    phases = [Phase.generate, Phase.shrink]  # and no explanation, which takes many times as long
    once = settings(max_examples=2000, derandomize=True, database=None, deadline=None, phases=phases)
    return find(fault_schedules(options.pop("nodes", NODES), **options), condition, settings=once)


def test_the_simplest_schedule_is_none() -> None:
    """Nothing at all is simpler than anything else."""
    assert simplest(lambda _: True) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "simple"),
    [
        ("partition", Partition(until=0.25, links=[("n1", "n2")])),
        ("loss", Loss(until=0.25, links=[("n1", "n2")], rate=0.125)),
        ("duplicate", Duplication(until=0.25, links=[("n1", "n2")], rate=0.125)),
        ("reorder", Reordering(until=0.25, links=[("n1", "n2")], rate=0.125, seconds=0.25)),
        ("slow", SlowLinks(until=0.25, links=[("n1", "n2")], factor=1, extra=0.25)),
        ("kill", Kill(until=0.25, nodes=["n1"])),
        ("pause", Pause(until=0.25, nodes=["n1"])),
        ("clock", ClockSkew(until=0.25, nodes=["n1"], seconds=0.25)),
        ("storage", Storage(until=0.25, nodes=["n1"], seconds=0, torn=0)),
    ],
)
def test_the_simplest_fault_is_mild(kind: str, simple: Fault) -> None:
    """The simplest fault of each kind is short, early, of one link or node, and small; each kind is found."""
    assert simplest(lambda faults: any(fault.kind == kind for fault in faults)) == [simple]


@pytest.mark.slow
def test_faults_that_do_not_matter_are_taken_away() -> None:
    """What does not matter is not in the simplest schedule, and what matters is as simple as it can be."""

    def cuts_off(faults: list[Fault]) -> bool:
        return any(
            isinstance(fault, Partition) and {("n2", "n3"), ("n2", "n1")} <= set(fault.links) and fault.until > 5
            for fault in faults
        )

    [fault] = simplest(cuts_off)
    assert isinstance(fault, Partition)
    assert set(fault.links) == {("n2", "n1"), ("n2", "n3")}
    assert (fault.at, fault.until) == (0, 5.25)


def drawn(kind: str) -> set[Fault]:
    """Return all faults of *kind* that there are in the first quarter of a second."""
    found: set[Fault] = set()

    @settings(max_examples=1000, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(fault_schedules(NODES, kinds=[kind], time_limit=0.25, max_size=1))
    def draw(faults: list[Fault]) -> None:
        found.update(faults)

    draw()
    return found


def test_all_partitions() -> None:
    """Single links are cut, and those from one side to another, one way or both, and all; and nothing else."""
    single = {frozenset({(a, b)}) for a in NODES for b in NODES if a != b}
    deaf = {frozenset((a, b) for a in NODES if a != b) for b in NODES}
    mute = {frozenset((b, a) for a in NODES if a != b) for b in NODES}
    apart = {frozenset((a, b) for a in NODES for b in NODES if (a == one) != (b == one)) for one in NODES}
    found = {frozenset(fault.links) for fault in drawn("partition") if isinstance(fault, Partition)}
    assert found == single | deaf | mute | apart | {frozenset(BETWEEN_NODES)}


def test_all_kills() -> None:
    """Any one node is killed, and any number of them."""
    some = [("n1",), ("n2",), ("n3",), ("n1", "n2"), ("n1", "n3"), ("n2", "n3"), ("n1", "n2", "n3")]
    assert drawn("kill") == {Kill(until=0.25, nodes=nodes) for nodes in some}


def test_one_node_has_links_to_itself() -> None:
    """With one node there is nothing between nodes; faults of links are those of the group."""
    assert simplest(bool, nodes=["n1"], kinds=["partition"]) == [Partition(until=0.25)]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: fault_schedules(NODES, kinds=["kill", "fire"]),
            f"there is no fault of kind 'fire'; there are: {', '.join(KINDS)}",
        ),
        (lambda: fault_schedules([]), "there are no nodes; give the id of one or more"),
        (lambda: fault_schedules(NODES, time_limit=0.2), "time_limit is 0.2 s; give a finite number of 0.25 or more"),
        (
            lambda: fault_schedules(NODES, time_limit=float("inf")),
            "time_limit is inf s; give a finite number of 0.25 or more",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], text: str) -> None:
    """Wrong arguments are errors where the strategy is made, and name what would do."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        make()


@pytest.mark.slow
def test_no_kinds_or_no_length_is_no_schedule() -> None:
    """Where nothing is asked for there is nothing, and five faults are the most where nobody says otherwise."""
    assert simplest(lambda _: True, max_size=0) == []
    assert simplest(lambda _: True, kinds=[]) == []
    assert MAX_SIZE == 5
    assert len(simplest(lambda faults: len(faults) == MAX_SIZE, kinds=["kill"], time_limit=0.25, nodes=["n1"])) == 5


# Runs under such schedules


def build() -> Node:
    """Return a node that tells all it knows to all, again and again.

    All begin at the instant at which the main phase does, so faults can begin or end just when they speak.
    """
    node = Node()
    messages: dict[int, None] = {}
    speaks = False

    def begin_to_speak() -> None:
        nonlocal speaks
        if not speaks:
            speaks = True
            node.every(0.5, tell)

    @node.on("topology")
    def topology() -> dict[str, object]:
        begin_to_speak()
        return {}

    @node.on("broadcast")
    def broadcast(request: Request) -> dict[str, object]:
        messages[request.body["message"]] = None
        return {}

    @node.on("gossip")
    def gossip(request: Request) -> None:
        begin_to_speak()  # in a later life there is no topology
        messages.update(dict.fromkeys(request.body["messages"]))

    @node.on("read")
    def read() -> dict[str, object]:
        return {"messages": list(messages)}

    def tell() -> None:
        node.wall_time()
        for peer in node.peers:
            node.send_nowait(peer, {"type": "gossip", "messages": list(messages)})

    return node


def run(faults: Sequence[Fault], **options: Any) -> Report:
    return simulate("broadcast", build, nodes=NODES, time_limit=5, faults=faults, **{"rate": 8, **options})


def dead_and_paused(journal: Journal) -> tuple[list[int], list[int]]:
    """Return the entries of messages that dead nodes sent or received, and of those that paused ones sent."""
    dead, still = set(NODES), set[str]()
    by_dead, by_still = [], []
    ends: dict[int, tuple[str, str]] = {}
    for entry in journal:
        if entry.event == "send":
            assert entry.id is not None
            ends[entry.id] = ends_of(bytes(entry.raw or b""))
            by_dead += [entry.i] if ends[entry.id][0] in dead else []
            by_still += [entry.i] if ends[entry.id][0] in still else []
        elif entry.event == "deliver":
            assert entry.id is not None
            by_dead += [entry.i] if ends[entry.id][1] in dead else []
        elif entry.node is not None:
            dead -= {entry.node} if entry.event == "start" else set()
            dead |= {entry.node} if entry.event in ("kill", "exit") else set()
            still |= {entry.node} if entry.event == "pause" else set()
            still -= {entry.node} if entry.event in ("kill", "exit", "resume") else set()
    return by_dead, by_still


def ends_of(line: bytes) -> tuple[str, str]:
    src, dest = re.findall(rb'"(?:src|dest)": ?"([^"]*)"', line)[:2]
    return src.decode(), dest.decode()


@pytest.mark.slow
@settings(deadline=None, max_examples=20, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(fault_schedules(NODES, time_limit=5), st.integers(0, 3), st.sampled_from([0, 30]))
def test_a_run_under_any_schedule_keeps_the_rules(faults: list[Fault], seed: int, latency: float) -> None:
    """Whatever goes wrong: each message has one fate, the dead are silent, and each effect is counted once."""
    report = run(faults, seed=seed, latency=latency)
    fates: Counter[int | None] = Counter()
    bites: Counter[int] = Counter()
    for entry in report.journal:
        fates[entry.id] += {"deliver": 1, "drop": 1, "duplicate": -1}.get(entry.event, 0)
        if entry.event in ("drop", "duplicate", "kill") and entry.fault is not None:
            bites[entry.fault] += 1
    del fates[None]
    assert set(fates.values()) <= {0, 1}
    assert sum(count == 0 for count in fates.values()) < 30  # on their way at the end
    assert dead_and_paused(report.journal) == ([], [])
    counted = report.results["faults"]["schedule"]
    for index, (fault, entry) in enumerate(zip(faults, counted, strict=True)):
        if isinstance(fault, (Partition, Loss, Duplication)):
            assert entry["took-effect"] == bites[index]
        if isinstance(fault, Kill):
            assert bites[index] <= entry["took-effect"] <= bites[index] + 2 * len(faults)
    begins = [entry.fault for entry in report.journal if entry.event == "begin"]
    ends = [entry.fault for entry in report.journal if entry.event == "end"]
    assert sorted(begins) == sorted(ends) == list(range(len(faults)))  # type: ignore[type-var]
    if not any(isinstance(fault, Kill) for fault in faults):  # it forgets what it knew
        assert report.results["workload"]["lost-count"] == 0
    assert report.logs == {node_id: [] for node_id in NODES}


def messages(report: Report, indexes: Sequence[int]) -> list[object]:
    """Return all that happened but for the beginnings and ends of faults, which are called by their *indexes*."""
    return [
        (entry.t, entry.event, entry.id, bytes(entry.raw or b""), entry.reason, entry.node, fault)
        for entry in report.journal
        for fault in (None if entry.fault is None else indexes[entry.fault],)
        if entry.event not in ("begin", "end", "pause", "resume")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "inert",
    [
        Partition(at=1.125, until=1.5),
        Loss(at=1.125, until=1.5, rate=1),
        SlowLinks(at=1.125, until=1.5),
        Pause(at=1.125, until=1.5, nodes=NODES),
        ClockSkew(at=1.125, until=1.5, nodes=NODES, seconds=3),
        Storage(at=1.125, until=1.5, nodes=NODES),
        Partition(at=1.5, until=2, links=[("services", "n1")]),
        Kill(at=2.25, until=2.5, nodes=["n2"]),
        Pause(at=2.125, until=2.5, nodes=["n1"]),
    ],
)
def test_a_fault_without_effect_may_be_taken_away(inert: Fault) -> None:
    """A fault that touches nothing changes nothing, though it begins or ends just when all nodes send something."""
    others = [Kill(at=2, until=3, nodes=["n2"]), Pause(at=2, until=4, nodes=["n1"])]
    for seed in range(3):
        report, fewer = run([*others, inert], seed=seed, rate=0), run(others, seed=seed, rate=0)
        assert messages(report, range(3)) == messages(fewer, range(2))


@pytest.mark.slow
@settings(deadline=None, max_examples=20, phases=[Phase.generate])
@given(fault_schedules(NODES, time_limit=5), st.integers(0, 3), st.sampled_from([0, 250]))
def test_faults_without_effect_may_be_taken_away(faults: list[Fault], seed: int, latency: float) -> None:
    """To remove what took no effect changes nothing else, though nodes are busy just when faults begin and end."""
    report = run(faults, seed=seed, latency=latency)
    effects = [entry["took-effect"] for entry in report.results["faults"]["schedule"]]
    effective = [index for index, effect in enumerate(effects) if effect]
    fewer = run([faults[index] for index in effective], seed=seed, latency=latency)
    assert messages(report, range(len(faults))) == messages(fewer, effective)


def test_the_same_schedule_is_the_same_run() -> None:
    """A run under all kinds of faults has the same digest each time."""
    faults = [
        Partition.between(["n1"], ["n2", "n3"], at=0.5, until=1.5),
        Loss(at=1, until=3, rate=0.5),
        Duplication(at=1, until=4, rate=0.5),
        Reordering(at=2, until=4, rate=0.5, seconds=1),
        SlowLinks(at=2, until=3, extra=0.25),
        Kill(at=1.25, until=2.25, nodes=["n2"]),
        Pause(at=2, until=3, nodes=["n3"]),
        ClockSkew(at=1, until=3, nodes=["n1"], seconds=3),
    ]
    first, second = run(faults, seed=3, latency=20), run(faults, seed=3, latency=20)
    assert first.digest == second.digest
    assert all(entry["took-effect"] for entry in first.results["faults"]["schedule"])
