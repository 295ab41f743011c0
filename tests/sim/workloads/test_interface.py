"""What a workload can do besides one request and its reply, and what happens if its code is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.number_echoes import EchoOk, Numbers, wrong

from trio_messenger import Body, Node, RpcError
from trio_messenger.nodes import echo
from trio_messenger.sim import (
    WORKLOADS,
    ClientCrash,
    GeneratorContext,
    History,
    Invocation,
    Op,
    Options,
    Results,
    Scene,
    Setting,
    Workload,
    WorkloadClient,
    WorkloadError,
    simulate,
)


def ends(history: History) -> list[Op]:
    return [op for op in history if op.type != "invoke"]


def refusing(code: int) -> Node:
    """Return a node that answers each echo with an error."""
    node = Node()

    @node.on("echo")
    def refuse() -> Body:
        raise RpcError(code, "refused")

    return node


# What it can do


def test_a_client_has_a_state_until_it_crashes() -> None:
    """Each client has its own; the client after a crash begins anew, under another process."""

    class Counting(Numbers):
        reuses_clients = True  # after a crash there is a new client nonetheless

        def client_state(self) -> list[int]:
            return []

        async def invoke(self, client: WorkloadClient, f: str, value: Any) -> Any:
            if len(client.state) == 2:
                raise ClientCrash("enough")
            client.state.append(await super().invoke(client, f, value))
            return [client.id, client.worker, client.process, client.node, len(client.state)]

    report = simulate(Counting, echo.build, nodes=2, time_limit=5)
    found = ends(report.history)
    of_first = [op for op in found if op.process % 2 == 0][:6]
    assert [op.type for op in of_first] == ["ok", "ok", "info"] * 2
    assert [op.process for op in of_first] == [0, 0, 0, 2, 2, 2]
    assert [op.value[1:] for op in of_first if op.type == "ok"] == [
        *([0, 0, "n1", 1], [0, 0, "n1", 2]),
        *([0, 2, "n1", 1], [0, 2, "n1", 2]),
    ]
    assert len({op.value[0] for op in of_first if op.type == "ok"}) == 2
    assert of_first[2].error == "enough"


def test_an_error_may_be_an_observation_and_its_code_is_in_the_history() -> None:
    class Observing(Numbers):
        async def invoke(self, client: WorkloadClient, f: str, value: Any) -> Any:
            try:
                return await super().invoke(client, f, value)
            except RpcError as exc:
                if exc.code != 20:
                    raise
                return "absent"

    seen = ends(simulate(Observing, lambda: refusing(20), nodes=1, time_limit=1).history)
    assert {(op.type, op.value, op.code) for op in seen} == {("ok", "absent", None)}
    seen = ends(simulate(Observing, lambda: refusing(22), nodes=1, time_limit=1).history)
    assert {(op.type, op.code) for op in seen} == {("fail", 22)}


def test_a_timeout_has_no_code_and_lasts_as_long_as_the_workload_says() -> None:
    class Impatient(Numbers):
        def client_timeout(self) -> float:
            return 0.25

    def silent() -> Node:
        node = Node()
        node.on("echo")(lambda: None)
        return node

    history = simulate(Impatient, silent, nodes=1, time_limit=1).history
    first = next(iter(history.operations()))
    assert first.completion is not None
    assert first.completion.time - first.invocation.time == 250_000_000
    assert (first.completion.type, first.completion.code) == ("info", None)


def test_a_generator_knows_the_worker_and_reacts_to_what_happened() -> None:
    class Reacting(Numbers):
        latest = -1

        def next_invocation(self, context: GeneratorContext, random: Random) -> Invocation | None:  # noqa: ARG002
            return "echo", [context.worker, context.process, context.node, self.latest]

        def update(self, op: Op) -> None:
            self.latest = op.index

    history = simulate(Reacting, echo.build, nodes=2, concurrency=4, time_limit=5).history
    for op in history:
        worker, process, node, latest = op.value
        assert (process, node) == (op.process, op.node) == (worker, f"n{worker % 2 + 1}")
        assert latest == op.index - (1 if op.type == "invoke" else 2)


def test_final_operations_go_on_until_done_or_until_the_limit() -> None:
    class Finishing(Numbers):
        final_pause = 0.5
        final_limit = 2.0

        def final_invocations(self, context: GeneratorContext) -> Iterator[Invocation]:
            return (("echo", -number) for number in range(1, 3 if context.worker == 0 else 100))

    report = simulate(Finishing, echo.build, nodes=2, time_limit=1)
    finals = [op for op in report.history if op.final and op.type == "invoke"]
    assert [op.value for op in finals if op.process == 0] == [-1, -2]
    times = [op.time for op in finals if op.process == 1]
    assert [(time - times[0]) / 1e9 for time in times] == [0, 0.5, 1, 1.5, 2]


def test_a_workload_knows_the_setting_and_refuses_one_that_does_not_fit() -> None:
    class Paired(Numbers):
        clients_per_node = 2

        def check_setting(self) -> None:
            if self.setting.concurrency % 2:
                raise ValueError(f"concurrency is {self.setting.concurrency}; give {self.setting.concurrency + 1}")

    report = simulate(Paired, echo.build, nodes=3, latency=7, time_limit=1)
    assert report.options.concurrency == 6
    assert report.options.make_workload().setting == Setting(nodes=("n1", "n2", "n3"), concurrency=6, latency=7)
    with pytest.raises(ValueError, match=r"^concurrency is 3; give 4$"):
        simulate(Paired, echo.build, concurrency=3)


# What is missing


def test_a_definition_says_what_it_lacks() -> None:
    with pytest.raises(TypeError) as caught:
        type("Empty", (Workload,), {})
    assert str(caught.value) == (
        "the workload Empty is incomplete: it lacks name, summary, replies, request(), completed(), check(),"
        " invocations() or next_invocation()"
    )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"name": 5}, "name is 5; give a text"),
        ({"name": "a/b"}, "name is 'a/b'; give a word such as 'greatest', which can name a folder"),
        ({"replies": [1]}, "replies is [1]; give a dict with a subclass of Reply for each function"),
        ({"replies": {"echo": int}}, "replies['echo'] is <class 'int'>; give a subclass of Reply"),
        ({"invoke": lambda *_: None}, "invoke() is not async"),
    ],
)
def test_a_definition_says_what_is_wrong(part: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        type("Wrong", (Numbers,), part)
    assert str(caught.value) == f"the workload Wrong is incomplete: {message}"


def test_only_invoke_is_async() -> None:
    async def check(*_: object) -> Results:
        return {}

    with pytest.raises(TypeError) as caught:
        wrong(check=check)
    assert str(caught.value) == "the workload Wrong is incomplete: check() is async; only invoke() may be"


def test_an_abstract_class_may_lack_parts_and_cannot_be_run() -> None:
    class Part(Workload, abstract=True):
        pass

    with pytest.raises(ValueError, match=r"is abstract; give one of its subclasses$"):
        simulate(Part, echo.build)


def test_parts_that_a_workload_does_without_are_not_implemented() -> None:
    workload = Numbers()
    with pytest.raises(NotImplementedError):
        Workload.invocations(workload, Random(1))
    with pytest.raises(NotImplementedError):
        Workload.request(workload, "f", None)
    with pytest.raises(NotImplementedError):
        Workload.completed(workload, "f", None, None)


# What its code does wrong


def broken(*_: Any) -> Any:
    raise KeyError("n1")


@pytest.mark.parametrize(
    "method",
    [
        *("__init__", "check_setting", "setup", "client_state", "client_timeout", "invocations", "next_invocation"),
        *("request", "parse", "completed", "outcome", "update", "final_invocations", "final_invocation", "check"),
    ],
)
def test_a_method_that_raises_is_named_in_one_line(method: str) -> None:
    build = (lambda: refusing(11)) if method == "outcome" else echo.build
    with pytest.raises(WorkloadError) as caught:
        simulate(wrong(**{method: broken}), build, nodes=2, time_limit=2)
    place = Path(__file__).name
    line = broken.__code__.co_firstlineno + 1
    assert str(caught.value) == f"the workload 'wrong' failed in {method}(): KeyError: 'n1' ({place}, line {line})"
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_explanation_that_raises_is_named() -> None:
    report = simulate(wrong(explain=broken, check=lambda *_: {"valid?": False}), echo.build, nodes=1, time_limit=1)
    with pytest.raises(WorkloadError, match=r"^the workload 'wrong' failed in explain\(\): KeyError: 'n1' "):
        report.reasons()


def test_the_final_operations_and_the_audit_are_watched_as_well() -> None:
    def fails_late(self: Workload, op: Op) -> None:
        if op.audit or (op.final and not self.idempotent):
            broken()

    for idempotent in (frozenset(), frozenset({"echo"})):
        last = {"final_invocation": lambda _: ("echo", -1), "idempotent": idempotent}
        with pytest.raises(WorkloadError, match=r"failed in update\(\)"):
            simulate(wrong(**last, update=fails_late), echo.build, nodes=2, time_limit=1)

    def stops(_: Workload, context: GeneratorContext) -> Iterator[Invocation]:
        yield "echo", -1
        if context.worker:
            broken()

    with pytest.raises(WorkloadError, match=r"failed in final_invocations\(\)"):
        simulate(wrong(final_invocations=stops), echo.build, nodes=2, time_limit=1)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"invocations": lambda *_: iter([5])}, "invocations() gave 5; give pairs such as ('read', None)"),
        (
            {"final_invocations": lambda *_: iter(["read"])},
            "final_invocations() gave 'read'; give pairs such as ('read', None)",
        ),
        ({"check": lambda *_: None}, "check() returned None; return a dict with 'valid?'"),
        ({"check": lambda *_: {}}, "the result of check() has no 'valid?'; give True, False or 'unknown'"),
        (
            {"check": lambda *_: {"valid?": 1}},
            "the result of check() has 1 as 'valid?'; give True, False or 'unknown'",
        ),
        (
            {"check": lambda *_: {"valid?": True, "seen": {1}}},
            "the result of check() is not JSON: Object of type set is not JSON serializable",
        ),
        (
            {"invocations": lambda *_: iter([("echo", {1})])},
            "the value of 'echo' is {1}, which is not JSON: Object of type set is not JSON serializable",
        ),
    ],
)
def test_a_wrong_value_is_named(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        simulate(wrong(**parts), echo.build, nodes=1, time_limit=1)
    assert str(caught.value) == f"the workload 'wrong': {message}"


def test_a_reply_without_a_schema_is_named() -> None:
    with pytest.raises(WorkloadError) as caught:
        simulate(wrong(replies={"other": EchoOk}), echo.build, nodes=1, time_limit=1)
    assert str(caught.value).startswith(
        "the workload 'wrong' failed in invoke(): LookupError: `replies` has no schema for the reply to 'echo'; it has"
        " ['other']"
    )


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError


class Ending(BaseException):
    def __str__(self) -> str:
        raise SystemExit(0)


def test_every_exception_is_named_except_interrupts() -> None:
    def fail(error: BaseException) -> Any:
        def check(*_: Any) -> Results:
            raise error

        return check

    inner = ExceptionGroup("g", [KeyError("n1"), ExceptionGroup("h", [OSError("gone"), Unreadable()]), OSError()])
    for error, told in (
        (Unreadable(), "Unreadable: an exception without a readable text"),
        (Ending(), "Ending: an exception without a readable text"),
        (KeyError(), "KeyError"),
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("x\x1b[2J"), r"BaseException: x\x1b[2J"),
        (inner, "ExceptionGroup of KeyError: 'n1'; OSError: gone; Unreadable: an exception without a readable text;"),
    ):
        with pytest.raises(WorkloadError) as caught:
            simulate(wrong(check=fail(error)), echo.build, nodes=1, time_limit=1)
        line = fail.__code__.co_firstlineno + 2
        assert str(caught.value).startswith(f"the workload 'wrong' failed in check(): {told}")
        assert str(caught.value).endswith(f" ({Path(__file__).name}, line {line})")


# Its name


MODULE = """
from typing import ClassVar
from trio_messenger.sim import Reply, Workload

class Mine(Workload):
    name = "mine"
    summary = "nothing"
    replies: ClassVar = {}
    def invocations(self, random):
        while True:
            yield "echo", 1
    async def invoke(self, client, f, value):
        return value
    def check(self, history):
        return {"valid?": len(history) > 0}

class Part(Workload, abstract=True):
    pass
"""


@pytest.fixture
def my_workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "my_workloads.py").write_text(MODULE)
    (tmp_path / "broken_workloads.py").write_text("1 / 0")
    (tmp_path / "needy_workloads.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_workloads", None)


def test_a_name_of_a_module_and_a_class_is_imported(my_workloads: Path) -> None:
    report = simulate("my_workloads:Mine", echo.build, nodes=1, time_limit=1)
    assert report.valid is True
    assert (report.options.workload, report.options.workload_name) == ("my_workloads:Mine", "mine")
    assert str(report).startswith("mine, 1 node, seed 0: valid")


def test_a_class_of_the_package_keeps_its_name() -> None:
    assert Options(workload=WORKLOADS["g-set"]).workload == "g-set"


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("broadcats", "there is no workload 'broadcats'; did you mean 'broadcast'? There are: "),
        ("x", "there is no workload 'x'; there are: "),
        ("my_workloads:Other", "'my_workloads:Other': module 'my_workloads' has no workload 'Other'; it has "),
        ("my_workloads:Part", "the workload 'my_workloads:Part' is abstract; give one of its subclasses"),
        ("my_workloads.py:Mine", "'my_workloads.py:Mine' names no module; write MODULE:CLASS, such as "),
        (":Mine", "':Mine' names no module; write MODULE:CLASS, such as "),
        ("no_such_module:Mine", "'no_such_module:Mine': there is no module 'no_such_module' in this folder or among "),
        ("broken_workloads:Mine", "'broken_workloads:Mine': its module raised ZeroDivisionError: division by zero"),
        ("needy_workloads:Mine", "'needy_workloads:Mine': its module imports 'no_such_library', which is missing"),
        ("trio:Mine", "'trio:Mine': module 'trio' has no workload 'Mine'"),
        ("__main__:Mine", "the workload '__main__:Mine' belongs to a program; run that program again"),
        (5, "workload is 5; give a name such as 'echo', or a subclass of Workload"),
        (int, "workload is <class 'int'>; give a name such as 'echo', or a subclass of Workload"),
    ],
)
@pytest.mark.usefixtures("my_workloads")
def test_a_name_that_names_none_is_refused(workload: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        simulate(workload, echo.build)
    assert str(caught.value).startswith(message)


def test_a_workload_in_a_function_has_no_command() -> None:
    class Local(Numbers):
        name = "local"

    report = simulate(Local, echo.build, nodes=1, time_limit=1)
    assert report.command is None
    assert isinstance(Scene(report.history, report.journal), Scene)
