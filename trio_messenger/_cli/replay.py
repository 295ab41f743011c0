"""``trio-messenger replay``: run a test again, exactly as it was."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ..sim._for_cli import Report, first_difference, load_journal
from .arguments import add_logs, add_option
from .ending import STATUSES, concluding
from .outcome import put_json, report_as_json, tell_and_keep
from .output import Console, put
from .parsing import Parser
from .progress import run_and_tell
from .stored import load_run

_DESCRIPTION: Final = """\
Run a test again, exactly as it was, and compare the two runs message by message. The new run is not saved.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger replay store/latest          the latest run
  trio-messenger replay store/broadcast/7     the run of the broadcast workload with seed 7
  trio-messenger replay store/latest --log-net-recv --log-stderr
                                              also show all messages and the nodes' logs

For nodes in this process, start the command in the folder where you ran the test: it looks for their modules there.
Executables and nodes on NATS run in real time, which cannot be repeated: a new run with the same options may do
something else.

exit status: as for `trio-messenger test`, for this run.
"""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of a saved run")
    add_option(parser.add_argument_group("the nodes"), "invariants")
    add_logs(parser.add_argument_group("output"))
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    stored, subject = load_run(arguments.folder, arguments.invariant or ())
    report = run_and_tell(subject, stored.options, arguments)
    is_same = subject.is_virtual and report.digest == stored.digest
    comparison = _IN_REAL_TIME
    if subject.is_virtual:
        comparison = _SAME if is_same else _difference(arguments.folder, report)
    if arguments.json:
        put_json({**report_as_json(report, None), "same-run": is_same})
        Console().say(comparison)
    else:
        tell_and_keep(report, None)
        put(comparison)
    return STATUSES[report.valid]


_SAME: Final = "This is the same run, message by message."

_IN_REAL_TIME: Final = "This is another run with the same options: it ran in real time, which cannot be repeated."


def _difference(folder: Path, report: Report) -> str:
    """Return the first difference between *report* and the run in *folder*, as text."""
    try:
        found = first_difference(load_journal(folder), report.journal)
    except (OSError, ValueError) as exc:
        return f"This is not the same run. The first difference is unknown: {exc}"
    if found is None:
        return "This is the same run as in journal.jsonl, message by message, but schedule.json has another digest."
    lines = [f"This is not the same run: it differs from entry {found.index} of the journal on."]
    lines += [f"  both:   {text}" for text in found.before]
    lines += [f"  before: {found.first}", f"  now:    {found.second}"]
    lines.append("Either the node's code has changed, or something other than the seed affects the run; to find out:")
    return "\n".join([*lines, f"  {report.command} --check-determinism"])
