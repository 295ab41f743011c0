"""Invariants: functions that look at all living nodes after each event of a run."""

from __future__ import annotations

import io
import json
import math
import re
import signal
import sys
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from html import escape
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import attrs
import pytest
import trio

from trio_messenger import Node, Request
from trio_messenger.nodes import echo
from trio_messenger.sim import Kill, Partition, Report, save, shrink, simulate
from trio_messenger.sim._invariants.fingerprints import MOST_TOKENS, fingerprint, first_change
from trio_messenger.sim._invariants.watch import named_invariants
from trio_messenger.sim._judging.judgement import warnings
from trio_messenger.sim._runaways import watchdog


@attrs.define
class Count:
    """What a counting node shows."""

    requests: int = 0
    by_client: dict[str, int] = attrs.field(factory=lambda: defaultdict(int))


def counting() -> Node:
    """Return a node that counts the requests that it serves."""
    node, count = Node(), Count()
    node.expose(count)

    @node.on("echo")
    def echo(request: Request) -> dict[str, Any]:
        count.requests += 1
        return {"echo": request.body["echo"]}

    return node


def run(*invariants: Callable[[Mapping[str, Any]], Any], **given: Any) -> Report:
    """Run three counting nodes for a moment."""
    return simulate("echo", counting, **{"nodes": 3, "time_limit": 2, **given}, invariants=invariants)


def few(nodes: Mapping[str, Any]) -> None:
    """Hold as long as all nodes together have served fewer than five requests."""
    most = max(nodes, key=lambda node: nodes[node].requests)
    total = sum(count.requests for count in nodes.values())
    assert total < 5, f"{total} requests, the most of them at {most}"


def holds(_: Mapping[str, Any]) -> None:
    """Hold."""


def fails(_: Mapping[str, Any]) -> None:
    """Never hold."""
    raise ZeroDivisionError


def message_of(report: Report) -> str:
    """Return the message of the first violation of the only invariant, which the explanation has as well."""
    [told] = report.results["invariants"]["by-name"].values()
    message: str = told["violation"]["message"]
    assert report.reasons()[0].endswith(f": {message}")
    assert report.valid is False
    return message


# What a run with invariants is


def test_an_invariant_that_holds_leaves_the_run_as_it_is() -> None:
    """Journal, history and logs are the same, byte for byte; the results only have a part more."""
    faults = [Kill(nodes=["n1"], at=0.5, until=1), Partition(links=[("nodes", "nodes")], at=0.5, until=1)]
    without, with_it = run(faults=faults), run(holds, faults=faults)
    assert list(with_it.journal.lines()) == list(without.journal.lines())
    assert list(with_it.history) == list(without.history)
    assert with_it.logs == without.logs
    told = with_it.results.pop("invariants")
    assert with_it.results == without.results
    assert told["valid?"] is True
    assert told["by-name"][f"{__name__}:holds"]["violation"] is None


def test_a_violated_invariant_changes_the_verdict_only() -> None:
    """The run goes on to its end, so that a replay with other invariants is the same run."""
    report = run(few)
    assert report.valid is False
    assert report.digest == run().digest
    assert run(few).results == report.results


def test_a_violation_is_told_with_its_event() -> None:
    """The sentence has the invariant, the time, the event and what was wrong; the finding, the messages near it."""
    report = run(few, holds)
    told = report.results["invariants"]["by-name"]
    found = told[f"{__name__}:few"]["violation"]
    assert re.fullmatch(
        rf"invariant {re.escape(__name__)}:few is violated at [\d.]+ s, when n\d received echo from c\d:"
        r" 5 requests, the most of them at n\d",
        report.reasons()[0],
    )
    finding, *details = report.findings()[:4]
    assert list(finding.messages) == found["messages"]
    last = [entry for entry in report.journal if entry.id == finding.messages[0]]
    assert [entry.event for entry in last] == ["send", "deliver"]
    assert last[1].t == found["time"]
    assert last[0].message is not None
    assert last[0].message.dest == found["node"]
    assert [detail.text.split()[:3] for detail in details] == [[node, "then", "showed"] for node in found["nodes"]]
    assert all(detail.is_detail for detail in details)
    assert told[f"{__name__}:few"]["checks"] < told[f"{__name__}:holds"]["checks"]


def test_nodes_named_in_the_message_add_their_last_messages() -> None:
    """So the links lead to what each of them had just been told."""

    def each_served(nodes: Mapping[str, Any]) -> None:
        assert min(count.requests for count in nodes.values()) < 2, "n1, n2 and n3 have all served two"

    report = run(each_served, time_limit=4)
    found = report.results["invariants"]["by-name"].popitem()[1]["violation"]
    sent = {entry.id: entry.message for entry in report.journal if entry.message is not None}
    assert sorted(sent[number].dest for number in found["messages"]) == ["n1", "n2", "n3"]


def test_the_summary_says_how_often_each_was_checked() -> None:
    """After each turn of a node: at least once for each message that it took."""
    report = run(holds)
    checks = report.results["invariants"]["by-name"][f"{__name__}:holds"]["checks"]
    taken = sum(entry.event == "deliver" for entry in report.journal) / 2
    assert checks > taken
    assert f"  invariants  {__name__}:holds was checked {checks:,} times" in str(report)


def test_an_invariant_is_checked_after_timers_and_at_the_beginning() -> None:
    """The event then is no message."""
    times: list[float] = []

    def build() -> Node:
        node = counting()
        node.every(0.75, lambda: times.append(trio.current_time()))
        return node

    def no_timer(_: Mapping[str, Any]) -> None:
        assert not times, "a timer expired"

    def nobody(nodes: Mapping[str, Any]) -> None:
        assert not nodes, "somebody lives"

    report = simulate("echo", build, nodes=["n1"], time_limit=2, rate=0, invariants=[no_timer, nobody])
    reasons = [text for text in report.reasons() if text.startswith("invariant")]
    assert reasons[0].endswith("when n1 ran without a new message: a timer expired")
    assert reasons[1].endswith("when n1 ran without a new message: somebody lives")


def test_only_living_nodes_are_seen() -> None:
    """In the order of their ids, whatever they were built in; a killed one is not among them."""
    seen: dict[tuple[str, ...], None] = {}

    def look(nodes: Mapping[str, Any]) -> None:
        seen[tuple(nodes)] = None

    assert run(look, faults=[Kill(nodes=["n2"], at=0.5, until=1)]).valid is True
    assert list(seen) == [("n1", "n2", "n3"), ("n1", "n3")]


def test_without_expose_the_node_itself_is_seen() -> None:
    """It is what the function that makes nodes returned."""

    def is_node(nodes: Mapping[str, Any]) -> None:
        assert all(type(node) is Node for node in nodes.values())

    assert simulate("echo", echo.build, nodes=2, time_limit=1, invariants=[is_node]).valid is True


def test_an_exposed_function_is_called_for_each_check() -> None:
    """Its value may be of any kind; if it raises, the run is invalid, and the sentence names the node."""

    def build() -> Node:
        node, served = counting(), [0]
        node.expose(partial(lambda served: served[0], served))
        node.every(0.5, lambda: served.__setitem__(0, served[0] + 1))
        return node

    def below(nodes: Mapping[str, Any]) -> None:
        assert all(value < 3 for value in nodes.values())

    report = simulate("echo", build, nodes=["n1"], time_limit=2, invariants=[below])
    assert message_of(report) == "assert False"  # pytest rewrites it

    def build_wrong() -> Node:
        node = counting()
        node.expose(lambda: dict[str, int]()["term"])
        return node

    report = simulate("echo", build_wrong, nodes=["n1"], time_limit=2, invariants=[below])
    assert re.fullmatch(
        r"n1 cannot show its state: KeyError: 'term', in <lambda> \(test_watch\.py:\d+\)", message_of(report)
    )


def test_what_cannot_be_exposed_is_refused() -> None:
    """A function must be plain, and need no arguments."""

    async def state() -> None:
        pytest.fail("it is not called")

    with pytest.raises(TypeError, match=r"^expose\(\) takes an object or a plain function, not the async function <"):
        Node().expose(state)
    with pytest.raises(TypeError, match=r"^expose\(\) cannot call <.* with no arguments: missing"):
        Node().expose(lambda other: other)
    node, count = Node(), Count()
    assert [node.exposed, node.expose(count), node.exposed] == [node, count, count]


# Invariants that are wrong themselves


def test_an_invariant_that_raises_anything_is_told_in_one_line() -> None:
    """Also what is no Exception, and what cannot say its own text."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise SystemExit

    def raises(exc: BaseException, _: Mapping[str, Any]) -> None:
        raise exc

    for exc, text in (
        (SystemExit(3), "SystemExit: 3, in raises "),
        (GeneratorExit(), "GeneratorExit, in raises "),
        (Mute(), "Mute, in raises "),
        (KeyError("n3\n\x1b"), r"KeyError: 'n3\n\x1b', in raises "),
        (AssertionError(), "raise exc, in raises "),
        (AssertionError("two\nlines"), "two"),
    ):
        message = message_of(run(partial(raises, exc)))
        assert message.startswith(text)
        assert "\n" not in message


def test_an_invariant_that_returns_something_is_told_so() -> None:
    """Whoever writes ``return len(leaders) < 2`` would otherwise check nothing."""
    message = message_of(run(lambda nodes: len(nodes) < 9))
    assert message == "the invariant returned True; it must raise, with assert for example, and return nothing"


def test_an_async_invariant_is_refused() -> None:
    """Before the run, if it shows; otherwise when it is called."""

    async def look(_: Mapping[str, Any]) -> None:
        pytest.fail("it is not called")

    async def stream(_: Mapping[str, Any]) -> AsyncIterator[int]:
        yield 1

    is_async = r" is async, and no event may pass while it looks: make it a plain function$"
    for wrong in (look, partial(look), stream):
        with pytest.raises(TypeError, match="^the invariant <?func.*" + is_async):
            run(wrong)
    assert re.search("^the invariant" + is_async, message_of(run(lambda nodes: look({**nodes}))))


def test_what_cannot_be_an_invariant_is_refused() -> None:
    """The error names it and the remedy."""

    def generates(_: Mapping[str, Any]) -> Iterator[int]:
        yield 1

    for wrong, text in (
        ("checks", r"^the invariant 'checks' is not a function; give one that takes the nodes$"),
        (generates, r"^the invariant <.* is a generator, so calling it checks nothing: leave out yield$"),
        (lambda: None, r"^the invariant <.* cannot be called with the nodes only: too many positional arguments$"),
    ):
        with pytest.raises(TypeError, match=text):
            run(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^invariants is the function <.*; give a list of functions$"):
        simulate("echo", counting, invariants=few)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^the invariant <.* is given more than once; give it once$"):
        run(few, few)


@attrs.define
class Forward:
    """Holds while virtual time runs forward, as it does in one run, and not from one run to the next."""

    latest: float = 0.0
    has_seen_n1: bool = False

    def __call__(self, nodes: Mapping[str, Any]) -> None:
        assert trio.current_time() >= self.latest, "time runs backward"
        self.latest = trio.current_time()
        assert "n1" in nodes or not self.has_seen_n1, "n1 has gone"
        self.has_seen_n1 = "n1" in nodes


def test_each_run_begins_with_the_memory_that_the_invariant_was_given() -> None:
    """Runs one after another, the run at which an aimed search aims, and runs with other faults."""
    remembers = Forward()
    assert run(remembers, nemesis=["pause"], nemesis_interval=0.5, search="aimed").valid is True
    report = run(remembers, faults=[Kill(nodes=["n1"], at=0.5, until=1)])
    assert message_of(report) == "n1 has gone"
    assert report.rerun is not None
    assert report.rerun([]).valid is True
    assert remembers == Forward()


def test_an_invariant_that_cannot_be_copied_is_refused() -> None:
    """Each run needs a copy."""

    text = r"^the invariant .* cannot be copied, and each run needs a copy: TypeError\(.*; let it hold data only$"
    with pytest.raises(TypeError, match=text):
        run(partial(lambda _, __: None, threading.Lock()))


def test_invariants_have_different_names() -> None:
    """Lambdas and partials have names as well; one without a signature is not inspected."""
    named = named_invariants([lambda _: None, lambda _: None, partial(few), partial(holds), Count, type])  # type: ignore[list-item]
    inner = f"{__name__}:test_invariants_have_different_names.<locals>.<lambda>"
    assert [*named][:4] == [inner, f"{inner} (2)", f"{__name__}:few", f"{__name__}:holds"]
    assert [*named][4:] == [f"{__name__}:Count", "builtins:type"]


class Careless:
    """An object that can be called, as an invariant."""

    def __call__(self, nodes: Mapping[str, Any]) -> None:
        """Count in what it looks at."""
        assert nodes["n1"].by_client["c1"] == 0


def test_an_invariant_that_changes_what_it_sees_is_told_what() -> None:
    """Even by a look into a defaultdict. The mapping itself cannot be changed."""
    assert message_of(run(Careless())) == (
        "the invariant changed n1.by_client, and an invariant must only look: copy what you change"
    )
    message = message_of(run(lambda nodes: nodes.clear()))  # type: ignore[attr-defined]
    assert message.startswith("AttributeError: 'mappingproxy' object has no attribute 'clear', in <lambda> ")


def test_an_invariant_that_sends_or_draws_is_told() -> None:
    """Of a node, the number of messages and the state of its random numbers are compared."""

    def sends(nodes: Mapping[str, Node]) -> None:
        nodes["n1"].next_msg_id  # noqa: B018 - a look is fine
        if nodes["n1"].stats.received > 2:
            nodes["n1"].random.random()

    report = simulate("echo", echo.build, nodes=["n1"], time_limit=9, invariants=[sends])
    assert message_of(report).startswith("the invariant changed n1, and")


def test_values_that_cannot_be_written_do_no_harm() -> None:
    """A bit set of 20,000 bits, which Python does not print, and keys and numbers that refuse to be shown."""

    class Odd(int):
        def __repr__(self) -> str:
            raise SystemError("do not look at me")

    def build() -> Node:
        node = Node()
        node.expose({"seen": 1 << 20_000, 1 << 20_001: 1, Odd(3): Odd(4), "nan": math.nan})
        node.on("echo")(lambda request: {"echo": request.body["echo"]})
        return node

    report = simulate("echo", build, nodes=1, time_limit=1, invariants=[lambda _: None])
    assert report.valid is True, report
    assert fingerprint({"n1": Odd(4)}) == fingerprint({"n1": Odd(4)}) != fingerprint({"n1": Odd(5)})
    assert fingerprint({"n1": 1}) != fingerprint({"n1": True})


def test_fingerprints_see_into_all_kinds_of_values() -> None:
    """Into containers and attributes, wherever they are, and in cycles; up to a limit."""

    class Slotted:
        __slots__ = ("one", "two")

        def __init__(self) -> None:
            self.one = 1

    class Named:
        __slots__ = "name"  # noqa: PLC0205 - Python allows it

    def state() -> dict[str, Any]:
        value: dict[str, Any] = {
            "list": [1, (2.5, None)],
            "queue": deque([b"x"]),
            "set": {"a", "b"},
            "random": Random(1),
            "slotted": Slotted(),
            "named": Named(),
            "count": Count(),
            "opaque": trio.Event,
        }
        value["self"] = value
        return value

    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "n1['list']": lambda value: value["list"].append(1),
        "n1['list'][1][1]": lambda value: value["list"].__setitem__(1, (2.5, 0)),
        "n1['queue'][0]": lambda value: value["queue"].__setitem__(0, b"y"),
        "n1['set']": lambda value: value["set"].add("c"),
        "n1['random']": lambda value: value["random"].random(),
        "n1['slotted'].two": lambda value: setattr(value["slotted"], "two", 2),
        "n1['named'].name": lambda value: setattr(value["named"], "name", "x"),
        "n1['count'].requests": lambda value: setattr(value["count"], "requests", 1),
        "n1['new']": lambda value: value.__setitem__("new", 1),
    }
    for path, change in changes.items():
        value = state()
        before = fingerprint({"n1": value})
        assert first_change(before, fingerprint({"n1": value})) is None
        change(value)
        assert first_change(before, fingerprint({"n1": value})) in (path, "n1")
    assert len(fingerprint({"n1": list(range(2 * MOST_TOKENS))})) == MOST_TOKENS


def test_an_invariant_that_blocks_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog names the invariant, and not the node whose turn it was."""
    spoken = threading.Event()

    class Listener(io.StringIO):
        def flush(self) -> None:
            if "invariant" in self.getvalue():  # on a busy machine it warns of other turns, too
                spoken.set()

    def blocks(_: Mapping[str, Any]) -> None:
        assert spoken.wait(60)

    errors = Listener()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(watchdog.watching, "__wrapped__", watchdog.watching.__wrapped__)  # type: ignore[attr-defined]
    monkeypatch.setitem(watchdog.watching.__wrapped__.__kwdefaults__, "patience", 0.01)  # type: ignore[attr-defined]
    assert run(blocks).valid is True
    assert re.search(
        r"seed 0: for \d+ s invariant \S+blocks has been in blocks \(test_watch\.py:\d+\), and nothing",
        errors.getvalue(),
    )


def test_ctrl_c_ends_an_invariant_that_does_not_return() -> None:
    """It ends the whole run, as anywhere else."""

    def blocks(_: Mapping[str, Any]) -> None:
        while True:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(blocks)


def test_an_interrupt_in_another_thread_is_the_invariants_own() -> None:
    """There, no Ctrl-C can be meant."""

    def raises(_: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    found: list[Report] = []
    thread = threading.Thread(target=lambda: found.append(run(raises)))
    thread.start()
    thread.join(60)
    assert message_of(found[0]).startswith("KeyboardInterrupt, in raises ")


# What nodes show


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"term": 3}, ["n1 then showed {'term': 3}"]),
        (object(), []),  # its text has an address, which differs from run to run
        ({"x": 200 * "y"}, ["n1 then showed {'x': '" + 113 * "y" + "..."]),
    ],
)
def test_details_show_what_nodes_showed(state: object, text: list[str]) -> None:
    """Cut, and only if the text is the same in every run."""

    def build() -> Node:
        node = counting()
        node.expose(state)
        return node

    report = simulate("echo", build, nodes=["n1"], time_limit=1, invariants=[fails])
    assert [finding.text for finding in report.findings() if finding.is_detail] == text


def test_a_state_that_cannot_be_written_is_not_shown() -> None:
    """The violation is told all the same."""

    class Odd:
        def __repr__(self) -> str:
            raise SystemExit

    def build() -> Node:
        node = counting()
        node.expose(Odd())
        return node

    report = simulate("echo", build, nodes=["n1"], time_limit=1, invariants=[fails])
    assert not [finding for finding in report.findings() if finding.is_detail]


# Reports and files


def test_an_invariant_that_was_never_checked_is_a_warning() -> None:
    """A verdict "valid" must not rest on it."""
    results = run(holds).results
    assert warnings(results) == []
    results["invariants"]["by-name"]["checks:idle"] = {"checks": 0, "violation": None}
    assert warnings(results) == ["invariant checks:idle was never checked: no node was alive"]


def test_a_node_that_cannot_show_its_state_was_looked_at() -> None:
    """The reason is told, and no warning says that there was no node."""

    def build() -> Node:
        node = Node()
        node.expose(lambda: 1 // 0)
        node.on("echo")(lambda request: {"echo": request.body["echo"]})
        return node

    report = simulate("echo", build, nodes=1, time_limit=1, invariants=[few])
    assert "n1 cannot show its state: ZeroDivisionError" in report.reasons()[0]
    assert warnings(report.results) == []


def test_the_files_of_a_run_have_its_invariants(tmp_path: Path) -> None:
    """The page has the sentence with links to the messages, and the number of checks."""

    def small(nodes: Mapping[str, Any]) -> None:
        few(nodes)

    report = run(small)  # no command can name it, so none is tried
    [name] = report.options.invariants
    folder = save(report, tmp_path, "run")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["invariants"] == json.loads(json.dumps(report.results["invariants"]))
    options = json.loads((folder / "schedule.json").read_text(encoding="utf-8"))["options"]
    assert options["invariants"] == [name]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert f"{escape(name)} is violated at" in page
    assert f"checks of {escape(name)}" in page
    assert f"messages.svg#messages={','.join(map(str, report.findings()[0].messages))}" in page


def test_shrinking_finds_the_faults_that_violate_an_invariant() -> None:
    """A schedule with more than that loses the rest."""
    faults = [Kill(nodes=["n1"], at=0.5, until=1), Kill(nodes=["n2"], at=0.75, until=1.5)]

    def n2_lives(nodes: Mapping[str, Any]) -> None:
        assert "n2" in nodes, "n2 is dead"

    report = run(n2_lives, faults=faults)
    assert report.can_shrink
    rerun = report.rerun
    assert rerun is not None
    found = shrink(faults, lambda some: rerun(some).valid is False, nodes=["n1", "n2", "n3"])
    assert [fault.nodes for fault in found.faults if isinstance(fault, Kill)] == [("n2",)]


def test_the_mapping_is_read_only() -> None:
    """It is made anew for each event, and all invariants of the event share it."""
    seen: list[Mapping[str, Any]] = []

    def first(nodes: Mapping[str, Any]) -> None:
        seen[:] = [nodes]

    def second(nodes: Mapping[str, Any]) -> None:
        assert type(nodes) is MappingProxyType
        assert nodes is seen[0]

    assert run(first, second).valid is True
