"""``trio-messenger diagram``: draw all or some of the messages of a saved run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ..sim._for_cli import LIMIT, folder_command, headline, load, load_journal, space_time
from .ending import concluding
from .output import Console
from .parsing import GREATEST_WHOLE, Parser, UsageError, count, moment

_DESCRIPTION: Final = """\
Draw the messages of a saved run: the same diagram as its messages.svg, or another part of the run. The picture is an
SVG file. In a browser, it has filters, a time window and zoom.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger diagram store/latest --since 20 --until 22
                                              two seconds of the latest run
  trio-messenger diagram store/latest --only lost -o lost.svg
                                              the lost messages, in the file lost.svg
  trio-messenger diagram store/latest --only n1 --only n2 --limit 50
                                              the first fifty messages to or from n1 or n2

exit status: 0 if the diagram was drawn; 254 for wrong arguments, such as a folder without a run; 255 if something
broke; 130 if interrupted.
"""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of a saved run")
    parser.add_argument(
        "--since",
        type=moment,
        metavar="SECONDS",
        help="omit messages that ended before this second of the main phase; a negative number is a time in the set-up"
        " (default: omit none)",
    )
    parser.add_argument(
        "--until", type=moment, metavar="SECONDS", help="omit messages sent after this second (default: omit none)"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="WORD",
        help="draw messages of this kind: clients, nodes, services, errors, lost, duplicates, a type of message, or the"
        " id of a sender or receiver; if repeated, draw messages of any of these kinds (default: all)",
    )
    parser.add_argument(
        "--search",
        default="",
        metavar="WORDS",
        help="draw messages that contain all these words in the type, the ids of sender and receiver, or the body, such"
        " as 'read n1 message:17' (default: all)",
    )
    parser.add_argument(
        "--limit",
        type=count(GREATEST_WHOLE),
        default=LIMIT,
        metavar="N",
        help="the largest number of messages to draw (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the picture file (default: diagram.svg in the run's folder)"
    )
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    since, until = arguments.since, arguments.until
    if since is not None and until is not None and not since < until:
        raise UsageError(f"--since {since:g} is not before --until {until:g}; make --since earlier or --until later")
    folder = arguments.folder
    output = folder / "diagram.svg" if arguments.output is None else arguments.output
    try:
        options, journal = load(folder).options, load_journal(folder)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{exc}") from None
    chosen = [part for word in arguments.only or () for part in ("--only", word)]
    chosen += ["--search", arguments.search] if arguments.search else []
    picture = space_time(
        journal,
        since=since,
        until=until,
        only=arguments.only,
        search=arguments.search,
        limit=arguments.limit,
        title=f"{headline(options)}, seed {options.seed}",
        command=folder_command("diagram", folder, *chosen),
    )
    try:
        output.write_text(picture, encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"{output} cannot be written: {exc.strerror}; give another file with --output") from None
    Console().say(f"drawn: {output}")
    return 0
