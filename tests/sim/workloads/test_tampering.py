"""Code of a workload that changes the history, or leaves cancel scopes open, is named, and the run has no verdict."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

import pytest
import trio
from support.number_echoes import Numbers, wrong

from trio_messenger.nodes import echo
from trio_messenger.sim import (
    Finding,
    GeneratorContext,
    History,
    Invocation,
    Op,
    Options,
    Report,
    Results,
    Scene,
    Workload,
    WorkloadClient,
    WorkloadError,
    simulate,
)
from trio_messenger.sim._judging.history_report import HistoryReport
from trio_messenger.sim._records.history import OpType
from trio_messenger.sim._records.history_reader import read_history
from trio_messenger.sim._workloads.seal import HistorySeal, blaming_reader

run: Callable[..., Report] = partial(simulate, build=echo.build, nodes=1, time_limit=1)

OPEN = "left a cancel scope or a nursery open; enter it using 'with', and do not yield inside it in a generator"


def refused(parts: dict[str, Any], then: Callable[[Report], object] = Report.reasons) -> str:
    """Return the error of a run of the workload with *parts*, without the name of the workload."""
    with pytest.raises(WorkloadError) as caught:
        then(run(wrong(**parts)))
    text = str(caught.value)
    assert text.startswith("the workload 'wrong': ")
    return text.removeprefix("the workload 'wrong': ")


# The history


def lists(*_: object) -> Iterator[Invocation]:
    while True:
        yield "echo", [1]


def one_list(*_: object) -> Iterator[Invocation]:
    value: list[int] = []
    while True:
        value.append(1)
        yield "echo", value


async def adds_to_its_argument(_: Workload, client: WorkloadClient, f: str, value: list[int]) -> Any:
    await client.rpc({"type": f, "echo": value})
    value.append(2)
    return value


class Remembering(Numbers):
    """Changes an earlier entry when it sees a later one."""

    name = "wrong"
    first: Op | None = None

    def invocations(self, random: object) -> Iterator[Invocation]:
        return lists(random)

    def update(self, op: Op) -> None:
        self.first = self.first or op
        if op.index == 3:
            self.first.value[:] = "ab"


def replaces_the_type(_: Workload, op: Op) -> None:
    object.__setattr__(op, "type", "done")


def makes_it_unreadable(_: Workload, op: Op) -> None:
    object.__setattr__(op, "value", print)


@pytest.mark.parametrize(
    ("parts", "difference"),
    [
        ({"invocations": one_list}, "its value was [1], and is [1, 1, 1, 1, 1, 1, 1]"),
        ({"invocations": lists, "invoke": adds_to_its_argument}, "its value was [1], and is [1, 2]"),
        (vars(Remembering), "its value was [1], and is ['a', 'b']"),
        ({"update": replaces_the_type}, "its type was 'invoke', and is 'done'"),
        ({"update": makes_it_unreadable}, "its value was 0, and is <built-in function print>"),
    ],
)
def test_an_entry_stays_as_it_was_recorded(parts: dict[str, Any], difference: str) -> None:
    assert refused(parts) == (
        f"invoke(), update() or a generator changed entry 0 of the history: {difference}; change a copy of a value"
    )


def appends(history: History) -> None:
    history.append(history[0])


def reverses(history: History) -> None:
    history._ops.reverse()


def sorts_a_value(history: History) -> None:
    history[1].value.append(0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (appends, "changed the history: it has 3 entries, not 2; change a copy"),
        (reverses, "put another entry at index 0 of the history; change a copy"),
        (sorts_a_value, "changed entry 1 of the history: its value was [1], and is [1, 0]; change a copy of a value"),
    ],
)
def test_every_change_of_the_history_is_told(change: Callable[[History], None], told: str) -> None:
    history = History(
        Op(index=index, time=0, type=kind, process=0, f="echo", value=[1])
        for index, kind in enumerate(get_args(OpType)[:2])
    )
    text = f"the workload 'numbers': explain() {told}"
    with (
        pytest.raises(WorkloadError, match=f"^{re.escape(text)}$"),
        blaming_reader(Numbers(), "explain", history),
    ):
        change(history)


def test_methods_that_judge_and_explain_only_read_the_history() -> None:
    def check(_: Workload, history: History) -> Results:
        appends(history)
        return {"valid?": True}

    def explain(_: Workload, __: Results, scene: Scene) -> list[Finding]:
        appends(scene.history)
        return []

    told = "changed the history: it has 15 entries, not 14; change a copy"
    assert refused({"check": check}) == f"check() {told}"
    assert refused({"explain": explain}) == f"explain() {told}"
    assert refused({"pictures": explain}, Report.pictures) == f"pictures() {told}"


def test_a_history_from_elsewhere_is_only_read_as_well() -> None:
    lines = b"".join(
        b'{"index":%d,"time":0,"type":"%b","process":0,"f":"echo","value":5}\n' % (index, kind)
        for index, kind in enumerate((b"invoke", b"ok"))
    )

    class Appending(Numbers):
        name = "appending"

        def check(self, history: History) -> Results:
            appends(history)
            return {"valid?": True}

    with pytest.raises(WorkloadError, match=r"^the workload 'appending': check\(\) changed the history: it has 3 ent"):
        HistoryReport(Options(workload=Appending), read_history(lines))


def test_what_is_no_json_in_a_history_from_elsewhere_is_not_compared() -> None:
    history = History([Op(index=0, time=0, type="invoke", process=0, f="echo", value="\udc80")])
    HistorySeal(Numbers(), history).check(history, "check()")


def test_an_explanation_may_take_its_results_apart() -> None:
    def explain(_: Workload, results: Results, scene: Scene) -> list[Finding]:
        results.pop("valid?")
        return [Finding(f"{name}: {results.pop(name)}") for name in list(results)]

    report = run(wrong(check=lambda *_: {"valid?": False, "lost": 3}, explain=explain, pictures=lambda *_: ()))
    assert report.reasons() == ["lost: 3"]
    assert report.results["workload"] == {"valid?": False, "lost": 3}
    assert list(report.pictures()) == []


# Cancel scopes and nurseries


async def enters_a_scope(*_: object) -> int:
    trio.CancelScope().__enter__()
    return 3


async def waits_in_a_cancelled_scope(*_: object) -> None:
    scope = trio.CancelScope()
    scope.__enter__()
    scope.cancel()
    await trio.sleep(1)


async def opens_a_nursery(*_: object) -> int:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)
    return 3


def yields_in_a_scope(*_: object) -> Iterator[Invocation]:
    with trio.move_on_after(0.5):  # noqa: ASYNC100 - what waits is the run
        yield from lists()


@pytest.mark.parametrize(
    ("parts", "method"),
    [
        *(({"invoke": invoke}, "invoke") for invoke in (enters_a_scope, waits_in_a_cancelled_scope, opens_a_nursery)),
        ({"invocations": yields_in_a_scope}, "invocations"),
        ({"final_invocations": yields_in_a_scope, "final_pause": 0.2}, "final_invocations"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the generators end after the run
def test_what_a_method_leaves_open_is_closed_and_named(parts: dict[str, Any], method: str) -> None:
    assert refused(parts) == f"{method}() {OPEN}"
    gc.collect()  # not in the test after this one


async def keep_cancellation(into: list[trio.Cancelled]) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as exc:
            into.append(exc)


@pytest.mark.parametrize("is_in_group", [True, False])
def test_a_cancellation_that_the_run_did_not_send_is_named(is_in_group: bool) -> None:
    async def invoke(*_: object) -> None:
        kept: list[trio.Cancelled] = []
        await keep_cancellation(kept)
        raise BaseExceptionGroup("both", kept) if is_in_group else kept[0]

    assert refused({"invoke": invoke}) == (
        "invoke() raised a Cancelled that the run did not send; leave each trio.Cancelled to its scope"
    )


def test_interrupts_in_a_group_pass() -> None:
    async def invoke(*_: object) -> None:
        raise BaseExceptionGroup("interrupted", [KeyboardInterrupt()])

    with pytest.raises(KeyboardInterrupt):
        run(wrong(invoke=invoke))


def test_cancelling_tasks_of_the_run_is_named() -> None:
    async def invoke(*_: object) -> None:
        nursery = trio.lowlevel.current_task().parent_nursery
        assert nursery is not None
        nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()

    text = refused({"invoke": invoke})
    assert text.startswith("invoke() cancelled tasks of the run, in ")
    assert text.endswith("; cancel only scopes that it enters")


def test_final_operations_after_one_that_left_a_scope_are_not_cancelled() -> None:
    """The task does one after another, so an open scope would have cancelled the rest."""

    async def invoke(self: Workload, client: WorkloadClient, f: str, value: Any) -> Any:
        if value == -1:
            return await waits_in_a_cancelled_scope()
        return await Numbers.invoke(self, client, f, value)

    def final(_: Workload, context: GeneratorContext) -> Iterator[Invocation]:
        yield from (("echo", -number) for number in range(3))

    assert refused({"invoke": invoke, "final_invocations": final}) == f"invoke() {OPEN}"
