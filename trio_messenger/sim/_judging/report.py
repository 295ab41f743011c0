"""The report of a run: its verdict, what it rests on, and how to see it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

import attrs

from .._checkers import Results, Valid
from .._explanation import Finding
from .._explanation.scene import Scene
from .._faults.faults import Fault, describe, in_python, when
from .._faults.shrinking import DoesNotFail, shrink
from .._records.history import History
from .._records.journal import Journal
from .._runs.options import Options
from .._workloads import WORKLOADS
from .command_lines import command_line
from .judgement import explain, warnings
from .naming import can_be_found

NOT_THE_SEED: Final = "something else than the seed decides; --check-determinism may say what"
"""What there is to say of a run that was another one when it was made again."""

SHRINK_SECONDS: Final = 20.0
"""Seconds, by the clock of the machine, that `Report.assert_valid` seeks a smaller schedule for before it fails."""

SHOWN_WARNINGS: Final = 5
"""Warnings that a summary shows."""

VERDICTS: Final[dict[Valid, str]] = {True: "valid", False: "INVALID", "unknown": "unknown"}
"""Verdicts in words."""


@final
@attrs.frozen(kw_only=True, eq=False)
class Report:
    """What came of a run."""

    options: Options
    """What was run."""
    node: tuple[str, ...]
    """How the command line names what was tested: ``("--node", "broadcast")``; empty if it cannot."""
    results: Results
    """What the checkers found, as ``results.json`` has it."""
    history: History
    """What clients did."""
    journal: Journal
    """Every message."""
    logs: dict[str, list[str]]
    """What each node said, by its id."""
    rerun: Callable[[Sequence[Fault]], Report] | None = attrs.field(default=None, repr=False)
    """Runs the same with another schedule of faults; None where that would not be the same, in real time."""
    is_guess: bool = attrs.field(default=False, repr=False)
    """Whether `node` was concluded from the function that makes the nodes, and nobody has typed it yet."""

    _explained: list[list[Finding]] = attrs.field(factory=list, init=False, repr=False)  # once it was asked for

    @property
    def valid(self) -> Valid:
        """The verdict: True, False, or ``unknown``."""
        verdict: Valid = self.results["valid?"]
        return verdict

    @property
    def digest(self) -> str:
        """That of the journal: two runs with the same one exchanged the same messages at the same times."""
        return self.journal.digest()

    @property
    def command(self) -> str | None:
        """The command that runs this again, in the current folder; None if no command line can name what was tested.

        If that was the argument of `simulate`, it is first tried whether the command finds it: once, in a new process,
        which takes as long as it takes to import its module.
        """
        if not self.node or (self.is_guess and not can_be_found(self.node)):
            return None
        return command_line(self.options, self.node)

    @property
    def can_shrink(self) -> bool:
        """Whether the run fails, has faults to take away, and can be run again without some of them."""
        return self.valid is False and bool(self.options.faults) and self.rerun is not None

    def findings(self) -> list[Finding]:
        """Return what there is to say of the run, in sentences that know which messages show it."""
        if not self._explained:
            scene = Scene(self.history, self.journal)
            self._explained.append(explain(self.results, WORKLOADS[self.options.workload](), scene))
        return self._explained[0]

    def reasons(self) -> list[str]:
        """Return why the run is not valid, a sentence for each reason."""
        return [finding.text for finding in self.findings() if finding.is_reason]

    def remarks(self) -> list[str]:
        """Return what is worth knowing whatever the verdict, such as how stale a value was, a sentence each."""
        return [finding.text for finding in self.findings() if not finding.is_reason]

    def warnings(self) -> list[str]:
        """Return what makes the verdict say less than it seems to, a line for each."""
        return warnings(self.results)

    def assert_valid(self) -> None:
        """Do nothing if the run is valid.

        Raises:
          AssertionError: if it is not, or nobody knows: with the reasons, the seed, how to run it again, and the
            smallest schedule of faults that still fails, which is sought for up to 20 s.
        """
        __tracebackhide__ = True  # pytest shows the caller's line, not this one
        if self.valid is not True:
            raise AssertionError(_explanation(self))

    def __str__(self) -> str:
        return summary(self)


def summary(report: Report) -> str:
    """Return what a person wants to know of a run, in some twenty lines."""
    sections = [
        ("because", report.reasons()),
        *((name, [text]) for name, text in figures(report.results)),
        ("note", report.remarks()),
        ("faults", _fault_lines(report.results)),
        ("warning", _few(report.warnings())),
    ]
    lines = [f"{headline(report.options)}, seed {report.options.seed}: {VERDICTS[report.valid]}"]
    for heading, texts in sections:
        lines += [f"  {heading if index == 0 else '':<12}{text}" for index, text in enumerate(_lines_of(texts))]
    return "\n".join(lines)


def headline(options: Options) -> str:
    """Return what is run, in a few words."""
    count = len(options.nodes)
    return f"{options.workload}, {count} node{'s' * (count > 1)}"


def _lines_of(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


def _few(texts: list[str]) -> list[str]:
    rest = len(texts) - SHOWN_WARNINGS
    return texts if rest <= 1 else [*texts[:SHOWN_WARNINGS], f"and {rest} more; results.json has them all"]


def figures(results: Results) -> list[tuple[str, str]]:
    """Return the key figures of a run, each with its name."""
    counts, net = results["stats"], results["net"]
    quantiles = in_milliseconds(results["latencies"]["quantiles"])
    stable = in_milliseconds(stable_latencies(results))
    per_op = net["servers"].get("msgs-per-op", 0)
    return [
        (
            "operations",
            f"{counts['count']}: {counts['ok-count']} ok, {counts['fail-count']} fail, {counts['info-count']} info"
            f" ({results['availability']['ok-fraction']:.1%} ok)",
        ),
        ("latency", quantiles or "no operation was ok"),
        *([("stable", f"{stable} from when a value was known until every read had it")] if stable else []),
        (
            "messages",
            f"{net['all']['msg-count']} in all, {net['servers']['msg-count']} between nodes and services"
            f" ({figure(per_op)} per operation)",
        ),
    ]


def stable_latencies(results: Results) -> dict[str, float]:
    """Return quantiles of how long, in milliseconds, a set's values took to be in all reads; none for other workloads.

    The least of all says nothing, so it is left out.
    """
    found: dict[str, float] = results["workload"].get("stable-latencies", {})
    return {q: ms for q, ms in found.items() if float(q) > 0}


def in_milliseconds(quantiles: Mapping[str, float]) -> str:
    """Return *quantiles* of milliseconds in words, such as ``p50 12, p100 40 ms``; nothing if there are none."""
    told = ", ".join(f"p{float(q) * 100:g} {figure(ms)}" for q, ms in quantiles.items())
    return told and f"{told} ms"


def figure(value: float) -> str:
    """Return *value* with three digits that count, written out: 2470, and not 2.47e+03."""
    return f"{float(f'{value:.3g}'):g}"


def _fault_lines(results: Results) -> list[str]:
    schedule = results["faults"]["schedule"]
    effective = [entry for entry in schedule if entry["took-effect"]]
    if not schedule:
        return []
    effects = sum(entry["took-effect"] for entry in schedule)
    return [f"{len(effective)} of {len(schedule)} took effect, {effects} times in all"]


def _explanation(report: Report) -> str:
    """Return why *report* is not valid, and what to do about it."""
    command = report.command
    again = f"run it again with: {command}" if command else f"run it again with {same_arguments(report.options)}"
    return "\n".join([summary(report), again, *_smallest(report)])


def same_arguments(options: Options) -> str:
    """Return how to run again what no command line can name, to go on after: run it again with."""
    return f"the same arguments of simulate(), of which seed={options.seed}; no command line can name what was tested"


def _smallest(report: Report) -> list[str]:
    """Return the smallest schedule found that fails, and how to run that."""
    rerun = report.rerun
    if rerun is None or not report.can_shrink:
        return []
    give_up_at = time.monotonic() + SHRINK_SECONDS

    def fails(faults: Sequence[Fault]) -> bool:
        return time.monotonic() < give_up_at and rerun(faults).valid is False

    try:
        found = shrink(report.options.faults, fails, nodes=report.options.nodes)
    except DoesNotFail:
        return [f"run again, it did not fail: {NOT_THE_SEED}"]
    again = rerun(found.faults)
    lines = [f"it still fails with {len(found.faults)} of its {len(report.options.faults)} faults:"]
    lines += [f"  {when(fault)}: {describe(fault)}" for fault in found.faults]
    command = again.command
    return [*lines, f"run that with: {command}" if command else f"run that with faults={in_python(found.faults)}"]
