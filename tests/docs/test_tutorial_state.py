"""The figures and answers of the tutorial's chapters on state are those of runs."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.page_runner import blocks
from support.paths import DOCS

from trio_messenger import MemoryStore, Node
from trio_messenger.sim import Partition, Report, simulate
from trio_messenger.testing import running

FOLDER = DOCS / "tutorial"


def page(name: str) -> str:
    """Return the page in one line."""
    return " ".join((FOLDER / f"{name}.md").read_text(encoding="utf-8").split())


CHAPTER_10 = page("10-state-that-converges")
WRONG, COUNTER, DELTAS = (
    (FOLDER / "10" / f"{name}.py").read_text(encoding="utf-8")
    for name in ("counter_wrong", "counter", "counter_deltas")
)


NODES = ("n1", "n2", "n3")


def edited(source: str, *changes: tuple[str, str]) -> str:
    """Replace, for each change, what is there once."""
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
        source = source.replace(old, new)
    return source


def builder(source: str, directory: Path) -> Callable[[], Node]:
    """Return a function that makes the node of a program."""
    path = directory / "program.py"
    path.write_text(source, encoding="utf-8")

    def build() -> Node:
        node: Node = runpy.run_path(str(path))["node"]
        return node

    return build


def count(source: str, directory: Path, workload: str = "g-counter", **options: Any) -> Report:
    """Return the report of a run of a counter, as the commands of chapter 10 make it."""
    return simulate(workload, builder(source, directory), nodes=NODES, latency=100, **{"time_limit": 10, **options})


def because(report: Report) -> str:
    """Return the first sentence of a failure."""
    return str(report).splitlines()[1].removeprefix("  because").strip()


def test_answer_to_the_exercise_on_retries(tmp_path: Path) -> None:
    """Copies have one `msg_id`, and retries do not."""
    source = edited(WRONG, ('@node.on("tell")', '@node.on("tell", at_most_once=AtMostOnce())'))
    assert count(source, tmp_path, nemesis=["duplicate"], seed=13).valid is True
    found = because(count(source, tmp_path, nemesis=["loss"], seed=0))
    assert found == "n2 read 32 at the end, n3 read 40, n1 35; the acknowledged adds sum to 32"
    assert "the nodes read 35, 32 and 40, and the additions sum to 32" in CHAPTER_10


def test_answer_to_the_exercise_on_cancellations(tmp_path: Path) -> None:
    """One count for both directions is wrong, and the repair is right."""
    found = because(count(COUNTER, tmp_path, "pn-counter", seed=0))
    assert found == "all nodes read 17 at the end; the acknowledged adds sum to -31"
    assert "all nodes read 17, but the sum is -31" in CHAPTER_10
    [shown] = [it.text for it in blocks((FOLDER / "10-state-that-converges.md").read_text()) if "abs(delta)" in it.text]
    before, _, rest = COUNTER.partition('@node.on("add"')
    read = "sum(up - down for up, down in counts.values())"
    assert f"`{read}`" in CHAPTER_10
    repaired = f"{before}{shown}\n\n{rest[rest.index('async def gossip') :]}"
    repaired = edited(repaired, ("counts[node.id] = 0", "counts[node.id] = [0, 0]"), ("sum(counts.values())", read))
    assert count(repaired, tmp_path, "pn-counter", nemesis=["duplicate"], seed=0).valid is True


def test_answer_to_the_exercise_on_one_number(tmp_path: Path) -> None:
    """What two nodes add at the same time counts once."""
    source = edited(
        COUNTER,
        ("counts = {}  # by node: what clients have added there", "counts = {}"),
        ("counts[node.id] = 0", 'counts["all"] = 0'),
        ("counts[node.id] +=", 'counts["all"] +='),
    )
    found = because(count(source, tmp_path, seed=0))
    assert found == "all nodes read 26 at the end; the acknowledged adds sum to 32"
    assert "All nodes read 26, but 32 guests come." in CHAPTER_10


@pytest.mark.parametrize(("rate", "row"), [(5, "5 per second (the default)"), (0.2, "0.2 per second (`--rate 0.2`)")])
def test_figures_of_deltas(rate: float, row: str, tmp_path: Path) -> None:
    """So many messages between nodes, with whole tables and with deltas."""
    runs = [count(source, tmp_path, rate=rate, time_limit=30) for source in (COUNTER, DELTAS)]
    assert [run.valid for run in runs] == [True, True]
    sent = [run.results["net"]["servers"]["msg-count"] for run in runs]
    assert f"| {row} | {sent[0]} | {sent[1]} |" in CHAPTER_10


CHAPTER_11 = page("11-state-that-nodes-agree-on")
ELEVEN = FOLDER / "11"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let the programs of chapter 11 import each other, as in the reader's directory."""
    names = [path.stem for path in ELEVEN.glob("*.py")]
    monkeypatch.syspath_prepend(ELEVEN)
    yield ELEVEN
    for name in names:
        sys.modules.pop(name, None)


SHRUNK = {
    "votes_for_anyone": [Partition(at=2.25, until=3.0, links=[("n2", "n3")])],
    "answers_reads_alone": [
        Partition(at=0.0, until=3.75, links=[("n3", "n1"), ("n3", "n2"), ("n2", "n3")]),
        Partition(at=9.0, until=9.897, links=[("n1", "n2"), ("n1", "n3"), ("n2", "n1")]),
    ],
}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("mistake", SHRUNK)
def test_a_mistake_is_found_and_shrunk(mistake: str) -> None:
    """The search finds it with seed 4; the faults that are left are enough, and the page says why."""
    build = getattr(importlib.import_module("mistakes"), mistake)
    run = partial(simulate, "lin-kv", build, nodes=NODES, latency=10, rate=10, time_limit=10, seed=4)
    assert run(nemesis=["partition"], nemesis_interval=4.0).valid is False
    found = because(run(faults=SHRUNK[mistake]))
    assert found.removeprefix("key 0 is not linearizable: ") in CHAPTER_11


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(("count", "sentence"), [(3, "{} messages with 3 nodes"), (5, "and {} with 5.")])
def test_answer_to_the_exercise_on_costs(count: int, sentence: str) -> None:
    """So many messages for each operation, heartbeats included."""
    build = importlib.import_module("keys").build
    names = [f"n{number}" for number in range(count)]
    report = simulate("lin-kv", build, nodes=names, latency=10, rate=10, time_limit=10, seed=0)
    assert sentence.format(f"{report.results['net']['servers']['msgs-per-op']:.3g}") in CHAPTER_11


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(("forgets", "granted"), [(False, [True, False]), (True, [True, True])])
async def test_answer_to_the_exercise_on_votes(forgets: bool, granted: list[bool]) -> None:
    """A second life votes again in the same term only if it forgets."""
    build, store, votes = importlib.import_module("keys").build, MemoryStore(), []
    for candidate in ("n2", "n3"):
        if forgets:
            term, _ = store.get("vote", (0, None))
            store["vote"] = (term, None)
        async with running(build(store), node_ids=NODES) as network:
            await network.send(candidate, {"type": "vote", "msg_id": 1, "term": 9, "end": [0, 0]})
            reply = await network.receive()
            votes.append(reply.body["granted"])
    assert votes == granted
