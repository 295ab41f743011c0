"""The figures in the prose of the tutorial, and in its answers, are those of runs and of arithmetic."""

from __future__ import annotations

import math
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from support.page_runner import blocks
from support.paths import DOCS

from trio_messenger import Node
from trio_messenger._rpc.table import RPC_TIMEOUT, SLICE
from trio_messenger._rpc.wheel import BUCKETS_PER_SECOND
from trio_messenger.sim import Report, simulate

FOLDER = DOCS / "tutorial"


def text_of(page: str) -> str:
    """Return the page in one line."""
    return " ".join((FOLDER / f"{page}.md").read_text(encoding="utf-8").split())


CHAPTER_4, CHAPTER_5 = text_of("04-the-leak"), text_of("05-the-reaper")
CHAPTER_7, CHAPTER_8 = text_of("07-trying-again"), text_of("08-breaking-things")


def test_odds_of_the_chapter_on_the_leak() -> None:
    """Of an RPC without a reply, and of a broadcast, which is two RPCs; the count is what the last line shows."""
    answered = 0.95**2
    assert "Let five of a hundred messages between nodes be lost" in CHAPTER_4
    assert (round(1 / (1 - answered)), round(1 / (1 - answered**2))) == (10, 5)
    assert "about one RPC in ten gets no reply" in CHAPTER_4
    assert "about one client in five gets no reply" in CHAPTER_4
    [left] = re.findall(r"5000 notes, +\d+ answered, +(\d+) callbacks wait", CHAPTER_4)
    assert f"gets no reply: {left} of {2 * 5000:,}" in CHAPTER_4


def test_constants_of_the_reaper() -> None:
    """The library's own, which users do not set."""
    assert f"one for each 1/{BUCKETS_PER_SECOND} s" in CHAPTER_5
    assert f"up to 1/{BUCKETS_PER_SECOND} s later, never earlier" in CHAPTER_5
    assert f"the RPCs of this bucket, {SLICE} at a time" in CHAPTER_5
    assert f"The default timeout is {RPC_TIMEOUT:g} seconds" in CHAPTER_5


def test_odds_of_the_chapter_on_retries() -> None:
    """Two notes with one id; an attempt that fails; six of them in a row."""
    same_id = 2**64 / math.comb(1_000_000, 2) / 1e6
    assert f"one in {same_id:.0f} million" in CHAPTER_7
    fails = 1 - 0.9**2
    assert f"a probability of {fails * 100:.0f} %" in CHAPTER_7
    assert f"about 1 in {round(fails**-6, -3):,.0f}" in CHAPTER_7


def report(source: str, tmp_path: Path, **options: Any) -> Report:
    """Return the report of a run of the board with *source*, as the exercises of chapter 8 make it."""
    path = tmp_path / "board.py"
    path.write_text(source)

    def build() -> Node:
        node: Node = runpy.run_path(str(path))["node"]
        return node

    return simulate("broadcast", build, latency=100, time_limit=30, **options)


BOARD = (FOLDER / "08" / "board.py").read_text()
THREE = ("n1", "n2", "n3")


def test_answer_to_the_exercise_on_crashes(tmp_path: Path) -> None:
    """Seed 0 is valid; with seed 1 all boards lack so many of the notes, as all of them were killed."""
    options = {"nodes": THREE, "nemesis": ["partition", "kill"]}
    assert report(BOARD, tmp_path, seed=0, **options).valid is True
    found = report(BOARD, tmp_path, seed=1, **options).results["workload"]
    assert f"Seed 1: all boards lack {found['lost-count']} of {found['attempt-count']} notes" in CHAPTER_8


def test_answer_to_the_exercise_on_answers_at_once(tmp_path: Path) -> None:
    """All operations are ok, at once, and no reply is late."""
    [handler] = [it.text for it in blocks((FOLDER / "08-breaking-things.md").read_text()) if "node.send(" in it.text]
    before, _, rest = BOARD.partition('@node.on("broadcast"')
    after = rest[rest.index('@node.on("tell")') :]
    run = report(f"{before}{handler}\n\n{after}", tmp_path, nodes=THREE, nemesis=["partition"], seed=14)
    assert run.valid is True
    assert run.results["stats"]["ok-count"] == run.results["stats"]["count"]
    assert "All operations are `ok`, the latency is 0 ms, and the `warning` is gone" in CHAPTER_8
    assert not [warning for warning in run.warnings() if "replies arrived" in warning]


@pytest.mark.parametrize(("count", "sentence"), [(3, "{} instead of {} messages per op"), (9, "{} instead of {}")])
def test_answer_to_the_exercise_on_one_peer(count: int, sentence: str, tmp_path: Path) -> None:
    """So many messages for each operation, and so late is the stalest value."""
    asked = 'await node.rpc_all(node.peers, {"type": "catch_up"'
    assert asked in BOARD
    one = BOARD.replace(asked, 'await node.rpc_all([node.random.choice(node.peers)], {"type": "catch_up"')
    options = {"nodes": tuple(f"n{number}" for number in range(count)), "nemesis": ["partition"], "seed": 14}
    runs = [report(source, tmp_path, **options) for source in (one, BOARD)]
    figures = [f"{run.results['net']['servers']['msgs-per-op']:.3g}" for run in runs]
    assert sentence.format(*figures) in CHAPTER_8
    stalest = [run.results["workload"]["stable-latencies"]["1"] for run in runs]
    if count == 9:
        shown = [f"{float(f'{latency:.3g}'):,.0f}" for latency in stalest]
        assert f"the largest `stable` is {shown[0]} instead of {shown[1]} ms" in CHAPTER_8
