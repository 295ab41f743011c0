"""Reports: what a person is told of a run, and of one that fails above all."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest

from trio_messenger import Body, Node, Request
from trio_messenger.nodes import broadcast, echo, g_counter
from trio_messenger.sim import WORKLOADS, Fault, Invocation, Kill, Loss, Partition, Pause, Report, simulate
from trio_messenger.sim._campaigns.simulation import run_simulation
from trio_messenger.sim._judging.report import figure
from trio_messenger.sim._runs.options import Options


def deaf(store: dict[str, object] | None = None) -> Node:
    """Return a broadcast node that tells its peers once, and never again if they did not hear."""
    node = Node()
    seen: dict[int, None] = {}

    @node.on("topology")
    def topology() -> Body:
        return {}

    @node.on("broadcast")
    def broadcast(request: Request) -> Body:
        seen[request.body["message"]] = None
        for peer in node.peers:
            node.send_nowait(peer, {"type": "told", "message": request.body["message"]})
        return {}

    @node.on("told")
    def told(request: Request) -> None:
        seen[request.body["message"]] = None

    @node.on("read")
    def read() -> Body:
        return {"messages": list(seen)}

    return node


CUT = Partition.between(["n1"], ["n2", "n3"], at=2, until=12)
HARMLESS: list[Fault] = [Loss(rate=0.0, at=1, until=3), Kill(nodes=["n3"], at=0, until=0.5), Loss(rate=0.0, at=13)]


@pytest.fixture(scope="module")
def failed() -> Report:
    """The report of a run that fails because of one of its faults."""
    faults = [HARMLESS[0], CUT, HARMLESS[2]]
    options = Options(workload="broadcast", nodes=["n1", "n2", "n3"], seed=1, time_limit=15, faults=faults)
    return run_simulation(options, deaf, node=("--node", "deaf:deaf"))


def test_a_valid_run_passes() -> None:
    """`assert_valid` does nothing, and there is nothing to give as a reason."""
    report = simulate("echo", echo.build, time_limit=5)
    report.assert_valid()
    assert (report.valid, report.reasons(), report.warnings()) == (True, [], [])
    assert str(report).startswith("echo, 5 nodes, seed 0: valid\n")


def test_a_failed_run_says_why(failed: Report) -> None:
    """The reasons say who lacks what, since when, and why; and the summary has the reasons."""
    assert failed.valid is False
    reasons = failed.reasons()
    assert re.match(r"n2 and n3 lack \d+ of the \d+ values at the end: ", reasons[0])
    assert re.search(r"acknowledged by n1 at [\d.]+ s, missing from n2's last read; .* by fault 1 \(part", reasons[1])
    assert "INVALID" in str(failed)
    assert all(reason in str(failed) for reason in reasons)


@pytest.mark.slow
def test_a_failed_run_shows_the_smallest_schedule(failed: Report) -> None:
    """`assert_valid` fails with verdict, seed, command, and of three faults the one that matters."""
    with pytest.raises(AssertionError) as caught:
        failed.assert_valid()
    text = str(caught.value)
    assert "broadcast, 3 nodes, seed 1: INVALID" in text
    assert "it still fails with 1 of the 3 faults:" in text
    assert "partition" in text.partition("it still fails")[2]
    again = failed.command
    assert again is not None
    assert f"run it again with: {again}" in text


def test_a_failure_that_does_not_come_again_is_a_failure() -> None:
    """Where the same run then passes, `assert_valid` still fails, and says that the seed does not decide."""
    lives = itertools.count()

    def build() -> Node:
        node, is_first = Node(), next(lives) == 0
        node.on("echo")(lambda request: {"echo": None if is_first else request.body["echo"]})
        return node

    report = simulate("echo", build, nodes=1, time_limit=5, faults=[Loss(rate=0.5)])
    with pytest.raises(AssertionError, match=r"^echo, 1 node, seed 0: INVALID\n") as caught:
        report.assert_valid()
    assert str(caught.value).endswith(
        "\nit did not fail when run again: the run depends on more than the seed; --check-determinism may show on what"
    )


@pytest.mark.slow
def test_what_nobody_knows_is_not_valid() -> None:
    """`assert_valid` fails where too little was seen to tell."""
    report = simulate("broadcast", broadcast.build, rate=0, time_limit=5)
    with pytest.raises(AssertionError, match="unknown"):
        report.assert_valid()
    assert report.reasons()[0] == "too little was seen to judge: clients added nothing"


def test_figures_are_written_out() -> None:
    """More than a thousand milliseconds are no 2.47e+03, which is hard to read."""
    assert [figure(value) for value in (0, 0.4567, 99.96, 999.6, 2471.3, 123456)] == [
        "0",
        "0.457",
        "100",
        "1000",
        "2470",
        "123000",
    ]
    report = simulate("echo", echo.build, nodes=1, time_limit=10, faults=[Pause(nodes=["n1"], at=1, until=4)])
    assert "e+" not in str(report)
    assert re.search(r" p100 2\d{3} ms$", str(report), re.M)


def test_a_run_in_which_nothing_was_asked_is_told() -> None:
    """Nobody knows whether it is right: it is unknown, though no checker found anything."""
    report = simulate("echo", echo.build, rate=0, time_limit=5)
    assert report.valid == "unknown"
    [reason] = report.reasons()
    assert reason.startswith("clients asked nothing: ")
    assert f"  because     {reason}" in str(report)
    assert report.warnings() == []


def test_final_reads_alone_are_no_operations() -> None:
    """Counters that nothing was added to are all 0, which says nothing about them."""
    report = simulate("g-counter", g_counter.build, rate=0, time_limit=1)
    assert report.results["workload"]["valid?"] is True
    assert report.results["stats"]["count"] == 5
    assert report.valid == "unknown"
    assert report.reasons()[0].startswith("clients asked nothing: ")


def test_a_workload_that_runs_out_of_operations_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked was answered, but from then on nothing was asked: unknown, and the reason says when."""

    finite: list[Invocation] = [("echo", number) for number in range(10)]
    monkeypatch.setattr(WORKLOADS["echo"], "invocations", lambda *_: iter(finite))
    report = simulate("echo", echo.build, time_limit=20)
    assert report.valid == "unknown"
    assert report.results["clients"]["asked"] == 10
    [reason] = report.reasons()
    assert re.match(r"^the workload ran out of operations \d\.\d+ s into the main phase, after 10; nothing was", reason)


@pytest.mark.slow
def test_faults_that_touch_nothing_are_told() -> None:
    """A schedule without any effect is a warning, and so is a single fault without one."""
    inert = simulate("broadcast", broadcast.build, nodes=3, time_limit=5, faults=[HARMLESS[0]])
    assert inert.warnings() == [
        "no fault in the schedule took effect: this run tested no more than a run without faults"
    ]
    assert inert.valid is True
    both = simulate("broadcast", broadcast.build, nodes=3, time_limit=15, faults=[HARMLESS[0], CUT])
    assert both.warnings() == ["fault 0 (loss between all nodes rate=0) took no effect"]
    assert "1 of 2 took effect" in str(both)


def test_a_nemesis_that_did_nothing_is_told() -> None:
    """Where chance made no fault at all, the run is no better than one without; its command still has the nemesis."""
    report = simulate("broadcast", broadcast.build, nodes=1, nemesis=["partition"], time_limit=5)
    assert report.options.faults == ()
    [warning] = report.warnings()
    assert warning == "the nemesis (partition) made no fault with this seed: use another seed, or a longer time limit"
    assert "--nemesis partition" in (report.command or "")
    without = simulate("broadcast", broadcast.build, nodes=1, time_limit=5)
    assert without.warnings() == []
    assert "nemesis" not in (without.command or "")


def test_availability_is_a_reason() -> None:
    """Too few operations that are ok make a run invalid, if it was asked for."""
    faults = [Kill(nodes=["n1"], at=0)]
    report = simulate("unique-ids", echo_ids, nodes=2, time_limit=10, faults=faults, availability="total")
    assert report.valid is False
    [reason] = report.reasons()
    assert reason.startswith("availability is 0.")
    assert simulate("unique-ids", echo_ids, nodes=2, time_limit=10, faults=faults, availability=0.1).valid is True


def echo_ids() -> Node:
    """Return a node that makes ids."""
    node = Node()

    @node.on("generate")
    def generate() -> Body:
        return {"id": f"{node.id}-{node.random.getrandbits(64)}"}

    return node


@pytest.mark.slow
def test_the_command_says_what_is_not_usual() -> None:
    """Options that have their defaults are left out, all others are there."""
    usual = simulate("broadcast", broadcast.build, time_limit=0)
    assert usual.command == "trio-messenger test -w broadcast --node broadcast --seed 0 --time-limit 0"
    other = simulate(
        "broadcast",
        broadcast.build,
        nodes=2,
        seed=3,
        concurrency=4,
        rate=0.5,
        time_limit=1.5,
        latency=10,
        latency_dist="uniform",
        loss=0.25,
        duplicate=0.5,
        topology="line",
        availability="total",
        nemesis=["partition", "loss"],
        nemesis_interval=2,
    )
    assert other.command is not None
    assert shlex.split(other.command) == [
        *("trio-messenger", "test", "-w", "broadcast", "--node", "broadcast", "--seed", "3", "--nodes", "n1,n2"),
        *("--concurrency", "4", "--rate", "0.5", "--time-limit", "1.5", "--loss", "0.25", "--duplicate", "0.5"),
        *("--topology", "line", "--availability", "total", "--latency", "10", "--latency-dist", "uniform"),
        *("--nemesis", "partition,loss", "--nemesis-interval", "2"),
    ]
    counted = simulate("broadcast", broadcast.build, nodes=["n0", "n1"], time_limit=0, faults=[])
    assert "--node-count 2 --time-limit 0" in (counted.command or "")
    versions = simulate("broadcast", broadcast.build, nodes=["a1.0", "b1.0"], time_limit=0, faults=[])
    assert "--nodes a1.0,b1.0 --time-limit 0" in (versions.command or "")
    named = simulate("broadcast", broadcast.build, nodes=["a", "b"], time_limit=0, faults=[])
    assert named.command == "trio-messenger test -w broadcast --node broadcast --seed 0 --nodes a,b --time-limit 0"


def test_the_command_has_a_schedule_of_ones_own(failed: Report) -> None:
    """Faults that no nemesis has made are given as JSON."""
    assert failed.command is not None
    words = shlex.split(failed.command)
    assert '{"kind": "partition", "at": 2, "until": 12, "links": [["n1", "n2"]' in words[words.index("--faults") + 1]
