"""The progress of a run: its messages and the logs of its nodes and, on a terminal, figures."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Final, final

from .. import printable
from ..sim._for_cli import Entry, Options, Report, Run
from .output import REDRAWN_EVERY, Console, Ticker
from .subject import Subject


@final
class Progress:
    """Watches one run, and reports on it.

    Args:
      console: Where to report.
      sends: Whether to show each message when it is sent.
      deliveries: Whether to show each message when it is delivered or dropped.
    """

    def __init__(self, console: Console, *, sends: bool = False, deliveries: bool = False) -> None:
        self._console = console
        self._sends = sends
        self._deliveries = deliveries
        self._run: Run | None = None
        self._lines: dict[int | None, str] = {}  # the messages, by their numbers
        self._seen = 0  # how many entries of the journal were shown
        self._counted = 0  # how many entries of the history were counted
        self._outcomes: Counter[str] = Counter()
        self._ticker = Ticker(console)
        self._began = time.monotonic()

    def watch(self, run: Run) -> None:
        """Report on *run*, which has begun or made progress."""
        self._run = run
        self.catch_up()
        self._ticker.tick(lambda: self._figures(run))

    def echo_log(self, node_id: str, line: str) -> None:
        """Show a log line of a node."""
        self.catch_up()
        self._console.say(f"{node_id}: {line}")

    def catch_up(self) -> None:
        """Show the messages since the last call."""
        if self._run is None or not (self._sends or self._deliveries):
            return
        journal = self._run.journal
        for index in range(self._seen, len(journal)):
            self._show(journal[index], self._run)
        self._seen = len(journal)

    def close(self) -> None:
        """Show the remaining messages, and remove the status line."""
        self.catch_up()
        self._ticker.close()

    def _show(self, entry: Entry, run: Run) -> None:
        if entry.event == "send":
            self._lines[entry.id] = printable(bytes(entry.raw or b"").decode())
        is_wanted = self._sends if entry.event == "send" else self._deliveries
        if is_wanted and entry.event in _VERBS:
            why = f" ({entry.reason})" if entry.reason else ""
            self._console.say(f"{run.moment(entry.t)} {_VERBS[entry.event]}{why} {self._lines[entry.id]}")

    def _figures(self, run: Run) -> str:
        for index in range(self._counted, len(run.history)):
            op = run.history[index]
            self._outcomes[op.type] += not op.audit
        self._counted = len(run.history)
        # The whole line must fit a terminal of 80 columns.
        seconds, elapsed = run.network.now() / 1e9, max(time.monotonic() - self._began, REDRAWN_EVERY)
        limit = f" of {run.options.time_limit:g}" if run.phase == "main" else ""
        figures = [
            f"{run.phase} {seconds:.1f}{limit} s, {seconds / elapsed:.0f}x",
            ", ".join(f"{self._outcomes[outcome]} {outcome}" for outcome in ("ok", "fail", "info")),
        ]
        if run.options.faults:
            bit = sum(count > 0 for count in run.network.bites.values())
            figures.append(f"{bit} of {len(run.options.faults)} faults bit")
        return " | ".join(figures)


_VERBS: Final = {"send": "send", "deliver": "recv", "drop": "drop", "duplicate": "copy"}
"""The words for the events of a message; the first two are Maelstrom's."""


def run_and_tell(subject: Subject, options: Options, arguments: argparse.Namespace) -> Report:
    """Run *subject*, and show the logs that *arguments* choose (see `add_logs`). Raises the errors of `Subject.run`."""
    progress = Progress(Console(), sends=arguments.log_net_send, deliveries=arguments.log_net_recv)
    try:
        return subject.run(options, progress.watch, progress.echo_log if arguments.log_stderr else None)
    finally:
        progress.close()
