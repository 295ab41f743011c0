"""Nodes that go wrong in a simulation: defects, logs, and nodes that end or do not come up."""

from __future__ import annotations

import logging

import pytest
import trio

from trio_messenger import Body, ErrorCode, Node, Request, RpcError
from trio_messenger.nodes import echo
from trio_messenger.sim import SetUpError, simulate


def test_a_message_to_nobody_is_a_defect() -> None:
    """A node that sends to an id that does not exist makes the run invalid; the message is shown."""

    def build() -> Node:
        node = echo.build()

        @node.on_init
        def err() -> None:
            node.send_nowait("n9", {"type": "hello"})

        return node

    report = simulate("echo", build, nodes=1, time_limit=5)
    assert report.valid is False
    [problem] = report.results["nodes"]["problems"]
    assert problem.startswith("a message to a node that does not exist: ")
    assert '"dest": "n9"' in problem


def test_a_failing_handler_is_a_defect() -> None:
    """An exception of a handler makes the run invalid, and is told; its traceback is in that node's log only."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def divide(request: Request) -> Body:
            assert 1 // (node.id != "n2") == 1
            return {"echo": request.body["echo"]}

        return node

    report = simulate("echo", build, nodes=2, time_limit=5)
    assert report.valid is False
    [problem] = report.results["nodes"]["problems"]
    count = report.results["stats"]["info-count"]
    assert problem == (
        f"node 'n2': {count} of its handlers, callbacks or background tasks raised an exception, such as"
        " ZeroDivisionError: integer division or modulo by zero; see node-logs/n2.log for the tracebacks"
    )
    assert any("ZeroDivisionError" in line for line in report.logs["n2"])
    assert report.logs["n1"] == []


def test_the_exception_that_is_told_is_one_of_the_librarys() -> None:
    """What a node has caught and logged itself is none; and there is none to tell where the library may not log."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def fail() -> Body:
            try:
                raise KeyError("mine")
            except KeyError:
                logging.getLogger("mine").exception("no harm done")
            raise ValueError("long " * 100)

        return node

    def problem() -> str:
        [text] = simulate("echo", build, nodes=1, time_limit=0.1).results["nodes"]["problems"]
        return str(text)

    assert ", such as ValueError: long long " in problem()
    assert "...; see node-logs/n1.log" in problem()
    assert len(problem()) < 320
    library = logging.getLogger("trio_messenger")
    library.setLevel(logging.CRITICAL + 1)
    try:
        assert "raised an exception; see node-logs" in problem()
    finally:
        library.setLevel(logging.NOTSET)


def test_what_nodes_log_and_print_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Log records and prints of a node go into its log, and not to the console; records have the virtual time.

    That counts from the beginning of the main phase, and before that, as the line says, from the beginning of the run.
    """

    def build() -> Node:
        node = Node()

        @node.on_init
        def speak() -> None:
            print("hello from", node.id)  # noqa: T201 - what is tested
            logging.getLogger("mine").warning("I am %s", node.id)

        @node.on("echo")
        def hear(request: Request) -> Body:
            logging.getLogger("mine").warning("I hear")
            return {"echo": request.body["echo"]}

        return node

    print("before")  # noqa: T201
    report = simulate("echo", build, nodes=2, time_limit=1)
    begun = {entry.node: entry.t for entry in report.journal if entry.event == "ready"}
    start = min(entry.t for entry in report.journal)
    for node_id in ("n1", "n2"):
        asked = [entry.t for entry in report.journal if b'"echo"' in bytes(entry.raw or b"")]
        first, second, *heard = report.logs[node_id]
        assert first == f"hello from {node_id}"
        assert second == f"set-up {(begun[node_id] - start) / 1e9:.6f} WARNING: I am {node_id}"
        assert heard
        assert set(heard) <= {f"{time / 1e9:.6f} WARNING: I hear" for time in asked}
    assert capsys.readouterr().out == "before\n"


def test_what_others_log_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What nodes log is not in the log of the test, where nothing would say which node it was; what others log is."""

    def build() -> Node:
        node = echo.build()
        node.on_init(lambda: logging.getLogger("mine").warning("of the node"))
        return node

    logging.getLogger("mine").warning("before")
    simulate("echo", build, nodes=1, time_limit=1)
    logging.getLogger("mine").warning("after")
    assert [record.getMessage() for record in caplog.records] == ["before", "after"]


def test_a_node_that_ends_is_a_defect() -> None:
    """A node that closes in the middle makes the run invalid; what is sent to it is dropped."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        def leave(request: Request) -> Body:
            node.shutdown()
            return {"echo": request.body["echo"]}

        return node

    report = simulate("echo", build, nodes=1, time_limit=20)
    assert report.valid is False
    assert report.results["nodes"]["problems"] == ["node 'n1' ended by itself, although its input had not ended"]
    assert {entry.reason for entry in report.journal if entry.event == "drop"} == {"down"}


def test_a_node_that_cannot_be_made_is_told() -> None:
    """What the factory raises is in the error, which names the node; so is a factory that makes something else."""

    def broken() -> Node:
        raise RuntimeError("no disk")

    with pytest.raises(SetUpError, match=r"^node 'n1' could not be started: RuntimeError: no disk\n"):
        simulate("echo", broken)
    with pytest.raises(SetUpError, match=r"^node 'n1' could not be started: TypeError: the node factory returned 7"):
        simulate("echo", lambda: 7)  # type: ignore[arg-type, return-value]


def test_a_node_that_refuses_init_is_told() -> None:
    """The error names the node, says how it answered, and shows what it said last."""

    def build() -> Node:
        node = Node()

        @node.on_init
        def refuse() -> None:
            print("I am not well")  # noqa: T201
            raise RpcError(ErrorCode.ABORT, "not today")

        return node

    with pytest.raises(
        SetUpError, match=r"^node 'n1' did not answer 'init': abort \(14\): not today\n(.|\n)*\n  I am not well\n"
    ):
        simulate("echo", build)


def test_a_node_that_never_answers_init_is_told() -> None:
    """After ten seconds of virtual time the run is given up."""

    def build() -> Node:
        node = Node()
        node.on_init(trio.sleep_forever)
        return node

    with pytest.raises(SetUpError, match="node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 10 s"):
        simulate("echo", build)


def test_a_node_that_does_not_know_the_topology_is_told() -> None:
    """The request that begins a workload has to be acknowledged."""
    with pytest.raises(SetUpError, match=r"^node 'n1' did not answer 'topology': not-supported \(10\)"):
        simulate("broadcast", echo.build)
