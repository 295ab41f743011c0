"""The report of a history that was judged by itself, without the run that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import final

from .._checkers import Results, Valid
from .._explanation import Finding
from .._explanation.scene import Scene
from .._explanation.words import quantity
from .._records.history import History
from .._records.history_reader import HistoryFile
from .._runs.options import Options
from .._workloads import Workload, blaming, checked_op
from ..pictures import Picture
from .judgement import draw, explain_history, history_warnings, judge_history
from .report import VERDICTS, figures, in_sections


@final
class HistoryReport:
    """The verdict on a history, and the reasons.

    Args:
      options: The options of the checkers. All others have no meaning here.
      file: The history.

    Raises:
      ReadingError: if an operation does not belong to the workload; the text names its place.
      WorkloadError: if the workload's code is wrong.

    Example:
      >>> begin = "{:process 0, :type :invoke, :f :generate, :value nil, :time 0}"
      >>> end = '{:process 0, :type :ok, :f :generate, :value "a-1", :time 5000000}'
      >>> file = read_history(f"{begin} {end}".encode())
      >>> report = HistoryReport(Options(workload="unique-ids"), file)
      >>> report.valid, report.reasons()
      (True, [])
    """

    def __init__(self, options: Options, file: HistoryFile) -> None:
        self._options = options
        self._workload = options.make_workload()
        self.history = adopted(file, self._workload)
        """The operations of the clients, in the form of the workload."""
        self.results: Results = judge_history(self.history, self._workload, options.availability)
        """The results of the checkers, with the names of ``results.json``."""
        self._scene = Scene(self.history)

    @property
    def valid(self) -> Valid:
        """The verdict: True, False, or ``unknown``."""
        verdict: Valid = self.results["valid?"]
        return verdict

    @cached_property
    def _findings(self) -> Sequence[Finding]:
        return explain_history(self.results, self._workload, self._scene)

    def pictures(self) -> Sequence[Picture]:
        """Return the pictures with which the workload explains its verdict; see `Workload.pictures`."""
        return draw(self.results, self._workload, self._scene)

    def reasons(self) -> list[str]:
        """Return the reasons why the history is not valid, one sentence each."""
        return [finding.text for finding in self._findings if finding.is_reason]

    def remarks(self) -> list[str]:
        """Return facts worth knowing whatever the verdict, one sentence each."""
        return [finding.text for finding in self._findings if not finding.is_reason]

    def warnings(self) -> list[str]:
        """Return the limits of what the verdict proves, one line each."""
        return history_warnings(self.results, self.history, self._workload)

    def __str__(self) -> str:
        count = quantity(self.results["stats"]["count"], "operation")
        return in_sections(
            f"{self._options.workload_name}, {count}: {VERDICTS[self.valid]}",
            ("because", self.reasons()),
            *((name, [text]) for name, text in figures(self.results)),
            ("note", self.remarks()),
            ("warning", self.warnings()),
        )


def adopted(file: HistoryFile, workload: Workload) -> History:
    """Return the history in *file* as clients of *workload* would have recorded it.

    Raises:
      ReadingError: if an operation does not belong to the workload; the text names its place.
    """
    found = History()
    for op in file.history:
        try:
            with blaming(workload, "adopt", but=(ValueError,)):
                mine = workload.adopt(op)
            found.append(checked_op(workload, mine))
        except ValueError as exc:
            raise file.error(op.index, f"{exc}") from None
    return found
