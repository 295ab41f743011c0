"""Nodes for the nemesis to act on, and what befell them."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import trio

from support.stage import Script, Stage, staged
from trio_messenger import Node, Request
from trio_messenger.sim._cluster.in_process import EPOCH
from trio_messenger.sim._faults.faults import Fault
from trio_messenger.sim._network.latency_distribution import Latency

NODES = ("n1", "n2")


class Troupe:
    """Makes nodes that note what they do."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str, int, Any]] = []  # when, who, in which life, what
        self.lives = 0

    def build(self, store: MutableMapping[str, Any]) -> Node:
        self.lives += 1
        node, life = Node(), self.lives
        memory: list[Any] = []

        @node.on("say")
        def say(request: Request) -> None:
            self.heard.append((trio.current_time(), node.id, life, request.body["value"]))

        @node.on("tell")
        def tell(request: Request) -> None:
            for value in request.body["value"]:
                node.send_nowait("c", {"type": "say", "value": value})

        @node.on("keep")
        def keep(request: Request) -> None:
            memory.append(request.body["value"])
            store["kept"] = [*store.get("kept", []), request.body["value"]]

        @node.on("recall")
        def recall() -> None:
            node.send_nowait("c", {"type": "say", "value": [memory, store.get("kept")]})

        @node.on("clock")
        def clock() -> None:
            node.send_nowait("c", {"type": "say", "value": node.wall_time() - EPOCH})

        return node

    def values(self, node_id: str) -> list[Any]:
        """Return what *node_id* heard, in order."""
        return [value for _, who, _, value in self.heard if who == node_id]


def ask(stage: Stage, dest: str, type_: str, value: Any = None, src: str = "c") -> None:
    """Send a message without a number, so that nobody expects an answer."""
    stage.send(src, dest, {"type": type_, "value": value})


def acted(script: Script, faults: Sequence[Fault], latency: float = 0, seed: int = 0) -> tuple[Stage, Troupe]:
    """Run *script* with two nodes, which the client *c* talks to."""
    troupe = Troupe()
    given: dict[str, Any] = {"nodes": NODES, "build": troupe.build, "members": ["c"]}
    return staged(script, faults=faults, latency=Latency(latency), seed=seed, **given), troupe


STARTED = [(0, "start", "n1"), (0, "start", "n2"), (0, "ready", "n1"), (0, "ready", "n2")]


def befell(stage: Stage) -> list[tuple[float, str, str | None]]:
    """Return what befell the nodes after they were started."""
    lives = stage.lives()
    assert sorted(lives[:4]) == sorted(STARTED)
    return lives[4:]
