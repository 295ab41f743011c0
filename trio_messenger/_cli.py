"""The command line, ``trio-messenger``: run a node, list the ready-made ones."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Sequence

from ._node import Node
from .nodes import NODES

_DESCRIPTION = "Run nodes that speak the Maelstrom protocol: JSON messages, one a line, in on stdin, out on stdout."

_EXAMPLES = """\
examples:
  trio-messenger nodes                        what ready-made nodes there are
  trio-messenger node < messages.jsonl        run the messenger node on messages from a file
  trio-messenger node my_nodes:node           run the node of that name in my_nodes.py
  trio-messenger node --log-level info        say more on stderr
  maelstrom test -w echo --bin "$(command -v trio-messenger)" -- node
"""

_NODE_EXAMPLES = """\
examples:
  trio-messenger node                         the messenger node
  trio-messenger node my_nodes:node           a Node in my_nodes.py, in this folder, or in an installed module
  trio-messenger node my_nodes:build          or a function that returns one
  (cat messages.jsonl; sleep 3) | trio-messenger node
                                              keep stdin open, to see RPCs reaped after 2 s

The node ends when stdin does. SIGTERM and SIGINT end it likewise, with all answers written, however long stdout takes;
a second one ends it at once. SIGUSR1 prints statistics on stderr.
exit status: 0 at the end of stdin or by the first signal, 1 if stdin or stdout is closed or breaks, 2 for wrong
arguments.
"""

LOG_LEVELS = ("debug", "info", "warning", "error")


class UsageError(Exception):
    """The arguments name something that is not there; the text says what is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (by default the process's own) and return the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except UsageError as exc:
        print(f"trio-messenger: error: {exc}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="trio-messenger", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"trio-messenger {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    node = commands.add_parser(
        "node",
        help="run a node on stdin and stdout",
        description="Run a node on stdin and stdout.",
        epilog=_NODE_EXAMPLES,
        formatter_class=raw,
    )
    node.add_argument(
        "node",
        nargs="?",
        default="messenger",
        metavar="NAME | MODULE:NODE",
        help="a ready-made node, or a Node of yours, or a function that returns one (default: messenger)",
    )
    node.add_argument(
        "--log-level", choices=LOG_LEVELS, default="warning", help="what to log on stderr (default: warning)"
    )
    node.set_defaults(run=_run_node)

    nodes = commands.add_parser("nodes", help="list the ready-made nodes", description="List the ready-made nodes.")
    nodes.set_defaults(run=_list_nodes)
    return parser


def _version() -> str:
    return importlib.metadata.version("trio-messenger")


def _list_nodes(_: argparse.Namespace) -> int:
    width = max(map(len, NODES))
    try:
        for name, summary in NODES.items():
            print(f"{name:{width}}  {summary}", flush=True)
    except BrokenPipeError:  # `nodes | head`, say
        sys.stdout = None  # nor must Python try to flush it at exit
        return 1
    return 0


def _run_node(arguments: argparse.Namespace) -> int:
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints when it is imported is no message
        node = find_node(arguments.node)
    node.run(log_level=arguments.log_level)
    return 0


def find_node(name: str) -> Node:
    """Make the node that *name* stands for: one of `NODES`, or ``MODULE:NODE``.

    Raises:
      UsageError: if there is no such node, or what is there makes none.
    """
    if ":" in name:
        module_name, _, factory_name = name.partition(":")
        sys.path.insert(0, "")  # a module in the current folder, as with python -m
    elif name in NODES:
        module_name, factory_name = f"trio_messenger.nodes.{name}", "build"
    else:
        near = difflib.get_close_matches(name, NODES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        known = ", ".join(NODES)
        raise UsageError(f"there is no node {name!r}{hint} There are: {known}. Your own is given as MODULE:NODE")
    factory = _find_factory(module_name, factory_name, name)
    if isinstance(factory, Node):
        return factory
    try:
        inspect.signature(factory).bind()
    except TypeError as exc:
        raise UsageError(
            f"{name}: cannot be called without arguments ({exc}); name a function such as build()"
        ) from None
    node = factory()
    if not isinstance(node, Node):
        raise UsageError(f"{name} returned {node!r:.80}, which is no trio_messenger.Node")
    return node


def _find_factory(module_name: str, factory_name: str, name: str) -> Callable[[], object] | Node:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (module_name + ".").startswith(exc.name + "."):
            raise  # the module is there, and something that it imports is not: its traceback says more
        raise UsageError(
            f"{name}: there is no module {exc.name!r} in this folder or among the installed ones"
        ) from None
    except (TypeError, ValueError) as exc:  # a relative or an empty name
        raise UsageError(f"{name}: {exc}; write MODULE:NODE, such as my_nodes:build") from None
    factory: Callable[[], object] | Node | None = getattr(module, factory_name, None)
    if not (callable(factory) or isinstance(factory, Node)):
        functions = [
            key
            for key, value in vars(module).items()
            if (getattr(value, "__module__", None) == module.__name__ and callable(value)) or isinstance(value, Node)
        ]
        near = difflib.get_close_matches(factory_name, functions, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{name}: module {module_name!r} has no function {factory_name!r}{hint}")
    return factory
