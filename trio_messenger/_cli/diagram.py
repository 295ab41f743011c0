"""``trio-messenger diagram``: draw the messages of a run that was kept, all or some of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from .ending import concluding
from .output import Console
from .parsing import GREATEST_WHOLE, Parser, UsageError, count, moment
from .simulator import LIMIT, folder_command, headline, load, load_journal, space_time

_DESCRIPTION: Final = """\
Draw who sent what to whom in a run that was kept: the same diagram as its messages.svg, or another part of it. The
picture is SVG; in a browser it has filters, a window of time and zoom of its own.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger diagram store/latest --since 20 --until 22
                                              two seconds of the latest run of all
  trio-messenger diagram store/latest --only lost -o lost.svg
                                              what was lost, to a file of that name
  trio-messenger diagram store/latest --only n1 --only n2 --limit 50
                                              the first fifty messages to or from either of two nodes

exit status: 0 if it was drawn, 254 if not.
"""


def configure(parser: Parser) -> None:
    """Give *parser* what this command takes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that the run has left")
    parser.add_argument(
        "--since",
        type=moment,
        metavar="SECONDS",
        help="leave out what was over before this second of the main phase; negative for the set-up (default: none)",
    )
    parser.add_argument(
        "--until", type=moment, metavar="SECONDS", help="leave out what was sent after that second (default: none)"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="WORD",
        help="draw messages of which this holds: clients, nodes, services, errors, lost, duplicates, a type of message,"
        " the id of a sender or receiver; may be repeated, for those of which any holds (default: all)",
    )
    parser.add_argument(
        "--search",
        default="",
        metavar="WORDS",
        help="draw messages in which all these words are found: in the type, the ids of sender and receiver, or the"
        " body, as in 'read n1 message:17' (default: all)",
    )
    parser.add_argument(
        "--limit",
        type=count(GREATEST_WHOLE),
        default=LIMIT,
        metavar="N",
        help="messages at the most (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the picture (default: diagram.svg in the run's folder)"
    )
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    since, until = arguments.since, arguments.until
    if since is not None and until is not None and not since < until:
        raise UsageError(f"--since {since:g} is not before --until {until:g}; nothing was sent in between")
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
        raise UsageError(f"{output} cannot be written: {exc.strerror}; give another file by --output") from None
    Console().say(f"drawn: {output}")
    return 0
