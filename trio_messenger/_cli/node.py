"""``trio-messenger node``: run a node on stdin and stdout."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any, Final

from trio_messenger import Node

from .finding import NoSuchNodeError, find_node
from .parsing import Parser, UsageError, whole

_EXAMPLES: Final = """\
examples:
  trio-messenger node                         the messenger node
  trio-messenger node my_nodes:node           a Node in my_nodes.py, in this folder, or in an installed module
  trio-messenger node my_nodes:build          or a function that returns one
  (cat messages.jsonl; sleep 3) | trio-messenger node
                                              keep stdin open, to see RPCs reaped after 2 s
  trio-messenger node --first-msg-id clock    a node that is killed and started again: each life has its own numbers

The node ends when stdin does. SIGTERM and SIGINT end it likewise, with all answers written, however long stdout takes;
a second one ends it at once. SIGUSR1 prints statistics on stderr.
exit status: 0 at the end of stdin or by the first signal, 1 if stdin or stdout is closed or breaks, 2 for wrong
arguments.
"""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
"""What may be logged, from all to hardly anything."""


def configure(parser: Parser) -> None:
    """Give *parser* what this command takes."""
    parser.description, parser.epilog = "Run a node on stdin and stdout.", _EXAMPLES
    parser.add_argument(
        "node",
        nargs="?",
        default="messenger",
        metavar="NAME | MODULE:NODE",
        help="a ready-made node, or a Node of yours, or a function that returns one (default: messenger)",
    )
    parser.add_argument(
        "--log-level", choices=LOG_LEVELS, default="warning", help="what to log on stderr (default: warning)"
    )
    parser.add_argument(
        "--first-msg-id",
        type=_first_msg_id,
        default=0,
        metavar="N|clock",
        help="the number of the first message, below 2**53, or 'clock' for the microseconds since 1970; a node that is "
        "restarted needs numbers that it has not used before (default: 0, or what the Node says if that is larger)",
    )
    parser.set_defaults(run=_run)


def _first_msg_id(text: str) -> Any:
    """Return the number that *text* says, or ``clock``."""
    if text == "clock":
        return text
    try:
        value = whole(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; give one such as 5, or: clock") from None
    try:
        Node(first_msg_id=value)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{exc}") from None
    return value


def _run(arguments: argparse.Namespace) -> int:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what a module prints when it is imported is no message
            node = find_node(arguments.node)
    except NoSuchNodeError as exc:
        raise UsageError(f"{exc}") from None
    node.run(log_level=arguments.log_level, first_msg_id=arguments.first_msg_id)
    return 0
