"""What a workload returns and has: each wrong value is refused in one line that names it, and what to give."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
from support.number_echoes import EchoOk, Numbers, wrong

from trio_messenger import RpcError
from trio_messenger.nodes import echo
from trio_messenger.sim import (
    ClientCrash,
    Finding,
    Op,
    Options,
    Shape,
    Workload,
    WorkloadError,
    pictures,
    simulate,
)
from trio_messenger.sim._workloads import checked_leftovers, checked_op, checked_value
from trio_messenger.sim._workloads.blame import blaming
from trio_messenger.sim._workloads.returned import _fault

run = partial(simulate, build=echo.build, nodes=1, time_limit=1)


class Unreadable:
    def __repr__(self) -> str:
        raise SystemExit(0)


NO_OUTCOMES: tuple[Any, ...] = ("failed", None, "ok", "invoke", [], 0)


def returning(value: Any) -> Any:
    return lambda *_: value


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth - 1):
        found = [found]
    return found


def yielding(*values: Any) -> Any:
    def method(*_: Any) -> Iterator[Any]:
        yield from values

    return method


# Values of methods


def failing(*_: Any) -> Any:
    raise RpcError(11, "refused")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        *(
            ({"completed": failing, "outcome": returning(given)}, f"outcome() gave {given!r}; give 'fail' or 'info'")
            for given in NO_OUTCOMES
        ),
        *(
            (
                {"client_timeout": returning(given)},
                f"client_timeout() gave {given!r}; give seconds, above 0 and at most",
            )
            for given in (None, "x", math.nan, -1, 0, math.inf, 1e300, True)
        ),
        *(
            ({"setup": returning(given)}, f"setup() gave {given!r}; give a dict with a text as 'type', or None")
            for given in (5, {"a": 1}, {"type": 5})
        ),
        ({"setup": returning({"type": "x", "y": {1}})}, "setup() gave {'type': 'x', 'y': {1}}, which is not JSON: Obj"),
        (
            {"setup": returning({"type": "\udc80"})},
            r"setup() gave {'type': '\udc80'}, which is not JSON: 'utf-8' codec ",
        ),
        ({"final_invocation": returning(5)}, "final_invocation() gave 5; give pairs such as ('read', None)"),
        ({"final_invocation": returning([])}, "final_invocation() gave []; give pairs such as ('read', None)"),
        ({"final_invocation": returning({})}, "final_invocation() gave {}; give pairs such as ('read', None)"),
        ({"final_invocations": returning(5)}, "final_invocations() gave 5; give an iterator over pairs, or None"),
        ({"invocations": yielding(("", 1))}, "invocations() gave the function ''; give it a printable name"),
        ({"invocations": yielding(("a\n", 1))}, r"invocations() gave the function 'a\n'; give it a printable name"),
        ({"next_invocation": returning("x")}, "next_invocation() gave 'x'; give pairs such as ('read', None)"),
    ],
)
def test_what_a_method_returns_is_checked(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        run(wrong(**parts))
    assert str(caught.value).startswith(f"the workload 'wrong': {message}")


@pytest.mark.parametrize(
    ("value", "shown", "fault"),
    [
        (math.nan, "nan", "Out of range float values are not JSON compliant"),
        ([-math.inf], "[-inf]", "Out of range float values are not JSON compliant"),
        (["\udc80"], r"['\udc80']", "'utf-8' codec can't encode"),
        ({None: 1}, "{None: 1}", "the key None of a dict is not a text"),
        ([{"a": {1: 2}}], "[{'a': {1: 2}}]", "the key 1 of a dict is not a text"),
        ([{"a": {1.5: 2}}], "[{'a': {1.5: 2}}]", "the key 1.5 of a dict is not a text"),
        ({Unreadable: 1}, "{<class ", "keys must be str, "),
        ([10**5000], "a list without a readable repr", "Exceeds the limit"),
        (Unreadable(), "a Unreadable without a readable repr", "Object of type Unreadable is not JSON serializable"),
        (nested(200), nested(200), "200 lists and dicts are inside each other"),
        (nested(2000), "a list without a readable repr", "maximum recursion depth exceeded"),
    ],
)
def test_a_value_can_be_saved_and_read(value: Any, shown: str, fault: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        checked_value(Numbers(), "echo", value)
    assert str(caught.value).startswith(f"the workload 'numbers': the value of 'echo' is {shown!s:.80}")
    assert f", which is not JSON: {fault}" in str(caught.value)


@pytest.mark.parametrize("value", [2**70, -(2**63), "é", (1, [2.5, True, None]), {"a": {}}, nested(199), -0.0])
def test_other_values_are_left_as_they_are(value: Any) -> None:
    assert checked_value(Numbers(), "echo", value) is value


def test_the_final_operations_may_be_any_collection_and_some_workers_may_have_none() -> None:
    last = {"final_invocations": lambda _, context: [("echo", -1)] * 2 if context.worker else None}
    finals = [op for op in run(wrong(**last), nodes=2).history if op.final and op.type == "ok"]
    assert [(op.node, op.value) for op in finals] == [("n2", -1)] * 2


def test_what_only_histories_and_clusters_elsewhere_need_is_checked() -> None:
    op = Op(index=0, time=0, type="invoke", process=0, f="echo")
    assert checked_op(Numbers(), op) is op
    with pytest.raises(WorkloadError, match=r"adopt\(\) returned None; return an Op$"):
        checked_op(Numbers(), None)
    assert checked_leftovers(Numbers(), None) is None
    with pytest.raises(WorkloadError, match=r"leftovers\(\) gave 5; give a text, or None$"):
        checked_leftovers(Numbers(), 5)


# What explains the verdict


INVALID = returning({"valid?": False, "lost": 3})


def test_an_explanation_may_be_a_generator() -> None:
    two = yielding(Finding("first"), Finding("second"), Finding("a remark", is_reason=False))
    report = run(wrong(check=INVALID, explain=two))
    assert (report.reasons(), report.remarks()) == (["first", "second"], ["a remark"])


@pytest.mark.parametrize(
    ("explain", "message"),
    [
        (returning(None), "explain() returned None; return a list of Finding"),
        (returning("lost"), "explain() returned 'lost'; return a list of Finding"),
        (returning(["lost"]), "explain() gave 'lost'; give a Finding for each sentence"),
        (returning([Finding(5)]), "explain() gave a Finding with 5 as its text; give a sentence"),  # type: ignore[arg-type]
        (returning([Finding("x", 7)]), "explain() gave a Finding with 7 as its messages; give"),  # type: ignore[arg-type]
        (returning([Finding("x", ("a",))]), "explain() gave a Finding with ('a',) as its messages; give"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("valid", [True, False])
def test_findings_are_checked(explain: Any, message: str, valid: bool) -> None:
    report = run(wrong(check=returning({"valid?": valid}), explain=explain))
    with pytest.raises(WorkloadError) as caught:
        report.findings()
    assert str(caught.value).startswith(f"the workload 'wrong': {message}")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (returning(None), "pictures() returned None; return a list of Picture"),
        (yielding(5), "pictures() gave 5; give Picture objects"),
        (
            returning([pictures.Picture(name="a.svg", title="A", explanation="B", svg=b"")]),  # type: ignore[arg-type]
            "pictures() gave a Picture with b'' as its svg; give a text",
        ),
    ],
)
def test_pictures_are_checked(draw: Any, message: str) -> None:
    report = run(wrong(pictures=draw))
    with pytest.raises(WorkloadError) as caught:
        report.pictures()
    assert str(caught.value) == f"the workload 'wrong': {message}"


def test_generators_that_raise_are_blamed() -> None:
    def breaks(*_: Any) -> Iterator[Finding]:
        yield Finding("first")
        raise KeyError("n1")

    report = run(wrong(check=INVALID, explain=breaks))
    with pytest.raises(WorkloadError, match=r"failed in explain\(\): KeyError: 'n1' \(test_wrong_values.py, line "):
        report.reasons()


@pytest.mark.parametrize("results", [{"seen": math.nan}, {"by": {0: 1}}, {"by": nested(300)}])
def test_results_are_json(results: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError, match=r"^the workload 'wrong': the result of check\(\) is not JSON: "):
        run(wrong(check=returning({"valid?": True, **results})))


# Attributes and methods of the class


@pytest.mark.parametrize(
    ("name", "value", "give"),
    [
        *(
            ("name", name, "give a word such as 'greatest', which can name a folder")
            for name in ("", ".a", "a b", "a/b", "a\nb", "a\x1b[31m", "\udc80")
        ),
        ("name", "é" * 51, "give at most 100 bytes"),
        ("name", "latest", "give another word: in a folder of runs, this one names something else"),
        ("rules", 5, "give a text"),
        ("replies", {5: EchoOk}, "give the name of a function as each key"),
        ("shapes", {"echo": 5}, "give a dict with a Shape for each function"),
        ("idempotent", "read-and-echo", "give a set of functions, such as frozenset({'read'})"),
        ("idempotent", None, "give a set of functions, such as frozenset({'read'})"),
        ("idempotent", {5}, "give a set of functions, such as frozenset({'read'})"),
        ("errors_are_indefinite", "no", "give True or False"),
        ("reuses_clients", 1, "give True or False"),
        *(("clients_per_node", value, "give a whole number from 1") for value in ("x", 0, 1.5, True)),
        *(("final_pause", value, "give seconds, from 0") for value in ("x", -1, math.nan, math.inf)),
        *(("final_limit", value, "give seconds, above 0") for value in ("60", 0, -1, math.nan)),
        *((method, None, "give a method") for method in ("outcome", "invoke", "leftovers")),
    ],
)
def test_a_class_is_checked_when_it_is_defined(name: str, value: Any, give: str) -> None:
    with pytest.raises(TypeError) as caught:
        wrong(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"the workload Wrong is incomplete: {name} is ")
    assert text.endswith(f"; {give}")
    assert text.isprintable()


@pytest.mark.parametrize(
    "method",
    [
        *(
            "check_setting",
            "client_state",
            "client_timeout",
            "outcome",
            "parse",
            "pictures",
            "adopt",
            "explain",
            "update",
        ),
        *("setup", "final_invocation", "final_invocations", "request", "completed", "check", "next_invocation"),
    ],
)
def test_no_method_but_two_is_async(method: str) -> None:
    async def plain(*_: Any) -> None: ...

    async def generator(*_: Any) -> Any:
        yield

    for given in (plain, generator):
        with pytest.raises(
            TypeError, match=rf"^the workload Wrong is incomplete: {method}\(\) is async; only invoke\(\)"
        ):
            wrong(**{method: given})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"leftovers": returning(None)}, "leftovers() is not async"),
        ({"update": yielding()}, "update() has a yield, so it would do nothing; leave the yield out"),
        ({"setting": property(returning(5))}, "setting cannot be set; leave it to the run, which sets it"),
    ],
)
def test_a_method_has_its_kind(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        wrong(**parts)
    assert str(caught.value) == f"the workload Wrong is incomplete: {message}"


def test_right_attributes_may_have_other_types() -> None:
    found = wrong(
        idempotent=["echo"], final_limit=math.inf, final_pause=1, shapes={"echo": Shape()}, clients_per_node=2
    )
    assert issubclass(found, Numbers)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"__init__": lambda self, x: None}, "the workload 'wrong' failed in __init__(): TypeError: "),  # noqa: ARG005
        ({"__new__": returning(5)}, "the workload 'wrong': __new__() gave 5; give an instance of the class"),
        (
            {"__setattr__": lambda *given: {}[given]},
            "the workload 'wrong' failed in __setattr__(): KeyError: ",
        ),
        (
            {"final_limit": property(returning("60"))},
            "the workload 'wrong': final_limit is '60'; give seconds, above 0",
        ),
        (
            {"idempotent": property(lambda self: self.x)},
            "the workload 'wrong' failed in idempotent(): AttributeError: ",
        ),
    ],
)
def test_a_workload_that_cannot_be_made_is_named(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        Options(workload=wrong(**parts))
    assert str(caught.value).startswith(message)


# Methods that go on without end


async def spins(*_: Any) -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def spins_inside(*_: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spins)


async def waits(*_: Any) -> None:
    await trio.sleep_forever()


async def waits_at_the_end(_: Workload, __: Any, ___: str, value: int) -> None:
    if value < 0:
        await trio.sleep_forever()


async def returns_at_once(*_: Any) -> None:
    """Take no time."""


ENDLESS = {"final_invocations": returning(itertools.repeat(("echo", -1)))}
AUDITED = {"final_invocation": returning(("echo", -1)), "final_limit": 1, "idempotent": {"echo"}}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"invoke": spins}, "invoke() goes on without end: stuck at 0 s of virtual time: "),
        ({"invoke": spins_inside}, "invoke() goes on without end: stuck at 0 s of virtual time: "),
        ({"invoke": waits}, "invoke() did not return within 600 s after the phase; it waited in waits (test_wrong_"),
        ({"invoke": waits_at_the_end, **AUDITED}, "invoke() did not return within 600 s after the phase; it waited in"),
        (ENDLESS, "final_invocations() goes on without end: stuck at "),
        ({"invoke": returns_at_once, **ENDLESS}, "final_invocations() goes on without end: stuck at "),
    ],
)
def test_a_workload_that_goes_on_without_end_is_no_verdict_on_nodes(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        run(wrong(**parts), busy_limit=1000)
    assert str(caught.value).startswith(f"the workload 'wrong': {message}")


# Exceptions


def test_interrupts_are_nobodys_mistake() -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    class Interrupted(Exception):
        __str__ = interrupted

    for error in (KeyboardInterrupt(), BaseExceptionGroup("g", [KeyboardInterrupt(), KeyError()]), Interrupted()):
        with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)), blaming(Numbers(), "check"):
            raise error


def test_a_group_names_a_few_of_its_exceptions() -> None:
    group = ExceptionGroup(
        "g", [KeyError(1), ExceptionGroup("h", [KeyError(2), KeyError(3)]), KeyError(4), KeyError(5)]
    )
    with pytest.raises(WorkloadError) as caught, blaming(Numbers(), "check"):
        raise group
    assert str(caught.value) == (
        "the workload 'numbers' failed in check(): ExceptionGroup of KeyError: 1; KeyError: 2; KeyError: 3; and 2 more"
    )


def test_a_crash_without_a_text_is_in_the_history() -> None:
    class Silent(ClientCrash):
        def __str__(self) -> str:
            raise KeyError

    async def invoke(*_: Any) -> None:
        raise Silent

    history = run(wrong(invoke=invoke)).history
    assert {op.error for op in history if op.type == "info"} == {"an exception without a readable text"}


def test_an_interrupt_while_a_value_is_looked_at_is_no_fault_of_the_value() -> None:
    """It ends the run, as anywhere else."""

    def write(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fault({}, write)
