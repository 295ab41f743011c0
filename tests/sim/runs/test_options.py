"""Options of a run: each is declared once, and what is made from the declaration agrees with all that repeats it."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from support.paths import ROOT

from trio_messenger import Node, _cli
from trio_messenger._cli.arguments import _MORE, PARSERS, make_options
from trio_messenger.sim import NEMESES, TOPOLOGIES, WORKLOADS, FaultSearch, Latency, Options, simulate
from trio_messenger.sim._campaigns import simulation
from trio_messenger.sim._faults.fault_search import SEARCHES, as_search, stopping_kinds
from trio_messenger.sim._judging.command_lines import command_line
from trio_messenger.sim._network.latency_distribution import DISTRIBUTIONS
from trio_messenger.sim._runs import options as options_module
from trio_messenger.sim._runs.compound_options import DEFAULT_NODES, numbered
from trio_messenger.sim._runs.declaration import Argument, Group, ValueKind, as_typed, option, options_of
from trio_messenger.sim._runs.options import OPTIONS
from trio_messenger.sim._services import LWW_KV_VARIANTS
from trio_messenger.sim.strategies import fault_schedules

PAGE = ROOT / "docs" / "reference" / "cli.md"
NAMES = [field.name for field in attrs.fields(Options)]

NODES = st.one_of(
    st.just(DEFAULT_NODES),
    st.integers(1, 7).map(numbered),
    st.lists(st.sampled_from(["n0", "n1", "a.0", "B-2", "9", "x_y"]), min_size=1, unique=True).map(tuple),
)
NUMBERS = st.one_of(st.integers(0, 1000), st.floats(0, 1000))
FRACTIONS = st.one_of(st.sampled_from([0, 1]), st.floats(0, 1))
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "workload": st.sampled_from(list(WORKLOADS)),
    "nodes": NODES,
    "invariants": st.lists(st.sampled_from(["checks:one", "a.b:two", "c:d e"]), unique=True).map(tuple),
    "seed": st.integers(-(2**63) + 1, 2**63 - 1),
    "concurrency": st.integers(1, 100),
    "rate": NUMBERS,
    "time_limit": st.one_of(st.integers(0, 60), st.floats(0, 60)),
    "latency": st.builds(Latency, st.integers(1, 500), st.sampled_from(DISTRIBUTIONS)),
    "loss": FRACTIONS,
    "duplicate": FRACTIONS,
    "topology": st.sampled_from(list(TOPOLOGIES)),
    "lww_kv": st.sampled_from(list(LWW_KV_VARIANTS)),
    "key_count": st.integers(1, 10**4),
    "max_txn_length": st.integers(1, 10**4),
    "max_writes_per_key": st.integers(1, 10**4),
    "consistency_models": st.lists(st.sampled_from(["serializable", "PL-2", "read-atomic"]), min_size=1).map(tuple),
    "availability": st.one_of(st.none(), st.just("total"), FRACTIONS),
    "busy_limit": st.integers(1000, 10**7),
    "nemesis": st.lists(st.sampled_from([kind.name for kind in NEMESES]), unique=True),
    "nemesis_interval": st.one_of(st.integers(1, 50), st.floats(0.5, 50)),
    "search": st.sampled_from(SEARCHES).map(FaultSearch),
}
"""A strategy for each option but the faults, whose nodes are those of the run."""


@st.composite
def some_options(draw: st.DrawFn) -> Options:
    """Draw options in which any of them may have its default."""
    others = {name: strategy for name, strategy in VALUES.items() if name != "workload"}
    values: dict[str, Any] = draw(st.fixed_dictionaries({"workload": VALUES["workload"]}, optional=others))
    if draw(st.booleans()):
        values["faults"] = draw(fault_schedules(values.get("nodes", DEFAULT_NODES), max_size=2))
    is_long = values.get("nemesis_interval", 10) < 5  # with the schedule of a swarm, whose intervals are shorter
    if is_long or not stopping_kinds(values.get("nemesis", ())):
        values.pop("search", None)
    if values["workload"] == "lin-kv" and "concurrency" in values:
        values["concurrency"] *= 2 * len(values.get("nodes", DEFAULT_NODES))
    return Options(**values)


def parsed(command: str) -> Options:
    """Return the options of a ``trio-messenger test`` command."""
    program, *words = shlex.split(command)
    assert program == "trio-messenger"
    return make_options(_cli.parse(words)[0])


def as_run(options: Options) -> Options:
    """Return *options* without a nemesis that made no faults: a run takes nothing of it, and a command says nothing."""
    if options.nemesis and options.faults == options.nemesis_schedule():
        return options
    interval = Options(workload="echo").nemesis_interval
    return attrs.evolve(options, nemesis=(), nemesis_interval=interval, search=FaultSearch())


# The words of a command


SUBJECTS = [("--node", "echo"), ("--bin", "./node.py"), ("--bin", "a b", "--", "--rate", "x")]


def test_each_option_is_tried() -> None:
    """A new option needs a strategy here, so that its way through commands and files is tested."""
    assert [*VALUES, "faults"] == NAMES
    assert list(OPTIONS) == NAMES


@pytest.mark.slow
@settings(deadline=None)
@given(some_options(), st.sampled_from(SUBJECTS))
def test_a_command_gives_the_options_that_it_was_made_from(options: Options, node: tuple[str, ...]) -> None:
    """Whoever types the command that a report shows runs the same test again."""
    assert parsed(command_line(options, node)) == as_run(options)


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "trio-messenger test -w echo --node n --seed 0"),
        ({"rate": 5.0, "time_limit": 1.5}, "trio-messenger test -w echo --node n --seed 0 --time-limit 1.5"),
        ({"nodes": ["n0", "n1"]}, "trio-messenger test -w echo --node n --seed 0 --node-count 2"),
        (
            {
                "nodes": ["a.0"],
                "concurrency": 5,
                "latency": Latency(20),
                "loss": 0.5,
                "nemesis": ["kill"],
                "time_limit": 0,
            },
            "trio-messenger test -w echo --node n --seed 0 --nodes a.0 --concurrency 5 --time-limit 0 --loss 0.5"
            " --latency 20 --latency-dist constant --nemesis kill",
        ),
        (
            {"nemesis": ["kill"], "nemesis_interval": 2, "faults": []},
            "trio-messenger test -w echo --node n --seed 0 --faults '[]'",
        ),
    ],
)
def test_a_command_is_short(changes: dict[str, Any], command: str) -> None:
    """It has the workload, the node and the seed, then whatever is not the default, as a person would type it."""
    assert command_line(Options(workload="echo", **changes), ("--node", "n")) == command


def test_more_nodes_than_can_be_counted_are_named() -> None:
    """The command has their ids where ``--node-count`` would be refused."""
    options = Options(workload="echo", nodes=numbered(10_001))
    command = command_line(options, ("--node", "n"))
    assert "--node-count" not in command
    assert parsed(command) == options


@pytest.mark.slow
@settings(deadline=None)
@given(some_options())
def test_options_come_back_from_json(options: Options) -> None:
    """The options that the files of a run have are those of the run."""
    assert Options.from_json(json.loads(json.dumps(options.to_json(), allow_nan=False))) == options


# The declarations


def test_an_option_without_a_declaration_is_refused() -> None:
    """The error names the field, and says what it lacks."""

    @attrs.frozen
    class Record:
        rate: float = attrs.field(
            default=5.0,
            metadata=option(Group.CLIENTS, Argument("--rate", "R", ValueKind.NUMBER, "operations per second")),
        )
        colour: str = "red"

    with pytest.raises(
        TypeError, match=r"^the option 'colour' has no declaration; give its field metadata=option\(\.\.\.\)$"
    ):
        options_of(Record)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_is_typed_by_its_name(name: str) -> None:
    """An option that is one word and its value has the name of its field, with hyphens."""
    words = OPTIONS[name].arguments[0].words.split()
    assert name in ("nodes", "invariants") or words[-1] == f"--{name.replace('_', '-')}"


def test_every_kind_of_value_has_a_parser() -> None:
    """The command line can read whatever an option takes; what else it adds to the help has a place there."""
    assert set(PARSERS) == set(ValueKind)
    assert set(_MORE) <= set(NAMES)


@pytest.mark.parametrize(
    ("words", "name", "default"),
    [
        (argument.words.split()[-1], name, argument.default)
        for name, declared in OPTIONS.items()
        for argument in declared.arguments
    ],
)
def test_the_reference_has_the_default_of_each_option(words: str, name: str, default: str | None) -> None:
    """The page on the command line shows the same default as the help."""
    own = attrs.fields_dict(Options)[name].default
    wanted = default if default is not None else "required" if own is attrs.NOTHING else as_typed(own)
    rows = re.findall(rf"^\|[^|]*`{words}[ `].*?\| (.*?) ?\|", PAGE.read_text(encoding="utf-8"), re.M)
    found = {row.strip("`") for row in rows} - ({"all"} if words == "--search" else set())  # that of `diagram`
    assert found == {wanted.partition(", as")[0]}  # of the command `test`, and perhaps of others


# The function that takes the same options


PARAMETERS = {name: each for name, each in inspect.signature(simulate).parameters.items() if name != "build"}


def test_simulate_takes_each_option() -> None:
    """Its parameters are the options, by the same names; of the latency, each part is one."""
    assert set(PARAMETERS) == {*NAMES, "latency_dist"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "workload"])
def test_simulate_has_the_default_of_each_option(name: str) -> None:
    """Without an argument, an option is what it is without a word on the command line."""
    field, parameter = attrs.fields_dict(Options)[name], PARAMETERS[name]
    if name == "nodes":
        assert numbered(parameter.default + 1)[1:] == field.default
    elif name == "latency":
        assert Latency(parameter.default, PARAMETERS["latency_dist"].default) == Latency()
    elif name == "search":
        assert as_search(parameter.default) == field.default
    elif name in ("concurrency", "faults"):
        assert parameter.default is None  # it follows from other options
    else:
        assert parameter.default == field.default


def documented(text: str) -> dict[str, str]:
    """Return what a docstring says of each argument, on one line."""
    arguments = inspect.cleandoc(text).partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", arguments, re.M)
    return {name: " ".join(entry.split()) for name, entry in entries}


def test_simulate_says_the_same_of_each_option() -> None:
    """Its docstring has the words under the field, where the two take the same value."""
    tree = ast.parse(inspect.getsource(options_module))
    [record] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    fields = {
        before.target.id: " ".join(ast.literal_eval(after.value).split())
        for before, after in zip(record.body, record.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr)
    }
    assert list(fields) == NAMES
    said = documented(simulate.__doc__ or "")
    assert set(said) == {*PARAMETERS, "build"}
    for name in set(NAMES) - {"nodes", "latency", "invariants"}:
        assert said[name] == fields[name]


def invariant_named(name: str) -> Callable[[Mapping[str, Any]], None]:
    """Return a function whose module and name are those in *name*."""

    def invariant(_: Mapping[str, Any]) -> None:
        pytest.fail("no run is made")

    invariant.__module__, invariant.__qualname__ = name.split(":")
    return invariant


@pytest.mark.slow
@settings(deadline=None)
@given(some_options())
def test_simulate_hands_each_option_on(options: Options) -> None:
    """The run has the options that were given to the function."""
    values = attrs.asdict(options, recurse=False)
    given: dict[str, Any] = {**values, "latency": options.latency.mean, "latency_dist": options.latency.distribution}
    given["invariants"] = [invariant_named(name) for name in options.invariants]
    ran: list[Options] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "run_simulation", lambda options, *_, **__: ran.append(options))
        simulate(build=Node, **given)
    assert ran == [options]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key_count": 0}, "key_count is 0; give 1 or more"),
        ({"max_txn_length": 10**9}, "max_txn_length is 1e+09; give 10,000 or less"),
        ({"consistency_models": []}, "consistency_models is empty; give at least one, such as 'strict-serializable'"),
        (
            {"consistency_models": ["serial"]},
            "there is no consistency model 'serial'; did you mean 'serializable'? There are: ",
        ),
    ],
)
def test_options_of_transactions_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    """The text names the value and what is allowed."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        Options(workload="txn-list-append", **given)
    assert str(caught.value).startswith(message)
