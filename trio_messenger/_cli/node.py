"""``trio-messenger node``: run a node on stdin and stdout."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any, Final

from trio_messenger import FileStore, Node, StoreError

from .finding import NoSuchNodeError, find_node
from .parsing import Parser, UsageError, folder, whole

_EXAMPLES: Final = """\
examples:
  trio-messenger node                         the messenger node
  trio-messenger node my_nodes:node           a Node in my_nodes.py, in this folder, or in an installed module
  trio-messenger node my_nodes:build          or a function that returns one
  (cat messages.jsonl; sleep 3) | trio-messenger node
                                              keep stdin open, to see RPCs reaped after 2 s
  trio-messenger node g-set --store data      keep what it stores in the folder data, also after a kill
  trio-messenger node --first-msg-id clock    for a node that is restarted: each life has its own numbers

The node ends when stdin ends. SIGTERM and SIGINT end it in the same way: it writes all answers first, however long
stdout takes. A second signal ends it at once. SIGUSR1 prints statistics on stderr.
exit status: 0 at the end of stdin or after the first signal, 1 if stdin or stdout is closed or breaks, 2 for wrong
arguments.
"""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
"""The log levels, from the most detailed to the least."""

MSG_ID_BITS: Final = 32
"""Each life of a node with a store has 2 to the power of this many numbers of messages. No life sends so many. Below
2**53, there are numbers for two million lives."""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = "Run a node on stdin and stdout.", _EXAMPLES
    parser.add_argument(
        "node",
        nargs="?",
        default="messenger",
        metavar="NAME | MODULE:NODE",
        help="a ready-made node, or your own Node, or a function that returns one (default: messenger)",
    )
    parser.add_argument(
        "--log-level", choices=LOG_LEVELS, default="warning", help="the level of logs on stderr (default: warning)"
    )
    parser.add_argument(
        "--first-msg-id",
        type=_first_msg_id,
        default=0,
        metavar="N|clock",
        help="the number of the first message, below 2**53, or 'clock' for the microseconds since 1970; a restarted "
        "node needs numbers that it has not used before (default: 0, or the Node's own first number if that is larger)",
    )
    parser.add_argument(
        "--store",
        type=folder,
        metavar="DIR",
        help="keep the node's data in this folder, for one process at a time; a restarted node continues with them, "
        "and with numbers of messages that it has not used (default: in memory)",
    )
    parser.set_defaults(run=_run)


def _first_msg_id(text: str) -> Any:
    """Return *text* as a number, or ``clock``."""
    if text == "clock":
        return text
    try:
        value = whole(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; give one such as 5, or: clock") from None
    try:
        Node(first_msg_id=value)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{exc}") from None
    return value


def _run(arguments: argparse.Namespace) -> int:
    first = arguments.first_msg_id
    with contextlib.ExitStack() as stack:

        def open_store() -> FileStore:
            nonlocal first
            store = stack.enter_context(FileStore(arguments.store))
            if first != "clock":
                first = max(first, store.life << MSG_ID_BITS)
            return store

        try:
            with contextlib.redirect_stdout(sys.stderr):  # the module may print; stdout is for messages only
                node = find_node(arguments.node, None if arguments.store is None else open_store)
        except (NoSuchNodeError, StoreError) as exc:
            raise UsageError(f"{exc}") from None
        node.run(log_level=arguments.log_level, first_msg_id=first)
    return 0
