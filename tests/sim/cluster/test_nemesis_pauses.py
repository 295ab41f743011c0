"""The nemesis: what pausing does to nodes, and how it is counted."""

from __future__ import annotations

import pytest
import trio
from support.stage import Stage, staged
from support.troupe import acted, ask, befell

from trio_messenger import Node
from trio_messenger.sim._faults.faults import Kill, Pause


def test_a_paused_node_neither_hears_nor_says_anything() -> None:
    """What comes to it and what leaves it waits until the end of the fault, then it goes on in its order."""

    async def script(stage: Stage) -> None:
        for at in (0.5, 1.5, 1.75, 2.5):
            await stage.until(at)
            ask(stage, "n1", "say", at)
            ask(stage, "n1", "tell", [at, at + 0.1])
        await stage.until(3)

    stage, troupe = acted(script, [Pause(at=1, until=2, nodes=["n1"])])
    assert troupe.values("n1") == [0.5, 1.5, 1.75, 2.5]
    assert [at for at, *_ in troupe.heard] == [0.5, 2, 2, 2.5]
    assert [(heard.at, heard.value) for heard in stage.heard] == [
        *((0.5, 0.5), (0.5, 0.6), (2, 1.5), (2, 1.6), (2, 1.75), (2, 1.85), (2.5, 2.5), (2.5, 2.6))
    ]
    assert befell(stage) == [(1, "pause", "n1"), (2, "resume", "n1")]
    assert [entry.fault for entry in stage.entries("pause")] == [0]
    assert stage.bites == {0: 4}  # that is what came; it said nothing by itself
    assert troupe.lives == 2


def test_what_a_paused_node_s_timers_send_leaves_at_the_end() -> None:
    """In virtual time its timers run; what they send is held, and counted, and leaves in order."""

    def build() -> Node:
        node = Node()

        @node.background
        async def tick() -> None:
            for number in range(8):
                node.send_nowait("c", {"type": "tick", "value": number})
                await trio.sleep(0.5)

        return node

    async def script(stage: Stage) -> None:
        await stage.until(4)

    stage = staged(script, faults=[Pause(at=0.75, until=2.25, nodes=["n1"])], nodes=["n1"], build=build, members=["c"])
    assert [(heard.at, heard.value) for heard in stage.heard] == [
        *((0, 0), (0.5, 1), (2.25, 2), (2.25, 3), (2.25, 4), (2.5, 5), (3, 6), (3.5, 7))
    ]
    assert stage.bites == {0: 3}
    assert [entry.t for entry in stage.entries("send") if entry.t > 0][1:4] == [2.25e9] * 3


@pytest.mark.parametrize("inner", [False, True])
def test_a_node_stands_still_as_long_as_one_fault_says_so(inner: bool) -> None:
    """Where pauses overlap, the node goes on when the last one ends; each counts what it held, or kept back."""

    async def script(stage: Stage) -> None:
        for at in (1.5, 2.5, 3.5):
            await stage.until(at)
            ask(stage, "n1", "say", at)
        await stage.until(5)

    first, second = (4.0, 3.0) if inner else (3.0, 4.0)
    stage, troupe = acted(script, [Pause(at=1, until=first, nodes=["n1"]), Pause(at=2, until=second, nodes=["n1"])])
    assert [at for at, *_ in troupe.heard] == [4, 4, 4]
    assert befell(stage) == [(1, "pause", "n1"), (2, "pause", "n1"), (4, "resume", "n1")]
    assert stage.bites == ({0: 3, 1: 1} if inner else {0: 2, 1: 3})  # the second keeps back what the first had held


def test_pauses_that_end_together() -> None:
    """The node goes on once, and each counts what was held while it lasted."""

    async def script(stage: Stage) -> None:
        for at in (1.5, 2.5):
            await stage.until(at)
            ask(stage, "n1", "say", at)
        await stage.until(4)

    stage, troupe = acted(script, [Pause(at=1, until=3, nodes=["n1"]), Pause(at=2, until=3, nodes=["n1"])])
    assert [at for at, *_ in troupe.heard] == [3, 3]
    assert stage.bites == {0: 2, 1: 1}


def test_a_pause_that_begins_when_another_ends() -> None:
    """The node does not go on in between; what the first held leaves when the second ends, and both count it."""

    async def script(stage: Stage) -> None:
        await stage.until(1.5)
        ask(stage, "n1", "say", "held")
        await stage.until(4)

    stage, troupe = acted(script, [Pause(at=1, until=2, nodes=["n1"]), Pause(at=2, until=3, nodes=["n1"])])
    assert [(at, value) for at, _, _, value in troupe.heard] == [(3, "held")]
    assert befell(stage) == [(1, "pause", "n1"), (2, "pause", "n1"), (3, "resume", "n1")]
    assert stage.bites == {0: 1, 1: 1}


def test_a_pause_of_a_dead_node_does_nothing() -> None:
    """A node that is dead when a pause begins is not paused, and neither is its next life."""

    async def script(stage: Stage) -> None:
        for at in (1.75, 2.5):
            await stage.until(at)
            ask(stage, "n1", "say", at)
        await stage.until(5)

    stage, troupe = acted(script, [Kill(at=1, until=2, nodes=["n1"]), Pause(at=1.5, until=3, nodes=["n1"])])
    assert [at for at, *_ in troupe.heard] == [2.5]
    assert [event for _, event, _ in befell(stage)] == ["kill", "start", "ready"]
    assert +stage.bites == {0: 1}


def test_a_paused_node_that_is_killed_loses_what_was_held() -> None:
    """What waited for it is lost; its next life is not paused, and no fault is blamed for what that hears."""

    async def script(stage: Stage) -> None:
        for at in (1.5, 2.5, 3.5):
            await stage.until(at)
            ask(stage, "n1", "say", at)
            ask(stage, "n1", "tell", [at])
        await stage.until(5)

    stage, troupe = acted(script, [Pause(at=1, until=4, nodes=["n1"]), Kill(at=2, until=3, nodes=["n1"])])
    assert troupe.values("n1") == [3.5]
    assert [(heard.at, heard.value) for heard in stage.heard] == [(3.5, 3.5)]
    assert befell(stage) == [(1, "pause", "n1"), (2, "kill", "n1"), (3, "start", "n1"), (3, "ready", "n1")]
    assert stage.bites == {0: 2, 1: 1}


def test_what_an_earlier_life_held_back_never_leaves() -> None:
    """What a node would have sent while it was paused is lost with its life, also if its next life is paused."""
    lives = 0

    def build() -> Node:
        nonlocal lives
        lives += 1
        node, life = Node(), lives

        @node.background
        async def tick() -> None:
            while True:
                node.send_nowait("c", {"type": "tick", "value": life})
                await trio.sleep(0.5)

        return node

    async def script(stage: Stage) -> None:
        await stage.until(4.25)

    pauses = [Pause(at=0.75, until=5, nodes=["n1"]), Pause(at=3.25, until=3.75, nodes=["n1"])]
    faults = [*pauses, Kill(at=2.25, until=3, nodes=["n1"])]
    stage = staged(script, faults=faults, nodes=["n1"], build=build, members=["c"])
    assert [(heard.at, heard.value) for heard in stage.heard] == [(0, 1), (0.5, 1), (3, 2), (3.75, 2), (4, 2)]
    assert stage.bites == {0: 3, 1: 1, 2: 1}


@pytest.mark.parametrize("holds", [False, True])
def test_a_paused_node_that_ends_of_itself_stays_dead(holds: bool) -> None:
    """A node that has ended while it was paused is neither resumed nor started when the pause ends."""

    def build() -> Node:
        node = Node()

        @node.background
        async def die() -> None:
            await trio.sleep(1.5)
            node.shutdown()

        return node

    async def script(stage: Stage) -> None:
        await stage.until(1.25)
        if holds:
            ask(stage, "n1", "say")
        await stage.until(5)

    stage = staged(script, faults=[Pause(at=1, until=2, nodes=["n1"])], nodes=["n1"], build=build)
    assert [event for _, event, _ in stage.lives()] == ["start", "ready", "pause", "exit"]
    assert stage.bites[0] == holds


def test_a_kill_that_begins_when_a_pause_ends() -> None:
    """What the pause had held is lost with the node, which does not go on in between."""

    async def script(stage: Stage) -> None:
        await stage.until(1.5)
        ask(stage, "n1", "say", "held")
        await stage.until(4)

    stage, troupe = acted(script, [Pause(at=1, until=2, nodes=["n1"]), Kill(at=2, until=3, nodes=["n1"])])
    assert troupe.values("n1") == []
    assert befell(stage) == [(1, "pause", "n1"), (2, "kill", "n1"), (3, "start", "n1"), (3, "ready", "n1")]
    assert stage.bites == {0: 1, 1: 1}


def test_a_pause_of_the_next_life_is_its_own() -> None:
    """A pause that began in an earlier life neither prolongs one of this life nor ends it."""

    async def script(stage: Stage) -> None:
        for at in (1.25, 2.25, 2.75, 3.25):
            await stage.until(at)
            ask(stage, "n1", "say", at)
        await stage.until(6)

    kill = Kill(at=1.5, until=2, nodes=["n1"])
    short, long = Pause(at=1, until=2.625, nodes=["n1"]), Pause(at=1, until=5, nodes=["n1"])
    stage, troupe = acted(script, [short, kill, Pause(at=2.125, until=3, nodes=["n1"])])
    assert [(at, value) for at, _, _, value in troupe.heard] == [(3, 2.25), (3, 2.75), (3.25, 3.25)]
    assert stage.bites == {0: 1, 1: 1, 2: 2}
    stage, troupe = acted(script, [long, kill, Pause(at=2.125, until=3, nodes=["n1"])])
    assert [(at, value) for at, _, _, value in troupe.heard] == [(3, 2.25), (3, 2.75), (3.25, 3.25)]
    assert stage.bites == {0: 1, 1: 1, 2: 2}
