"""``trio-messenger replay``: run a test again, exactly as it was."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from .arguments import add_logs
from .ending import STATUSES, concluding
from .outcome import as_json, put_json, tell_and_keep
from .output import Console, put
from .parsing import Parser
from .progress import run_and_tell
from .simulator import Report, first_difference, load_journal
from .stored import load_run

_DESCRIPTION: Final = """\
Run a test again, exactly as it was, and say whether it is the same run, message by message. Nothing is kept of it.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger replay store/latest          the latest run of all
  trio-messenger replay store/broadcast/7     that of the broadcast workload with seed 7
  trio-messenger replay store/latest --log-net-recv --log-stderr
                                              and show all messages, and what nodes log

Nodes in this process are looked for where they were when the test was run: start it in the same folder. Executables
run in real time, which nobody can repeat: they are run again with the same options, and may do something else.

exit status: that of `trio-messenger test`, for this run.
"""


def configure(parser: Parser) -> None:
    """Give *parser* what this command takes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that the run has left")
    add_logs(parser.add_argument_group("what is said"))
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    stored, subject = load_run(arguments.folder)
    report = run_and_tell(subject, stored.options, arguments)
    is_same = subject.is_virtual and report.digest == stored.digest
    comparison = _IN_REAL_TIME
    if subject.is_virtual:
        comparison = _SAME if is_same else _difference(arguments.folder, report)
    if arguments.json:
        put_json({**as_json(report, None), "same-run": is_same})
        Console().say(comparison)
    else:
        tell_and_keep(report, None)
        put(comparison)
    return STATUSES[report.valid]


_SAME: Final = "This is the same run, message by message."

_IN_REAL_TIME: Final = (
    "This is another run with the same options: executables run in real time, which cannot be repeated."
)


def _difference(folder: Path, report: Report) -> str:
    """Return where *report* is not that of the run in *folder*."""
    try:
        found = first_difference(load_journal(folder), report.journal)
    except (OSError, ValueError) as exc:
        return f"This is not the same run; where it differs is not known: {exc}"
    if found is None:
        return "This is the same run as in journal.jsonl, message by message, but schedule.json has another digest."
    lines = [f"This is not the same run: it differs from entry {found.index} of the journal on."]
    lines += [f"  both:   {text}" for text in found.before]
    lines += [f"  before: {found.first}", f"  now:    {found.second}"]
    lines.append(
        "Either the node's code is not the same any more, or something else than the seed decides; to see which:"
    )
    return "\n".join([*lines, f"  {report.command} --check-determinism"])
