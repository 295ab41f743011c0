"""Aimed runs: what is drawn of the run without faults, and that the result is a run like any other."""

from __future__ import annotations

import shlex
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.graded_bugs import numbers

from trio_messenger import Body, Node, Request, _cli
from trio_messenger._cli.arguments import make_options
from trio_messenger.nodes import echo
from trio_messenger.sim import Kill, Options, Report, shrink, simulate
from trio_messenger.sim._campaigns.aiming import needs_aims, with_aims
from trio_messenger.sim._campaigns.campaign import with_seed
from trio_messenger.sim._campaigns.simulation import conduct, run_simulation
from trio_messenger.sim._judging.store import load, save

KILLS: dict[str, Any] = {"nemesis": ["kill"], "nemesis_interval": 2.0, "time_limit": 10.0, "search": "aimed"}


def echoed(request: Request) -> Body:
    return {"echo": request.body["echo"]}


def leading() -> Node:
    """Return an echo node that shows a role: n1 leads every other second, and the others follow."""
    node = Node()
    state = {"role": "follower"}
    node.expose(state)

    def turn() -> None:
        state["role"] = "leader" if state["role"] == "follower" and node.id == "n1" else "follower"

    node.every(1, turn)
    node.on("echo")(echoed)
    return node


@pytest.mark.slow
def test_an_aimed_run_finds_a_window_of_milliseconds_and_says_how() -> None:
    """The node is killed between its answer and its store, the report says at what, and the kill alone is enough."""
    report = simulate("unique-ids", partial(numbers, late=0.005), nodes=2, seed=0, **{**KILLS, "time_limit": 6.0})
    assert report.can_shrink
    told = report.results["faults"]["search"]
    assert told["strategy"] == "aimed"
    assert len(told["drawn"]) == len(report.options.faults)
    assert any(line.startswith("kill n") and " after n" in line for line in told["drawn"])
    assert f"  search      aimed\n              {told['drawn'][0]}\n" in f"{report}\n"
    smallest = shrink(report.options.faults, lambda faults: rerun(report, *faults).valid is False, nodes=["n1", "n2"])
    assert len(smallest.faults) == 1
    milder = rerun(report, *smallest.faults)
    assert milder.options.drawn() is None
    assert "search" not in milder.results["faults"]


def rerun(report: Report, *faults: Any) -> Report:
    assert report.rerun is not None
    return report.rerun(faults)


def test_the_command_and_the_files_repeat_an_aimed_run(tmp_path: Path) -> None:
    """The command names the search, which draws the same again; the files have what was drawn."""
    options = Options(workload="echo", nodes=["n1", "n2"], seed=3, **KILLS)
    report = run_simulation(options, echo.build, node=("--node", "echo"))
    assert report.options.faults
    command = report.command
    assert command is not None
    assert command.endswith("--nemesis kill --nemesis-interval 2 --search aimed")
    typed = make_options(_cli.parse(shlex.split(command)[1:])[0])
    assert typed == options
    assert run_simulation(typed, echo.build).digest == report.digest
    stored = load(save(report, tmp_path, "3"))
    assert stored.options == report.options
    assert not needs_aims(stored.options)
    assert run_simulation(stored.options, echo.build).digest == report.digest
    again = with_seed(stored.options, 3)
    assert again == options


def test_aims_are_drawn_by_kind_and_role() -> None:
    """A role that few nodes show, and a change of it, come as often as the echoes of all others."""
    options = Options(workload="echo", rate=20.0, nodes=["n1", "n2", "n3"], **{**KILLS, "nemesis_interval": 0.2})
    rehearsal = conduct(options, leading, is_rehearsal=True)
    events: Counter[str] = Counter()
    for seed in range(12):
        aims = with_aims(options.with_schedule(seed=seed), rehearsal).search.aims
        assert aims is not None
        assert all(0 <= aim.at < 10 for aim in aims)
        assert [aim.at for aim in aims] == sorted(aim.at for aim in aims)
        events.update(aim.event.replace("n2", "n3").partition(" to ")[0].partition(" from ")[0] for aim in aims)
    assert {event for event in events if "init" not in event} == {
        *(f"{node} {did}" for node in ("n1 (leader)", "n1 (follower)", "n3 (follower)") for did in SEEN),
        "n1 became leader",
        "n1 became follower",
    }
    assert events["n1 (leader) got echo"] > events.total() / 10


SEEN = ("got echo", "sent echo_ok")


def test_a_run_that_fails_without_faults_is_reported_as_it_is() -> None:
    """It needs no fault, and the report says that there is none."""

    def wrong() -> Node:
        node = Node()
        node.on("echo")(lambda: {"echo": "nothing"})
        return node

    report = simulate("echo", wrong, nodes=1, **KILLS)
    assert report.valid is False
    assert report.options.faults == ()
    assert report.results["faults"]["search"] == {
        "strategy": "aimed",
        "drawn": ["no fault: the run without faults fails"],
    }
    assert not report.can_shrink


def test_a_node_that_cannot_show_its_role_has_none() -> None:
    """What a user's code raises there ends nothing, and what is not a text is no role."""

    def shy() -> Node:
        node = Node()

        @node.expose
        def show() -> dict[str, object]:
            if node.id == "n1":
                raise ZeroDivisionError
            return {"role": 7}

        node.on("echo")(echoed)
        return node

    report = simulate("echo", shy, nodes=2, **KILLS)
    assert report.valid is True
    aims = report.options.search.aims
    assert aims
    assert not any("(" in aim.event for aim in aims)


def test_other_faults_are_never_aimed() -> None:
    """Faults that were given are those of the run, whatever the search would draw."""
    fault = Kill(nodes=["n1"], at=1, until=2)
    report = simulate("echo", echo.build, nodes=1, faults=[fault], **KILLS)
    assert report.options.faults == (fault,)
    assert "search" not in report.results["faults"]


@pytest.mark.slow
@pytest.mark.parametrize("search", ["swarm", "swizzle", "mix"])
def test_each_search_is_repeated_by_its_command(search: str) -> None:
    """What the seed draws follows from the options, so the command has no faults in it."""
    options = Options(workload="echo", nodes=["n1", "n2"], seed=1, **{**KILLS, "search": search})
    report = run_simulation(options, echo.build, node=("--node", "echo"))
    command = f"{report.command}"
    assert command.endswith(f" --search {search}")
    assert make_options(_cli.parse(shlex.split(command)[1:])[0]) == options
    assert report.results["faults"]["search"]["strategy"] in ("aimed", "swarm", "swizzle", "uniform")
