"""Simulations at their edges: nodes that die oddly, logs that overflow, and a Trio that cannot be seeded."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Iterator
from random import Random

import pytest
import trio
from support.kept_transport import node_and_transport

from trio_messenger import Body, Node, Request
from trio_messenger.nodes import echo
from trio_messenger.sim import WORKLOADS, Invocation, Kill, Options, SetUpError, SimulatedStore, simulate
from trio_messenger.sim._campaigns.simulation import run_simulation
from trio_messenger.sim._cluster.hosts import LOG_LINES, NodeLog
from trio_messenger.sim._runs.run import Run
from trio_messenger.sim._workloads.unique_ids import UniqueIds


def test_a_node_that_dies_is_a_defect() -> None:
    """What leaves `serve` ends the node; the problem names it, and its log has the traceback."""

    def build() -> Node:
        node = Node(strict=True)

        @node.on("echo")
        def fail(request: Request) -> Body:
            raise ZeroDivisionError("by nothing")

        return node

    report = simulate("echo", build, nodes=1, time_limit=5)
    assert report.valid is False
    assert "node 'n1' died: ZeroDivisionError: by nothing" in report.results["nodes"]["problems"]
    assert any("ZeroDivisionError: by nothing" in line for line in report.logs["n1"])


def test_a_node_that_exits_ends_alone() -> None:
    """`sys.exit` in a node is the end of that node, as it would be of its process, and of nothing else."""

    def build() -> Node:
        node = Node()
        node.on("echo")(lambda: sys.exit("disk full"))
        return node

    report = simulate("echo", build, nodes=2, time_limit=5)
    assert report.valid is False
    [first, second] = report.results["nodes"]["problems"]
    assert first.startswith("node 'n1' died: ")
    assert second.startswith("node 'n2' died: ")
    assert any("SystemExit: disk full" in line for line in report.logs["n1"])


class Odd(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Odd("\ud800")])
@pytest.mark.parametrize("is_async", [False, True])
def test_no_exception_of_a_node_ends_the_run(error: BaseException, is_async: bool) -> None:
    """Whatever a handler raises ends its node alone, as it would end its process; the text can be written."""

    def plain() -> Body:
        raise error

    async def waiting() -> Body:
        raise error

    def build() -> Node:
        node = Node()
        node.on("echo")(waiting if is_async else plain)
        return node

    report = simulate("echo", build, nodes=1, time_limit=2)
    [problem] = report.results["nodes"]["problems"]
    assert problem.startswith("node 'n1' died: ")
    assert problem.encode()
    assert report.digest


@pytest.mark.parametrize("error", [SystemExit(3), Odd()])
def test_no_exception_of_a_factory_ends_the_run(error: BaseException) -> None:
    """A factory that exits is one that makes no node."""

    def build() -> Node:
        raise error

    with pytest.raises(SetUpError, match=r"RuntimeError: the node factory raised .*(SystemExit: 3|Odd)"):
        simulate("echo", build, nodes=1, time_limit=2)


@pytest.mark.parametrize("in_node", [False, True])
def test_an_interrupted_simulation_is_interrupted(in_node: bool) -> None:
    """Ctrl-C comes out as what it is, wherever it finds the run; what was changed for the run is as before."""
    root, stdout = logging.getLogger().handlers[:], sys.stdout

    def interrupted() -> Body:
        raise KeyboardInterrupt

    def build() -> Node:
        node = Node()
        node.on("echo")(interrupted)
        return node

    def watch(run: Run) -> None:
        if not in_node and run.phase == "main":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_simulation(Options(workload="echo", time_limit=5), build, watch=watch)
    assert (logging.getLogger().handlers, sys.stdout) == (root, stdout)


def test_what_else_ends_a_simulation_comes_out_as_it_is() -> None:
    """A defect of who watches stays in the group that Trio makes of it."""

    def watch(run: Run) -> None:
        raise LookupError(run.phase)

    with pytest.raises(ExceptionGroup) as caught:
        run_simulation(Options(workload="echo", time_limit=5), echo.build, watch=watch)
    assert caught.group_contains(LookupError, match=r"^set-up$")


def test_half_a_line_that_a_node_printed_is_kept() -> None:
    """What a node prints is in its log, also where it never ends the line."""

    def build() -> Node:
        node = echo.build()
        node.on_init(lambda: print("I am", node.id, end=""))  # noqa: T201 - what is tested
        return node

    assert simulate("echo", build, nodes=2, time_limit=1).logs == {"n1": ["I am n1"], "n2": ["I am n2"]}


def test_each_life_of_a_node_has_chance_of_its_own() -> None:
    """What a node draws differs from what others draw, and from what it drew before it was killed."""
    drawn: list[float] = []

    def build() -> Node:
        node = echo.build()
        node.on_init(lambda: drawn.append(node.random.random()))
        return node

    faults = [Kill(nodes=["n1"], at=1, until=2), Kill(nodes=["n1"], at=3, until=4)]
    simulate("echo", build, nodes=2, time_limit=5, faults=faults)
    assert len(set(drawn)) == len(drawn) == 4


def test_a_dead_node_cannot_reach_its_transport() -> None:
    """Not even what holds on to the transport itself gets anything out after the kill."""

    def build() -> Node:
        node, transport = node_and_transport()

        @node.background
        async def linger() -> None:
            try:
                await trio.sleep_forever()
            finally:
                assert transport().send_now([b'{"src": "n1", "dest": "n1", "body": {"type": "ghost"}}']) == []

        return node

    report = simulate("echo", build, nodes=1, rate=0, time_limit=5, faults=[Kill(nodes=["n1"], at=2, until=4)])
    assert not any(b"ghost" in bytes(entry.raw) for entry in report.journal if entry.raw is not None)


def test_a_message_that_a_service_does_not_answer() -> None:
    """Services do not answer errors, so that nobody can play ping-pong with one."""

    def build() -> Node:
        node = echo.build()
        node.on_init(lambda: node.send_nowait("lin-kv", {"type": "error", "code": 1, "text": "what?"}))
        return node

    report = simulate("echo", build, nodes=1, time_limit=5)
    assert report.valid is True
    assert not any(b'"src":"lin-kv"' in bytes(entry.raw) for entry in report.journal if entry.raw is not None)


def test_a_workload_may_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has only so many operations does those, and no more."""

    class Three(UniqueIds):  # type: ignore[misc]  # final for users; here it saves a whole workload
        def invocations(self, random: Random) -> Iterator[Invocation]:
            return itertools.islice(super().invocations(random), 3)

    def build() -> Node:
        node = Node()
        numbers = itertools.count()
        node.on("generate")(lambda: {"id": f"{node.id}-{next(numbers)}"})
        return node

    monkeypatch.setitem(WORKLOADS, "three", Three)
    report = simulate("three", build, time_limit=20)
    assert [op.type for op in report.history] == ["invoke", "ok"] * 3
    assert report.valid == "unknown"  # too little was asked


def test_what_others_log_goes_where_it_went() -> None:
    """Handlers that were there get what is logged beside the nodes, as far as it is of their level."""

    class Keep(logging.Handler):
        def __init__(self, level: int) -> None:
            super().__init__(level)
            self.texts: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.texts.append(record.getMessage())

    low, high = Keep(logging.INFO), Keep(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(low)
    root.addHandler(high)
    try:
        options = Options(workload="echo", nodes=["n1"], time_limit=0)
        run_simulation(options, echo.build, watch=lambda run: logging.getLogger("mine").warning("in %s", run.phase))
    finally:
        root.removeHandler(low)
        root.removeHandler(high)
    assert "in main" in low.texts
    assert high.texts == []


def test_a_store_is_a_mapping() -> None:
    """What is deleted is gone, what is left is counted, and a detached store takes no more writes."""
    store = SimulatedStore()
    store["a"], store["b"] = [1], {"x": None}
    assert (len(store), list(store), store["a"]) == (2, ["a", "b"], [1])
    del store["a"]
    assert (len(store), "a" in store) == (1, False)
    store.detach()
    store["c"] = 1
    del store["b"]
    assert list(SimulatedStore(store)) == ["b"]


def test_the_log_of_a_node_that_talks_on_has_both_ends() -> None:
    """Of a flood the first lines and the last are kept, and how many are left out between."""
    log = NodeLog("n1")
    count = 3 * LOG_LINES
    for number in range(count):
        log.add(f"line {number}")
    lines = log.lines()
    [gap] = [line for line in lines if line.startswith("...")]
    assert lines[0] == "line 0"
    assert lines[-1] == f"line {count - 1}"
    assert gap == f"... {count - (len(lines) - 1)} lines left out ..."
    assert len(lines) <= 1.5 * LOG_LINES + 1


def test_a_log_line_acts_on_no_terminal() -> None:
    """Lines are those between newlines; whatever else would act on a display is shown as Python writes it."""
    log = NodeLog("n1")
    log.add("one\r\n\ttwo\n\x1b[2Jthree \x85\u2028\u202efour\n")
    log.add("\ud800\x0c")
    log.add("")
    assert log.lines() == ["one", "        two", r"\x1b[2Jthree \x85\u2028\u202efour", r"\ud800\x0c"]


@pytest.mark.parametrize("name", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING"])
def test_a_trio_that_cannot_be_seeded_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Trio has not the names that seed its scheduler, nothing is run that nobody could repeat."""
    monkeypatch.delattr(f"trio._core._run.{name}")
    with pytest.raises(RuntimeError, match=r"^trio .* has no _ALLOW_DETERMINISTIC_SCHEDULING and _r in trio\._core"):
        simulate("echo", echo.build)
