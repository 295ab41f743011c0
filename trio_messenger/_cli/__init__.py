"""The command line, ``trio-messenger``: run a node, list the ready-made nodes, test nodes, replay test runs.

Each command is a module with a function ``configure``, which gives the command's parser its arguments and a function
``run``. Only the module of the chosen command is imported: a node may start a hundred times, and must not wait for the
simulator.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Final

from .._protocol.known_names import unknown
from .._serving.process import prepared
from .output import complain, settled
from .parsing import Parser, UsageError, Version

_DESCRIPTION: Final = """\
Run nodes that speak the Maelstrom protocol: JSON messages, one per line, in on stdin, out on stdout.
And test them in a simulated cluster, from a seed, while the network loses, delays and repeats messages.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger nodes                        list the ready-made nodes
  trio-messenger node < messages.jsonl        run the messenger node on messages from a file
  trio-messenger node my_nodes:node           run the node with the name `node` in my_nodes.py
  trio-messenger node --log-level info        log more on stderr
  maelstrom test -w echo --bin "$(command -v trio-messenger)" -- node
  trio-messenger test -w echo --node my_nodes:node
                                              test it, in a simulated cluster
"""

_COMMANDS: Final = {
    "node": ("node", "run a node on stdin and stdout, or on NATS"),
    "nodes": ("nodes", "list the ready-made nodes"),
    "call": ("call", "send one request to a node, and print its reply"),
    "nats-config": ("nats_config", "print a server configuration for nodes on NATS"),
    "services": ("nats_services", "serve lin-kv, seq-kv and lin-tso to nodes on NATS"),
    "test": ("test", "test nodes in a simulated cluster"),
    "replay": ("replay", "run a test again, exactly as it was"),
    "shrink": ("shrink", "find the few faults that make a test fail"),
    "check": ("check", "judge a history, of a test or from elsewhere"),
    "diagram": ("diagram", "draw the messages of a test, or some of them"),
}
"""The module of each command, and its summary."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (by default the process's own) and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    with prepared() if _command_in(words) == "node" else settled():
        arguments, parser = parse(words)
        run: Callable[[argparse.Namespace], int] = arguments.run
        try:
            return run(arguments)
        except UsageError as exc:
            complain(f"trio-messenger: error: {exc}")
            return parser.error_status


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, Parser]:
    """Return the parsed *words*, with the function ``run``, and the parser of their command.

    If the command passes the words after ``--`` on, they are in ``rest``. Ends the process if *words* are wrong.
    """
    command = _command_in(words)
    parser = Parser(prog="trio-messenger", description=_DESCRIPTION, epilog=_EXAMPLES)
    chosen = _add_commands(parser, command)
    if command is not None and command not in _COMMANDS:
        parser.error(unknown("command", command, _COMMANDS))
    words, rest = chosen.split(words)
    arguments, others = parser.parse_known_args(words)
    chosen.refuse(others)
    arguments.rest = rest
    return arguments, chosen


def _command_in(words: Sequence[str]) -> str | None:
    return next((word for word in words if not word.startswith("-")), None)


def _add_commands(parser: Parser, command: str | None) -> Parser:
    """Add all commands to *parser*, and arguments to *command*; return the parser of *command*, or *parser*."""
    parser.add_argument("--version", action=Version, help="show the version, and end")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    chosen = parser
    for name, (module, summary) in _COMMANDS.items():
        added = commands.add_parser(name, help=summary)
        if name == command:
            importlib.import_module(f"trio_messenger._cli.{module}").configure(added)
            chosen = added
    return chosen
