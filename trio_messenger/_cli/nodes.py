"""``trio-messenger nodes``: list the ready-made nodes."""

from __future__ import annotations

import argparse

from ..nodes import NODES
from .output import print_only
from .parsing import Parser


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description = "List the ready-made nodes."
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    width = max(map(len, NODES))
    return print_only("\n".join(f"{name:{width}}  {summary}" for name, summary in NODES.items()))
