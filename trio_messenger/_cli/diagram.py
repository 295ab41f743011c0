"""``trio-messenger diagram``: draw all or some of the messages of a saved run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from .._protocol.known_names import unknown
from ..sim._for_cli import (
    LIMIT,
    Entry,
    Flow,
    Passage,
    draw_flow,
    folder_command,
    headline,
    load,
    load_journal,
    read_flow,
    words_of,
)
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

exit status: 0 if the diagram was drawn; 254 for wrong arguments, such as a folder without a run, or words that match no
message; 255 if something broke; 130 if interrupted.
"""

_WORDS_LISTED: Final = 30
"""How many words an error lists; a run may have thousands of clients."""


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
    flow = read_flow(journal, since, until, arguments.only, arguments.search, arguments.limit)
    _check_words(arguments, journal, flow.passages)
    picture = draw_flow(
        flow,
        title=f"{headline(options)}, seed {options.seed}",
        command=folder_command("diagram", folder, *chosen),
    )
    try:
        output.write_text(picture, encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"{output} cannot be written: {exc.strerror}; give another file with --output") from None
    Console().say(f"drawn: {output}")
    return 0


def _check_words(arguments: argparse.Namespace, journal: Iterable[Entry], chosen: Sequence[Passage]) -> None:
    """Tell which words of ``--only`` match no message.

    Raises:
      UsageError: if *chosen* is empty; the text says why, and what messages there are.
    """
    if chosen and not arguments.only:
        return
    in_window = _flow(journal, arguments.since, arguments.until)
    if not in_window.passages:
        times = [passage.send.t / 1e9 for passage in _flow(journal).passages]
        of_run = f"they are sent from {min(times):.6g} s until {max(times):.6g} s" if times else "the run has none"
        raise UsageError(f"there is no message between --since and --until; {of_run}")
    words = words_of(in_window)
    listed = (
        words if len(words) <= _WORDS_LISTED else [*words[:_WORDS_LISTED], f"and {len(words) - _WORDS_LISTED:,} more"]
    )
    missing = [word for word in arguments.only or () if word not in words]
    told = [f"--only: {unknown('message of the kind', word, listed)}" for word in missing]
    if missing and missing == arguments.only:
        raise UsageError(told[0])
    if not chosen:
        few = _flow(journal, arguments.since, arguments.until, arguments.only)
        types = ", ".join(dict.fromkeys(passage.type for passage in few.passages))
        raise UsageError(
            f"no message has all the words of --search {arguments.search!r:.80}; leave some out. There are messages of"
            f" the types: {types}"
        )
    for text in told:
        Console().say(text)


def _flow(
    journal: Iterable[Entry], since: float | None = None, until: float | None = None, only: list[str] | None = None
) -> Flow:
    """Return all messages of a window, or those that *only* matches."""
    return read_flow(journal, since, until, only, "", sys.maxsize)
