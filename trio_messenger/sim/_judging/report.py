"""The report of a run: its verdict, the reasons, and how to run it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

import attrs

from .._checkers import Results, Valid
from .._explanation import Finding
from .._explanation.scene import Scene
from .._explanation.words import quantity
from .._faults.faults import Fault, describe, in_python, when
from .._faults.shrinking import DoesNotFail, shrink
from .._invariants.assertion_log import ASSERTION_KINDS
from .._records.history import History
from .._records.journal import Journal
from .._runs.options import Options
from .._workloads import can_be_imported
from ..pictures import Picture
from .command_lines import command_line
from .judgement import draw, explain, warnings
from .naming import can_be_found

NOT_THE_SEED: Final = "the run depends on more than the seed; --check-determinism may show on what"
"""The explanation if the same run, made again, is different."""

SHRINK_SECONDS: Final = 20.0
"""Seconds of real time that `Report.assert_valid` spends on a search for a smaller schedule, before it raises."""

SHOWN_WARNINGS: Final = 5
"""The number of warnings that a summary shows."""

SHOWN_DRAWS: Final = 9
"""The number of lines on what a search drew that a summary shows."""

SHOWN_ASSERTIONS: Final = 8
"""The number of assertions that a summary shows."""

VERDICTS: Final[dict[Valid, str]] = {True: "valid", False: "INVALID", "unknown": "unknown"}
"""Verdicts in words."""


@final
@attrs.frozen(kw_only=True, eq=False)
class Report:
    """The outcome of a run.

    Example:
      A node that replies to every broadcast, but tells no other node:

      >>> def build():
      ...     node, messages = Node(), []
      ...     node.on("topology")(lambda: {})
      ...     node.on("read")(lambda: {"messages": messages})
      ...
      ...     @node.on("broadcast")
      ...     def broadcast(request):
      ...         messages.append(request.body["message"])
      ...         return {}
      ...
      ...     return node
      >>> report = simulate("broadcast", build, nodes=2, time_limit=1)
      >>> report.valid
      False
      >>> report.reasons()[0]
      'n1 lacks 1 of the 3 values at the end: 1'
      >>> [finding.text for finding in report.findings() if finding.is_reason] == report.reasons()
      True
      >>> report.remarks(), report.warnings(), report.can_shrink
      ([], [], False)
      >>> report.digest == simulate("broadcast", build, nodes=2, time_limit=1).digest
      True
      >>> try:
      ...     report.assert_valid()
      ... except AssertionError as error:
      ...     print(str(error).splitlines()[0])
      broadcast, 2 nodes, seed 0: INVALID
    """

    options: Options
    """The options of the run."""
    node: tuple[str, ...]
    """The command-line arguments that name the node: ``("--node", "broadcast")``; empty if there are none."""
    results: Results
    """The results of the checkers, the same as in ``results.json``."""
    history: History
    """The operations of the clients."""
    journal: Journal
    """Every message."""
    logs: dict[str, list[str]]
    """The log lines of each node, by its id."""
    rerun: Callable[[Sequence[Fault]], Report] | None = attrs.field(default=None, repr=False)
    """Makes the same run with another schedule of faults; None if a run cannot be repeated, as in real time."""
    is_guess: bool = attrs.field(default=False, repr=False)
    """Whether `node` was derived from the function that makes the nodes, and no command line has used it yet."""

    is_smallest: bool = attrs.field(default=False, repr=False)
    """Whether a search has found that it needs each of its faults to fail, so that it cannot be shrunk."""

    _explained: list[list[Finding]] = attrs.field(factory=list, init=False, repr=False)  # set by findings()

    @property
    def valid(self) -> Valid:
        """The verdict: True, False, or ``unknown``."""
        verdict: Valid = self.results["valid?"]
        return verdict

    @property
    def digest(self) -> str:
        """The digest of the journal: runs with the same digest exchanged the same messages at the same times."""
        return self.journal.digest()

    @property
    def command(self) -> str | None:
        """The command that repeats this run, in the current folder; None if no command line can name what was run.

        A command cannot name a node or workload of the main program, or of a function.
        If the node came from an argument of `simulate`, the first access checks whether the command finds it. The check
        happens once, in a new process, and takes as long as the import of the node's module.
        """
        workload, invariants = self.options.workload, self.options.invariants
        if not self.node or not can_be_imported(workload):
            return None
        if self.is_guess and not can_be_found(self.node, workload, invariants):
            return None
        return command_line(self.options, self.node)

    @property
    def can_shrink(self) -> bool:
        """Whether the run fails, has faults that may not all be needed, and can be run again with fewer of them."""
        return self.valid is False and bool(self.options.faults) and self.rerun is not None and not self.is_smallest

    def findings(self) -> list[Finding]:
        """Return the explanation of the run: sentences, each with the messages that show it."""
        if not self._explained:
            self._explained.append(explain(self.results, self.options.make_workload(), self._scene()))
        return self._explained[0]

    def pictures(self) -> Sequence[Picture]:
        """Return the pictures with which the workload explains its verdict; see `Workload.pictures`."""
        return draw(self.results, self.options.make_workload(), self._scene())

    def _scene(self) -> Scene:
        """Return the run for explanations. If messages between nodes are not seen, nothing can be said about them."""
        return Scene(self.history, self.journal if "servers" in self.results["net"] else None)

    def reasons(self) -> list[str]:
        """Return the reasons why the run is not valid, one sentence each."""
        return [finding.text for finding in self.findings() if finding.is_reason]

    def remarks(self) -> list[str]:
        """Return facts worth knowing whatever the verdict, such as how stale a value was, one sentence each."""
        return [finding.text for finding in self.findings() if not finding.is_reason]

    def warnings(self) -> list[str]:
        """Return the limits of what the verdict proves, one line each."""
        return warnings(self.results)

    def assert_valid(self) -> None:
        """Do nothing if the run is valid.

        Raises:
          AssertionError: if the verdict is False or ``unknown``. The text has the reasons, the seed, the way to run it
            again, and the smallest schedule of faults that still fails; the search for that takes at most about 20 s.
        """
        __tracebackhide__ = True  # pytest shows the caller's line, not this one
        if self.valid is not True:
            raise AssertionError(_explanation(self))

    def __str__(self) -> str:
        return summary(self)


def summary(report: Report) -> str:
    """Return the summary of a run for people, about twenty lines."""
    first = f"{headline(report.options)}, seed {report.options.seed}: {VERDICTS[report.valid]}"
    return in_sections(
        first,
        ("because", report.reasons()),
        *((name, [text]) for name, text in figures(report.results)),
        ("invariants", counted_checks(report.results)),
        ("assertions", _few(counted_assertions(report.results), SHOWN_ASSERTIONS)),
        ("note", report.remarks()),
        ("faults", _fault_lines(report.results)),
        ("search", _few(searched(report.results), SHOWN_DRAWS)),
        ("warning", _few(report.warnings())),
    )


def in_sections(first: str, *sections: tuple[str, Sequence[str]]) -> str:
    """Return the line *first* and, below it, the texts of each section behind its heading; empty ones are left out."""
    lines = [first]
    for heading, texts in sections:
        lines += [f"  {heading if index == 0 else '':<12}{text}" for index, text in enumerate(_lines_of(texts))]
    return "\n".join(lines)


def headline(options: Options) -> str:
    """Return the workload and the number of nodes, in a few words."""
    count = len(options.nodes)
    return f"{options.workload_name}, {count} node{'s' * (count > 1)}"


def _lines_of(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


def _few(texts: list[str], shown: int = SHOWN_WARNINGS) -> list[str]:
    rest = len(texts) - shown
    return texts if rest <= 1 else [*texts[:shown], f"and {rest} more; results.json has them all"]


def figures(results: Results) -> list[tuple[str, str]]:
    """Return the key figures of a run, or of a history, as pairs of name and text."""
    counts = results["stats"]
    quantiles = in_milliseconds(results["latencies"]["quantiles"])
    stable = in_milliseconds(stable_latencies(results))
    return [
        (
            "operations",
            f"{counts['count']}: {counts['ok-count']} ok, {counts['fail-count']} fail, {counts['info-count']} info"
            f" ({results['availability']['ok-fraction']:.1%} ok)",
        ),
        ("latency", quantiles or "no operation was ok"),
        *([("stable", f"{stable} from when a value was known until every read had it")] if stable else []),
        *([("messages", _message_counts(results["net"]))] if "net" in results else []),
    ]


def _message_counts(net: Results) -> str:
    if "servers" not in net:
        return f"{net['all']['msg-count']} between clients and nodes; those between nodes are not seen"
    per_op = figure(net["servers"].get("msgs-per-op", 0))
    between = f"{net['servers']['msg-count']} between nodes and services ({per_op} per operation)"
    return f"{net['all']['msg-count']} in all, {between}"


def counted_checks(results: Results) -> list[str]:
    """Return how often each invariant was checked."""
    checked = results.get("invariants", {}).get("by-name", {})
    return [f"{name} was checked {quantity(told['checks'], 'time')}" for name, told in checked.items()]


def counted_assertions(results: Results) -> list[str]:
    """Return how often the condition of each assertion was true."""
    return [
        f"{kind}({message!r}) was true in {told['held']:,} of {quantity(told['calls'], 'call')}"
        for kind in ASSERTION_KINDS
        for message, told in results.get("assertions", {}).get(kind, {}).items()
    ]


def stable_latencies(results: Results) -> dict[str, float]:
    """Return quantiles, in milliseconds, of how long a set's values took to be in all reads; empty for other workloads.

    The minimum (quantile 0) is left out: it says nothing.
    """
    found: dict[str, float] = results["workload"].get("stable-latencies", {})
    return {q: ms for q, ms in found.items() if float(q) > 0}


def in_milliseconds(quantiles: Mapping[str, float]) -> str:
    """Return *quantiles* of milliseconds in words, such as ``p50 12, p100 40 ms``; an empty text if there are none."""
    told = ", ".join(f"p{float(q) * 100:g} {figure(ms)}" for q, ms in quantiles.items())
    return told and f"{told} ms"


def figure(value: float) -> str:
    """Return *value* with three significant digits and without an exponent: 2470, not 2.47e+03."""
    return f"{float(f'{value:.3g}'):g}"


def _fault_lines(results: Results) -> list[str]:
    schedule = results["faults"]["schedule"]
    effective = [entry for entry in schedule if entry["took-effect"]]
    if not schedule:
        return []
    effects = sum(entry["took-effect"] for entry in schedule)
    return [f"{len(effective)} of {len(schedule)} took effect, {quantity(effects, 'time')} in all"]


def searched(results: Results) -> list[str]:
    """Return what a search drew, unless it was uniform."""
    found = results["faults"].get("search")
    return [] if found is None else [f"{found['strategy']}", *found["drawn"]]


def _explanation(report: Report) -> str:
    """Return why *report* is not valid, and how to run it again."""
    command = report.command
    again = f"run it again with: {command}" if command else f"run it again with {same_arguments(report.options)}"
    return "\n".join([summary(report), again, *_smallest(report)])


def same_arguments(options: Options) -> str:
    """Return how to run a node again that no command line can name, to follow the words: run it again with."""
    return f"the same arguments of simulate(), with seed={options.seed}; no command line can name the node under test"


def _smallest(report: Report) -> list[str]:
    """Return lines with the smallest schedule found that still fails, and how to run it."""
    rerun = report.rerun
    if rerun is None or not report.can_shrink:
        return []
    give_up_at = time.monotonic() + SHRINK_SECONDS

    def fails(faults: Sequence[Fault]) -> bool:
        return time.monotonic() < give_up_at and rerun(faults).valid is False

    try:
        found = shrink(report.options.faults, fails, nodes=report.options.nodes)
    except DoesNotFail:
        return [f"it did not fail when run again: {NOT_THE_SEED}"]
    again = rerun(found.faults)
    lines = [f"it still fails with {len(found.faults)} of the {len(report.options.faults)} faults:"]
    lines += [f"  {when(fault)}: {describe(fault)}" for fault in found.faults]
    command = again.command
    return [*lines, f"run that with: {command}" if command else f"run that with faults={in_python(found.faults)}"]
