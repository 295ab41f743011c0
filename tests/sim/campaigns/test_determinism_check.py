"""The same seed gives the same run; and where it does not, the check says where they differ, and why that may be."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from support import busy_node
from support.wrong_nodes import ALL, run_named

from trio_messenger.sim import Journal, Latency, Options, Report
from trio_messenger.sim._campaigns.determinism_check import (
    CAUSES,
    Difference,
    RunFailedError,
    check_determinism,
    first_difference,
)
from trio_messenger.sim._campaigns.simulation import run_simulation

EVERYTHING = Options(
    workload="pn-counter",
    rate=10.0,
    time_limit=10.0,
    latency=Latency(30, "exponential"),
    loss=0.05,
    duplicate=0.05,
    nemesis=ALL,
    nemesis_interval=1.0,
)
"""Latencies, losses, duplicates and all kinds of faults; with the busy node, all services and all kinds of RPCs."""

MANY = Options(
    workload="g-counter",
    nodes=[f"n{number}" for number in range(1, 9)],
    seed=1,
    rate=20.0,
    time_limit=1.0,
    latency=Latency(20, "uniform"),
    nemesis=("partition", "reorder", "kill"),
    nemesis_interval=0.5,
)

CALM = Options(workload="pn-counter", seed=-2, rate=10.0, time_limit=5.0, latency=Latency(100))

SHORT = Options(workload="unique-ids", time_limit=2.0)


def run_busy(options: Options) -> Report:
    return run_simulation(options, busy_node.build)


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "digest"),
    [
        pytest.param(EVERYTHING, "20e65b56b94b44a1511fddac50fe49adcf1d6b802c9fa4bb9e8249906dc85c46", id="everything"),
        pytest.param(MANY, "5406512f9905e4e436d76ab0198b77194a2b3ef185e9fc02781540b354e53703", id="many"),
        pytest.param(CALM, "2ec56896db9b7351c53f956fb62dfd4d2d1200ef4dd9079aeea2b4a86b2c7654", id="calm"),
    ],
)
def test_a_seed_gives_the_same_run_on_every_machine(options: Options, digest: str) -> None:
    """These digests hold on every Python, Trio and machine; if they change, what runs depend on was changed on purpose.

    Then all seeds mean other runs, which users have to be told; and the new digests belong here.
    """
    assert run_busy(options).digest == digest


@pytest.mark.slow
def test_these_runs_depend_on_all_there_is() -> None:
    """The run with everything has each kind of fault take effect, asks each service, and answers some operations."""
    report = run_busy(EVERYTHING)
    effective = {entry["fault"]["kind"] for entry in report.results["faults"]["schedule"] if entry["took-effect"]}
    assert effective == {"partition", "loss", "duplicate", "reorder", "slow", "kill", "pause", "clock"}
    sent = b"".join(bytes(entry.raw) for entry in report.journal if entry.raw is not None)
    assert {dest.decode() for dest in re.findall(rb'"dest": "([a-z]+-[a-z]+)"', sent)} == {
        *("lin-kv", "seq-kv", "lww-kv", "lin-tso")
    }
    assert 0 < report.results["stats"]["ok-count"] < report.results["stats"]["count"]


@pytest.mark.slow
def test_nothing_is_left_of_the_runs_before() -> None:
    """The journal, the history and the logs of a run are the same whatever ran before it in the same process."""
    first = run_busy(EVERYTHING)
    run_busy(CALM)
    second = run_busy(EVERYTHING)
    assert first.digest == second.digest
    assert list(first.history) == list(second.history)
    assert first.logs == second.logs


# The check


CHANCY = {
    "draws_elsewhere": "the global random",
    "draws_too_early": "the global random",
    "iterates_a_set": "the order of a set",
    "sends_by_a_set": "the order of a set",
    "tells_the_time": r"time\.time\(\)",
    "shows_an_address": r"id\(\)",
    "shows_a_hash": r"id\(\)",
    "takes_its_time": "the global random",
}
"""Nodes whose runs differ, and the likeliest cause."""


def _arguments(name: str) -> tuple[str, str]:
    return "--node", f"support.chancy_nodes:{name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "node"),
    [
        pytest.param(SHORT, "support.chancy_nodes:sound", id="sound"),
        pytest.param(EVERYTHING, "support.busy_node:build", id="busy"),
    ],
)
def test_check_passes_a_node_that_is_deterministic(options: Options, node: str) -> None:
    """Two processes with different hash seeds make the same run of a node that heeds the rules, to the last byte."""
    assert check_determinism(options, ("--node", node), make_run=run_named) is None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cause"), CHANCY.items())
def test_check_finds_a_node_that_is_not(name: str, cause: str) -> None:
    """The check shows the first difference between the two runs, and puts the cause first that it speaks for."""
    difference = check_determinism(SHORT, _arguments(name), make_run=run_named)
    assert difference is not None
    assert difference.first != difference.second
    assert len(difference.before) == 3
    assert re.match(cause, difference.causes[0])
    assert sorted(difference.causes) == sorted(CAUSES)


def test_check_tells_that_there_is_no_run() -> None:
    """Where there is no run, not even an exit of the process is taken for a run that is the same as another one."""
    with pytest.raises(RunFailedError, match=r"SystemExit: enough"):
        check_determinism(SHORT, _arguments("exits"), make_run=run_named)


# The first difference


def journal(*entries: dict[str, Any]) -> Journal:
    made = Journal()
    for entry in entries:
        made.note(entry.pop("t", 0), **entry)
    return made


def send(body: object = None, *, src: str = "n1", dest: str = "n2", t: int = 0) -> dict[str, Any]:
    line = msgspec.json.encode({"src": src, "dest": dest, "body": {"type": "x", "value": body}})
    return {"event": "send", "id": 7, "raw": msgspec.Raw(line), "t": t}


def difference_of(first: Journal, second: Journal) -> Difference:
    difference = first_difference(first, second)
    assert difference is not None
    return difference


def test_equal_journals_do_not_differ(tmp_path: Any) -> None:
    """A journal does not differ from one with the same entries, such as itself after it was saved and loaded."""
    one = journal(send([1]), {"event": "deliver", "id": 7})
    one.save(tmp_path / "journal.jsonl")
    assert first_difference(one, Journal.load(tmp_path / "journal.jsonl")) is None
    assert first_difference(Journal(), Journal()) is None


def test_difference_is_told_in_full() -> None:
    """The text has the index, what was the same before, both entries with their messages, and all causes."""
    both = [{"event": "start", "node": f"n{number}", "t": 500_000_000} for number in range(5)]
    ends: list[dict[str, Any]] = [
        {"event": "drop", "id": 7, "reason": "loss", "fault": 3, "t": 1_250_000_000},
        {"event": "exit", "node": "n4", "text": "died: ValueError", "t": 1_250_000_001},
    ]
    one, other = (journal(*map(dict, both), send("hello"), end) for end in ends)
    difference = difference_of(one, other)
    assert difference.index == 6
    message = '{"src":"n1","dest":"n2","body":{"type":"x","value":"hello"}}'
    assert str(difference).splitlines()[:6] == [
        "two runs with the same seed differ, first at entry 6 of the journal",
        "  both:   0.5 s start node n3",
        "  both:   0.5 s start node n4",
        f"  both:   0 s send message 7: {message}",
        f"  first:  1.25 s drop fault 3 (loss) message 7: {message}",
        "  second: 1.250000001 s exit node n4 died: ValueError",
    ]
    assert [line.removeprefix("  - ") for line in str(difference).splitlines()[7:]] == list(difference.causes)


def test_the_end_of_a_journal_is_a_difference() -> None:
    """A journal that has all entries of another one, and more, differs from it where that ends."""
    short, long = journal(send()), journal(send(), send())
    assert difference_of(short, long).first == "no further entry: this run has ended"
    assert difference_of(long, short).second == "no further entry: this run has ended"
    assert difference_of(short, long).before == difference_of(long, short).before
    assert difference_of(long, short).index == 1


def test_a_long_message_is_told_in_part() -> None:
    """Of a message that would fill the screen only the beginning is shown."""
    difference = difference_of(journal(send("a" * 10_000)), journal(send("b" * 10_000)))
    assert len(difference.first) == 403
    assert difference.first.endswith("aaa...")
    assert difference.second.endswith("bbb...")


NOW = 1_795_000_000


@pytest.mark.parametrize(
    ("one", "other", "cause"),
    [
        pytest.param(["a", "b"], ["b", "a"], "the order of a set", id="order"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, "the order of a set", id="order of fields"),
        pytest.param([[{"a": [1, "x"]}]], [[{"a": ["x", 1]}]], "the order of a set", id="order within"),
        pytest.param([1, 2], [1, 2, 3], "the order of a set", id="another length"),
        pytest.param([1, 0.25], [1, 0.75], "the global random", id="number"),
        pytest.param("3f0c-1a", "77ab-c0", "the global random", id="text"),
        pytest.param(None, 17, "the global random", id="another type"),
        pytest.param({"a": 1}, {"b": 1}, "the global random", id="other fields"),
        pytest.param(NOW, NOW + 1, "time.time()", id="seconds"),
        pytest.param(NOW * 1000, NOW * 1000 + 1, "time.time()", id="milliseconds"),
        pytest.param(f"n1-{NOW * 10**9}", f"n1-{NOW * 10**9 + 1}", "time.time()", id="nanoseconds"),
        pytest.param(NOW, 17, "the global random", id="only one is a time"),
        pytest.param("2026-11-22T13:14:15", "2026-11-22T13:14:16", "time.time()", id="date"),
        pytest.param("<x at 0x7f00>", "<x at 0x7f10>", "id()", id="address"),
        pytest.param(1 << 60, -(1 << 61), "id()", id="hash"),
        pytest.param(1 << 60, 5, "the global random", id="only one is a hash"),
        pytest.param("at 0x7f00", 5, "the global random", id="only one has an address"),
    ],
)
def test_two_values_speak_for_a_cause(one: object, other: object, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs in a message tells what has most likely made it so; that comes first."""
    monkeypatch.setattr("time.time", lambda: NOW + 3600.0)
    assert difference_of(journal(send(one)), journal(send(other))).causes[0].startswith(cause)
    assert difference_of(journal(send(other)), journal(send(one))).causes[0].startswith(cause)


@pytest.mark.parametrize(
    ("second", "cause"),
    [
        pytest.param(send(dest="n3"), "the order of a set", id="another receiver"),
        pytest.param(send(src="n3"), "the order of a set", id="another sender"),
        pytest.param(send(t=1), "the global random", id="another time"),
        pytest.param({"event": "start", "node": "n2"}, "the global random", id="another event"),
    ],
)
def test_two_entries_speak_for_a_cause(second: dict[str, Any], cause: str) -> None:
    """So does another receiver, sender or time."""
    assert difference_of(journal(send()), journal(dict(second))).causes[0].startswith(cause)
    assert difference_of(journal(dict(second)), journal(send())).causes[0].startswith(cause)
