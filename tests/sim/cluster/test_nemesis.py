"""The nemesis: what killing and wrong clocks do to nodes, how it is counted, and what a schedule does at its ends."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest
import trio
from support.stage import Stage, staged
from support.troupe import NODES, acted, ask, befell

from trio_messenger import Node
from trio_messenger.sim._cluster.hosts import Host, NodeLog
from trio_messenger.sim._faults.faults import ClockSkew, Fault, Kill, Partition, Pause, SlowLinks
from trio_messenger.sim._network.network import Delivery, SimulatedNetwork


async def nothing(stage: Stage) -> None:
    await stage.until(6)


# Killing


def test_a_killed_node_is_started_again_at_the_end() -> None:
    """A node is dead for as long as the fault lasts, then it is started and sent init, and is ready again."""
    stage, troupe = acted(nothing, [Kill(at=1, until=2.5, nodes=["n1"])])
    assert befell(stage) == [(1, "kill", "n1"), (2.5, "start", "n1"), (2.5, "ready", "n1")]
    assert [entry.fault for entry in stage.entries("kill")] == [0]
    assert stage.bites == {0: 1}
    assert troupe.lives == 3
    assert [host.problems for host in stage.hosts.values()] == [[], []]


def test_memory_is_lost_and_the_store_is_kept() -> None:
    """What a node had in memory is gone with its life, what it wrote to its store is there in the next."""

    async def script(stage: Stage) -> None:
        ask(stage, "n1", "keep", 1)
        ask(stage, "n2", "keep", 2)
        await stage.until(3)
        for node_id in NODES:
            ask(stage, node_id, "recall")
        await stage.until(4)

    stage, _ = acted(script, [Kill(at=1, until=2, nodes=["n1"])])
    assert [(heard.src, heard.value) for heard in stage.heard] == [("n1", [[], [1]]), ("n2", [[2], [2]])]


def test_what_was_on_its_way_to_a_dead_node_is_lost() -> None:
    """Neither what comes while it is dead is delivered, nor what was sent before it was started and comes after."""

    async def script(stage: Stage) -> None:
        for at in (0.5, 0.9, 1.5, 1.9, 2.1):
            await stage.until(at)
            ask(stage, "n1", "say", at, src="n2")
        await stage.until(5)

    stage, troupe = acted(script, [Kill(at=1, until=2, nodes=["n1"])], latency=250)
    assert troupe.values("n1") == [0.5, 2.1]  # what was sent at 1.9 would come at 2.15
    stage, troupe = acted(script, [Kill(at=1, until=2, nodes=["n1"])])
    assert troupe.values("n1") == [0.5, 0.9, 2.1]
    assert [fate[1:3] for fate in stage.fates() if fate[2]] == [("drop", "down")] * 2


def test_what_a_dead_node_had_sent_arrives() -> None:
    """What left the node before it died is delivered."""

    async def script(stage: Stage) -> None:
        ask(stage, "n2", "say", "hello", src="n1")
        await stage.until(3)

    _, troupe = acted(script, [Kill(at=0.5, until=1, nodes=["n1"])], latency=1000)
    assert troupe.values("n2") == ["hello"]


def test_a_dead_node_does_nothing_more() -> None:
    """Whatever its ``finally`` clauses try, at once or later, nothing leaves a dead node, and nothing is stored."""
    tried: list[str] = []

    def build(store: MutableMapping[str, Any]) -> Node:
        node = Node()

        @node.background
        async def worker() -> None:
            store["life"] = store.get("life", 0) + 1
            try:
                while True:
                    node.send_nowait("c", {"type": "tick", "value": store["life"]})
                    await trio.sleep(0.5)
            finally:
                with trio.CancelScope(shield=True):
                    await last_words()

        async def last_words() -> None:
            for _ in range(4):
                for attempt in (say, write):
                    try:
                        attempt()
                    except trio.ClosedResourceError:
                        tried.append("closed")
                    else:
                        tried.append("done")
                await trio.sleep(0.5)

        def say() -> None:
            node.send_nowait("c", {"type": "last words"})

        def write() -> None:
            store["life"] = 100
            store["more"] = True
            assert store["life"] == 100

        return node

    async def script(stage: Stage) -> None:
        await stage.until(4.75)

    stage = staged(script, faults=[Kill(at=1.25, until=2.25, nodes=["n1"])], nodes=["n1"], build=build, members=["c"])
    assert [(heard.at, heard.value) for heard in stage.heard] == [
        *((0, 1), (0.5, 1), (1, 1)),
        *((2.25, 2), (2.75, 2), (3.25, 2), (3.75, 2), (4.25, 2), (4.75, 2)),
    ]
    assert len(tried) == 16  # both lives have had their last words
    assert stage.hosts["n1"].problems == []


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([Kill(at=1, until=3, nodes=["n1"]), Kill(at=2, until=4, nodes=["n1"])], [(1, "kill"), (4, "start")]),
        ([Kill(at=1, until=4, nodes=["n1"]), Kill(at=2, until=3, nodes=["n1"])], [(1, "kill"), (4, "start")]),
        (
            [Kill(at=1, until=2, nodes=["n1"]), Kill(at=3, until=4, nodes=["n1"])],
            [(1, "kill"), (2, "start"), (3, "kill"), (4, "start")],
        ),
    ],
)
def test_a_node_is_dead_as_long_as_one_fault_says_so(faults: list[Fault], expected: list[tuple[float, str]]) -> None:
    """Where kills overlap, the node is started when the last one ends."""
    stage, _ = acted(nothing, faults)
    assert [(at, event) for at, event, _ in befell(stage) if event != "ready"] == expected
    assert stage.hosts["n1"].problems == []


def test_a_kill_of_a_dead_node_counts_if_it_keeps_it_dead() -> None:
    """The second of two kills took effect if it outlasts the first, and did not if it ends before."""
    outlasts = [Kill(at=1, until=3, nodes=["n1"]), Kill(at=2, until=4, nodes=["n1"])]
    within = [Kill(at=1, until=4, nodes=["n1"]), Kill(at=2, until=3, nodes=["n1"])]
    assert acted(nothing, outlasts)[0].bites == {0: 1, 1: 1}
    assert +acted(nothing, within)[0].bites == {0: 1}
    together = [Kill(at=1, until=4, nodes=["n1"]), Kill(at=2, until=4, nodes=["n1"])]
    assert +acted(nothing, together)[0].bites == {0: 1}


def test_a_kill_of_several_counts_each() -> None:
    """One fault kills all the nodes that it names, and counts each one."""
    stage, _ = acted(nothing, [Kill(at=1, until=2, nodes=["n2", "n1"])])
    assert [(event, node) for _, event, node in befell(stage)][:2] == [("kill", "n2"), ("kill", "n1")]
    assert stage.bites == {0: 2}


def test_a_kill_that_begins_when_another_ends_keeps_the_node_dead() -> None:
    """The node is not started in between, and both count, whatever the seed."""

    async def script(stage: Stage) -> None:
        await stage.until(2)
        assert not stage.hosts["n1"].is_alive
        await stage.until(2.5)
        assert not stage.hosts["n1"].is_alive
        await stage.until(3)
        assert stage.hosts["n1"].is_alive

    for seed in range(10):
        faults = [Kill(at=1, until=2, nodes=["n1"]), Kill(at=2, until=3, nodes=["n1"])]
        stage, _ = acted(script, faults, seed=seed)
        assert stage.hosts["n1"].problems == []
        assert stage.bites == {0: 1, 1: 1}
        assert befell(stage) == [(1, "kill", "n1"), (3, "start", "n1"), (3, "ready", "n1")]


def test_a_node_that_is_killed_while_it_comes_up_is_not_to_blame() -> None:
    """That it did not answer init, because it was killed again, is no problem of the node, and delays nothing."""

    def build() -> Node:
        node = Node()

        @node.on_init
        async def slow() -> None:
            await trio.sleep(1)

        return node

    async def script(stage: Stage) -> None:
        await stage.until(20)

    kills = [Kill(at=1, until=2, nodes=["n1"]), Kill(at=2.5, until=3, nodes=["n1"])]
    stage = staged(script, faults=kills, nodes=["n1"], build=build)
    assert stage.lives() == [
        *((0, "start", "n1"), (1, "ready", "n1")),
        *((2, "kill", "n1"), (3, "start", "n1"), (3.5, "kill", "n1"), (4, "start", "n1"), (5, "ready", "n1")),
    ]
    assert stage.bites == {0: 1, 1: 1}
    assert stage.hosts["n1"].problems == []


class SlowHost(Host):
    """Runs a node that answers nothing but init, and takes a second to start, as a process may."""

    def __init__(self, node_id: str, network: SimulatedNetwork) -> None:
        super().__init__(node_id, network, NodeLog(node_id))

    async def start(self) -> None:
        await trio.sleep(1)
        self._begin_life()

    def kill(self) -> None:
        if self.is_alive:
            self._end_life()

    def _hand_over(self, delivery: Delivery) -> None:
        message = delivery.message
        body = {"type": "init_ok", "in_reply_to": message.body["msg_id"]}
        self._send(msgspec.json.encode({"src": self.node_id, "dest": message.src, "body": body}))


def test_a_node_that_is_being_started_can_be_killed() -> None:
    """A kill that begins while a node is being started prevents that, and counts; it is started when that ends."""
    kills = [Kill(at=1, until=2, nodes=["n1"]), Kill(at=2.5, until=3.5, nodes=["n1"])]
    stage = staged(nothing, faults=kills, nodes=["n1"], make_host=SlowHost)
    # The cluster came up at 1 s, when the schedule began.
    assert stage.lives()[2:] == [(2, "kill", "n1"), (5.5, "start", "n1"), (5.5, "ready", "n1")]
    assert stage.bites == {0: 1, 1: 1}
    assert stage.hosts["n1"].problems == []


def test_a_node_may_be_killed_just_when_it_has_come_up() -> None:
    """That its answer to init comes at the moment at which it is killed again confuses nobody, whatever the seed."""
    late = SlowLinks(extra=1, links=[("nodes", "clients")])
    kills = [Kill(at=1, until=2, nodes=["n1"]), Kill(at=3, until=4, nodes=["n1"])]
    for seed in range(20):
        stage = staged(nothing, faults=[late, *kills], nodes=["n1"], seed=seed)
        assert stage.hosts["n1"].problems == []
        assert stage.hosts["n1"].lives == 3
        assert [stage.bites[index] for index in (1, 2)] == [1, 1]


def test_a_node_that_does_not_come_up_again_is_to_blame() -> None:
    """A factory that fails the second time is a problem of the node, which stays dead; others go on."""
    lives = 0

    def build() -> Node:
        nonlocal lives
        lives += 1
        if lives == 3:
            raise RuntimeError("not again")
        return Node()

    stage = staged(nothing, faults=[Kill(at=1, until=2, nodes=["n1"])], nodes=NODES, build=build)
    assert stage.hosts["n1"].problems == [
        "after it was killed and started again, node 'n1' could not be started: RuntimeError: not again\n"
        "its last lines on stderr:\n"
        "  (nothing)"
    ]
    assert befell(stage) == [(1, "kill", "n1")]
    assert [host.is_alive for host in stage.hosts.values()] == [False, False]  # all are dead at the end


def test_a_node_that_has_ended_of_itself_cannot_be_killed() -> None:
    """A kill of a node that is dead already took no effect; it is started at the end all the same."""

    def build() -> Node:
        node = Node()

        @node.on("die")
        def die() -> None:
            node.shutdown()

        return node

    async def script(stage: Stage) -> None:
        await stage.until(0.5)
        ask(stage, "n1", "die")
        await stage.until(3)

    stage = staged(script, faults=[Kill(at=1, until=2, nodes=["n1"])], nodes=["n1"], build=build)
    assert [event for _, event, _ in stage.lives()] == ["start", "ready", "exit", "start", "ready"]
    assert not any(stage.bites.values())
    assert len(stage.hosts["n1"].problems) == 1


# Clocks


def test_a_wrong_clock() -> None:
    """The node's clock of the day is ahead or behind while the fault lasts; skews that overlap add up."""

    async def script(stage: Stage) -> None:
        for at in (0.5, 1.5, 2.5, 3.5, 4.5):
            await stage.until(at)
            for node_id in NODES:
                ask(stage, node_id, "clock")
        await stage.until(5)

    faults = [
        ClockSkew(at=1, until=3, nodes=["n1"], seconds=60),
        ClockSkew(at=2, until=4, nodes=["n2", "n1"], seconds=-0.5),
    ]
    stage, _ = acted(script, faults)
    shown = [(heard.src, heard.value) for heard in stage.heard]
    assert [value for src, value in shown if src == "n1"] == pytest.approx([0.5, 61.5, 62, 3, 4.5])
    assert [value for src, value in shown if src == "n2"] == pytest.approx([0.5, 1.5, 2, 3, 4.5])
    assert stage.bites == {0: 2, 1: 4}  # looks at a clock that was wrong
    assert befell(stage) == []


def test_skews_leave_no_rest() -> None:
    """After all skews have ended the clock is exactly right, though fractions do not add up exactly."""

    async def script(stage: Stage) -> None:
        await stage.until(2.5)
        assert stage.hosts["n1"].skew == 0
        await stage.until(3.25)
        assert stage.hosts["n1"].skew == 0

    faults = [ClockSkew(at=1, until=2, nodes=["n1"], seconds=seconds) for seconds in (0.1, 0.2, 0.3)]
    cancel_out = [ClockSkew(at=3, until=4, nodes=["n1"], seconds=seconds) for seconds in (1, -1)]
    acted(script, [*faults, *cancel_out])


def test_a_clock_that_nobody_looks_at_took_no_effect() -> None:
    """A skew bites only where a node looks at its clock while that is wrong."""

    async def script(stage: Stage) -> None:
        ask(stage, "n1", "clock")
        await stage.until(3)
        ask(stage, "n1", "clock")

    stage, _ = acted(script, [ClockSkew(at=1, until=2, nodes=["n1"], seconds=5)])
    assert not any(stage.bites.values())


def test_a_skew_outlives_a_kill() -> None:
    """The clock is the machine's: it is as wrong in the node's next life."""

    async def script(stage: Stage) -> None:
        await stage.until(3)
        ask(stage, "n1", "clock")
        await stage.until(4)

    stage, _ = acted(script, [ClockSkew(at=0.5, nodes=["n1"], seconds=5), Kill(at=1, until=2, nodes=["n1"])])
    assert stage.values() == [pytest.approx(8)]


# The schedule


def test_what_has_no_end_is_healed() -> None:
    """When the main phase ends, so do all faults, in the order in which they began; nothing begins after that."""
    faults = [
        Partition(at=2),
        Kill(at=1, nodes=["n1"]),
        Pause(at=0.5, nodes=["n2"]),
        ClockSkew(at=0.75, nodes=["n1", "n2"], seconds=3),
        Partition(at=5, until=6),
        Pause(at=5, nodes=["n1"]),
    ]

    async def script(stage: Stage) -> None:
        await stage.until(4)
        stage.nemesis.heal()
        await stage.until(10)
        ask(stage, "n1", "clock")
        ask(stage, "n2", "say", "hello", src="n1")
        await stage.until(11)

    stage, troupe = acted(script, faults)
    ends = [(entry.t / 1e9, entry.event, entry.fault) for entry in stage.entries("begin", "end")]
    assert ends == [
        *((0.5, "begin", 2), (0.75, "begin", 3), (1, "begin", 1), (2, "begin", 0)),
        *((4, "end", 2), (4, "end", 3), (4, "end", 1), (4, "end", 0)),
    ]
    assert befell(stage) == [
        *((0.5, "pause", "n2"), (1, "kill", "n1"), (4, "resume", "n2"), (4, "start", "n1"), (4, "ready", "n1"))
    ]
    assert stage.values() == [pytest.approx(10)]
    assert troupe.values("n2") == ["hello"]


def test_what_ends_goes_before_what_begins() -> None:
    """Of two faults that meet, the first ends before the second begins; those that begin together do so in order."""
    faults = [
        Partition(at=2, until=3, links=[("n1", "n2")]),
        Partition(at=1, until=2, links=[("n1", "n2")]),
        Partition(at=1, until=2, links=[("n1", "n2")]),
    ]
    stage = staged(nothing, faults=faults)
    assert [(entry.t / 1e9, entry.event, entry.fault) for entry in stage.journal] == [
        *((1, "begin", 1), (1, "begin", 2), (2, "end", 1), (2, "end", 2), (2, "begin", 0), (3, "end", 0))
    ]
    assert [entry.text for entry in stage.entries("begin")] == ["partition n1 -> n2"] * 3


def test_faults_at_0_begin_before_anything_else() -> None:
    """A fault that begins at 0 has begun when the nemesis has started."""

    async def script(stage: Stage) -> None:
        stage.join("n1", "n2")
        assert not stage.hosts["n1"].is_alive
        stage.say("n1", "n2")

    for seed in range(10):
        stage = staged(script, faults=[Kill(nodes=["n1"]), Partition()], nodes=["n1"], seed=seed)
        assert [(entry.reason, entry.fault) for entry in stage.entries("drop")] == [("partition", 1)]


def test_a_schedule_of_nothing() -> None:
    """Without faults the nemesis has nothing to do, and nothing to heal."""
    stage = staged(nothing)
    assert len(stage.journal) == 0
    assert stage.bites == {}


def test_the_same_seed_is_the_same_fate() -> None:
    """Two runs of nodes under faults with the same seed have the same journal."""

    async def script(stage: Stage) -> None:
        for number in range(40):
            ask(stage, NODES[number % 2], "tell", [number])
            ask(stage, NODES[number % 2], "keep", number)
            await stage.until(number / 8)

    faults = [
        Kill(at=1, until=2, nodes=["n1"]),
        Pause(at=1.5, until=2.5, nodes=["n2"]),
        Partition(at=3, until=4, links=[("nodes", "clients")]),
        Kill(at=3.5, until=3.75, nodes=["n1", "n2"]),
    ]
    digests = [acted(script, faults, latency=20, seed=seed)[0].journal.digest() for seed in (5, 5)]
    assert digests[0] == digests[1]
