"""Functions that make runs, for the tests of what has them made in child processes, which import them from here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.wrong_nodes import run_named
from trio_messenger import Node, sometimes
from trio_messenger.nodes import echo
from trio_messenger.sim import Options, Report
from trio_messenger.sim._campaigns.simulation import run_simulation


def run_as_told(options: Options, node: tuple[str, ...]) -> Report:
    """Make a run that ends as *node* says: for each word ``SEED:WHAT`` that has the seed, in their order."""
    for word in node:
        seed, _, what = word.partition(":")
        if int(seed) == options.seed:
            if what == "fails":
                return run_named(options, ("--node", "support.wrong_nodes.echo:cuts_short"))
            if what == "asserts":
                return run_simulation(options, _asserting, invariants=[nodes_live], node=("--node", "echo"))
            _do(what)
    return run_simulation(options, echo.build, node=("--node", "echo"))


def nodes_live(nodes: Mapping[str, Any]) -> None:
    """Hold: an invariant."""
    assert nodes


def _asserting() -> Node:
    node = echo.build()
    node.on_init(lambda: sometimes(False, "seen"))
    return node


def _do(what: str) -> None:
    if what == "dies":
        os._exit(3)
    elif what == "raises":
        raise ZeroDivisionError("of all things")
    elif what == "prints":
        sys.stdout.write("on stdout\n")
    elif what.startswith("until:"):
        while not Path(what.removeprefix("until:")).exists():
            time.sleep(0.01)
    else:
        time.sleep(float(what))


def run_for_ever(_: Options, node: tuple[str, ...]) -> Report:
    """Note in the file *node* which process makes the run, and never come to an end."""
    Path(node[0]).write_text(f"{os.getpid()}\n", encoding="utf-8")
    while True:
        time.sleep(0.01)
