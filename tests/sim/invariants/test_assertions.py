"""Assertions in the code of nodes: `always`, `sometimes` and `reachable`."""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from support.runs import run_as_told

from trio_messenger import Body, Node, Request, always, reachable, sometimes
from trio_messenger.sim import Kill, Options, Report, simulate
from trio_messenger.sim._campaigns.campaign import SHOWN_COUNTS, CampaignReport
from trio_messenger.sim._campaigns.interpreters import SeedResult, _Job, _make
from trio_messenger.sim._invariants.assertion_log import MOST_MESSAGES
from trio_messenger.sim._judging.report import SHOWN_ASSERTIONS


def run(handler: Callable[[Request], Body] | Callable[[Request], Awaitable[Body]], **given: Any) -> Report:
    """Run nodes that serve echo with *handler*."""

    def build() -> Node:
        node = Node()
        node.on("echo")(handler)
        return node

    return simulate("echo", build, **{"nodes": 2, "time_limit": 2, **given})


def echo(request: Request) -> Body:
    """Answer."""
    return {"echo": request.body["echo"]}


def test_outside_a_simulation_they_do_nothing() -> None:
    """Not even look at their arguments; nor do they in code of a simulation that belongs to no node."""
    always(False, "x")
    sometimes(False, 1)  # type: ignore[arg-type]
    reachable(1)  # type: ignore[arg-type]

    def build() -> Node:
        thread = threading.Thread(target=always, args=(False, "a thread says so"))
        thread.start()
        thread.join()
        return node_of(echo)

    report = simulate("echo", build, nodes=1, time_limit=1)
    assert report.valid is True
    assert "assertions" not in report.results


def test_an_invariant_is_told_to_use_assert() -> None:
    """An assertion for nodes would say nothing there, whatever its condition is."""

    def look(_: object) -> None:
        always(True, "the test says so")

    report = simulate("echo", lambda: node_of(echo), nodes=1, time_limit=1, invariants=[look])
    assert report.valid is False
    assert "TypeError: always() is for the code of nodes; use assert in an invariant" in report.reasons()[0]


def test_messages_that_begin_alike_are_counted_apart() -> None:
    """Though a report shows only their beginnings, none takes the place of another."""
    long = "the same beginning, " * 20

    def handler(request: Request) -> Body:
        always(False, long + "broken")
        always(True, long + "kept")
        return echo(request)

    report = run(handler)
    assert report.valid is False
    first, second = report.results["assertions"]["always"].items()
    assert (second[0], first[1]["held"], second[1]["held"]) == (f"{first[0]} (2)", 0, second[1]["calls"])


def test_a_message_may_be_of_a_class_with_its_own_mind() -> None:
    """Only its text counts; what it overrides is not called when the run is judged."""

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise SystemExit

        __repr__ = __str__

    def handler(request: Request) -> Body:
        always(False, Text("this holds"))
        return echo(request)

    assert list(run(handler).results["assertions"]["always"]) == ["this holds"]


def node_of(handler: Callable[[Request], Body]) -> Node:
    """Return a node that serves echo with *handler*."""
    node = Node()
    node.on("echo")(handler)
    return node


def test_an_always_that_is_false_makes_the_run_invalid() -> None:
    """The reason names node, message, time and place; the node goes on."""
    served = {"count": 0}

    async def handler(request: Request) -> Body:
        await trio.lowlevel.checkpoint()
        served["count"] += 1
        always(served["count"] != 3, "not the third")
        always(served["count"] < 4, "fewer than four")
        always(request.body, "a body")
        return echo(request)

    report = run(handler)
    assert report.valid is False
    assert report.results["stats"]["ok-count"] == served["count"]
    first, second = report.reasons()
    assert re.fullmatch(
        r"n\d broke always\('not the third'\) at [\d.]+ s, in handler \(test_assertions\.py:\d+\)", first
    )
    more = served["count"] - 4
    assert second.endswith(f", and {more} more times in the run")
    told = report.results["assertions"]["always"]
    assert told["a body"]["held"] == told["a body"]["calls"] == served["count"]
    found = told["not the third"]["first-broken"]
    sent = {entry.id: entry.message for entry in report.journal if entry.message is not None}
    assert [sent[number].dest for number in found["messages"]] == [found["node"]]
    assert report.findings()[0].messages == tuple(found["messages"])


def test_the_node_that_called_is_known_everywhere() -> None:
    """In the function that makes it, in hooks, handlers, tasks and callbacks; a dead node says nothing more."""

    def build() -> Node:
        node = node_of(echo)
        reachable("build")
        node.on_init(lambda: reachable("hook"))
        node.every(0.5, lambda: reachable("period"))

        @node.background
        async def work() -> None:
            try:
                reachable("task")
                await trio.sleep_forever()
            finally:
                reachable("the end")

        return node

    report = simulate("echo", build, nodes=2, time_limit=1, faults=[Kill(nodes=["n1"], at=0.25, until=0.5)])
    told = report.results["assertions"]["reachable"]
    assert told["build"] == {"calls": 3, "held": 3, "by-node": {"n1": 2, "n2": 1}}
    assert told["hook"]["by-node"] == told["task"]["by-node"] == {"n1": 2, "n2": 1}
    assert set(told["period"]["by-node"]) == {"n1", "n2"}
    assert "the end" not in told


def test_an_always_that_fails_before_any_message_has_a_time() -> None:
    """The first node that is made has an empty journal."""

    def build() -> Node:
        always(False, "x")
        return node_of(echo)

    report = simulate("echo", build, nodes=1, time_limit=1)
    found = report.results["assertions"]["always"]["x"]["first-broken"]
    assert found["time"] == report.journal[0].t
    assert found["messages"] == []


def test_they_change_nothing_in_the_run() -> None:
    """The same messages at the same times."""

    def handler(request: Request) -> Body:
        always(True, "x")
        sometimes(False, "y")
        return echo(request)

    assert run(handler).digest == run(echo).digest


def test_wrong_arguments_are_told_in_a_simulation() -> None:
    """The handler fails, with the way to call it."""

    async def condition() -> bool:
        pytest.fail("it does not run")

    class Waits:
        def __await__(self) -> Any:
            pytest.fail("nobody waits")

    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: always("x", True), "the message of always() is True; give a text: always(condition, message)"),  # type: ignore[arg-type]
        (lambda: reachable(3), "the message of reachable() is 3; give a text: reachable(message)"),  # type: ignore[arg-type]
        (lambda: sometimes(condition(), "x"), "which is always true; await it"),
        (lambda: sometimes(Waits(), "x"), "which is always true; await it"),
    ]
    for call, text in wrong:

        def handler(request: Request, call: Callable[[], object] = call) -> Body:
            call()
            return echo(request)

        assert any(text in line for line in run(lambda request, handler=handler: handler(request)).logs["n1"])


def test_messages_with_figures_are_limited() -> None:
    """A campaign could not add them up; the warning says what to do."""

    def handler(request: Request) -> Body:
        for number in range(MOST_MESSAGES + 1):
            sometimes(number, f"number {number}")
        return echo(request)

    report = run(handler)
    assert len(report.results["assertions"]["sometimes"]) == MOST_MESSAGES
    served = report.results["stats"]["ok-count"]
    told = "assertions not counted: there are too many different messages; give each call one fixed text"
    assert report.warnings() == [f"{served} {told}"]


def test_the_summary_counts_assertions() -> None:
    """The first ones, in the order always, sometimes, reachable; the sentences on broken ones are limited as well."""

    def handler(request: Request) -> Body:
        reachable("r")
        for number in range(7):
            always(False, f"a{number}")
        sometimes(False, "s")
        return echo(request)

    report = run(handler, nodes=1, rate=1)
    lines = [line.strip() for line in f"{report}".split("\n")]
    served = report.results["stats"]["ok-count"]
    assert f"assertions  always('a0') was true in 0 of {served} calls" in lines
    assert f"sometimes('s') was true in 0 of {served} calls" in lines
    assert f"reachable('r') was true in {served} of {served} calls" in lines
    assert "2 more assertions did not always hold; see results.json" in lines
    assert len([line for line in lines if "was true in" in line]) == SHOWN_ASSERTIONS + 1


# Campaigns


def result(seed: int, **given: Any) -> SeedResult:
    """Return the result of a valid run."""
    return SeedResult(seed=seed, valid=True, **given)


def test_a_sometimes_that_no_seed_reached_is_a_warning() -> None:
    """One that some run reached is none, and neither is a run that never came there."""
    never, once = "sometimes('elected twice')", "sometimes('a vote was refused')"
    campaign = CampaignReport(
        results=(
            result(0, assertions={never: (3, 0), once: (1, 0)}, checks={"checks:one": 1000}),
            result(1, assertions={never: (1, 0), once: (2, 2), "always('x')": (5, 0)}, checks={"checks:one": 1}),
            result(2),
        ),
        planned=3,
    )
    assert campaign.warnings == [f"{never} was true in no run; nodes came there 4 times, in 2 runs"]
    assert campaign.counts == [
        "checks:one was checked 1,001 times in 3 runs",
        f"{never} was true in 0 of 3 runs, and in 0 of 4 calls",
        f"{once} was true in 1 of 3 runs, and in 2 of 3 calls",
        "always('x') was true in 0 of 3 runs, and in 0 of 5 calls",
    ]
    assert f"{campaign}".split("\n") == ["3 runs: 3 valid", *campaign.counts, *campaign.warnings]


def test_a_summary_shows_some_of_many_counts() -> None:
    """And says where the others are."""
    counts = {f"reachable('{number}')": (1, 1) for number in range(SHOWN_COUNTS + 2)}
    lines = f"{CampaignReport(results=(result(0, assertions=counts),), planned=1)}".split("\n")
    assert lines[-1] == "and 2 more; --json shows them all"
    assert len(lines) == SHOWN_COUNTS + 2


def test_counts_come_from_the_processes_of_a_campaign() -> None:
    """As the results of each seed say."""
    options = Options(workload="echo", nodes=["n1"], time_limit=1, invariants=["support.runs:nodes_live"])
    told = _make((0, pickle.dumps(_Job(run_as_told, options, ("0:asserts",), None))))  # without a process
    assert told.error is None
    assert told.checks["support.runs:nodes_live"] > 0
    assert told.assertions == {"sometimes('seen')": (told.assertions["sometimes('seen')"][0], 0)}
    campaign = CampaignReport(results=(told,), planned=1)
    assert campaign.warnings[0].startswith("sometimes('seen') was true in no run; nodes came there ")
