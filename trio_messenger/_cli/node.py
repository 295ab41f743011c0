"""``trio-messenger node``: run a node on stdin and stdout, or on NATS."""

from __future__ import annotations

import argparse
import contextlib
import functools
import re
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from trio_messenger import FileStore, Node, StoreError, Transport

from .finding import NoSuchNodeError, find_node
from .nats_options import add_nats_options, open_transport, refuse_without_nats
from .parsing import Parser, UsageError, folder, import_extra, names, one_of, whole

_EXAMPLES: Final = """\
examples:
  trio-messenger node                         the messenger node
  trio-messenger node my_nodes:node           a Node in my_nodes.py, in this folder, or in an installed module
  trio-messenger node my_nodes:build          or a function that returns one
  (cat messages.jsonl; sleep 3) | trio-messenger node
                                              keep stdin open, to see RPCs reaped after 2 s
  trio-messenger node g-set --store data      keep what it stores in the folder data, also after a kill
  trio-messenger node --first-msg-id clock    for a node that is restarted: each life has its own numbers
  trio-messenger node broadcast --nats nats://10.0.0.1 --cluster demo --id n1 --peers n1,n2,n3
                                              one of three nodes on several machines
  trio-messenger node --metrics 127.0.0.1:9464 broadcast
                                              for Prometheus: http://127.0.0.1:9464/metrics

The node ends when stdin ends; on NATS, it has no stdin. SIGTERM and SIGINT end it in the same way: it writes all
answers first, however long stdout takes. A second signal ends it at once. SIGUSR1 prints statistics on stderr.
exit status: 0 at the end of stdin or after the first signal, 1 if stdin or stdout is closed or breaks, if NATS cannot
be reached or refuses the node, or if --metrics cannot listen, 2 for wrong arguments.
"""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
"""The log levels, from the most detailed to the least."""

MSG_ID_BITS: Final = 32
"""Each life of a node with a store has 2 to the power of this many numbers of messages. No life sends so many. Below
2**53, there are numbers for two million lives."""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = "Run a node on stdin and stdout, or on NATS.", _EXAMPLES
    parser.add_argument(
        "node",
        nargs="?",
        default="messenger",
        metavar="NAME | MODULE:NODE",
        help="a ready-made node, or your own Node, or a function that returns one (default: messenger)",
    )
    parser.add_argument(
        "--log-level",
        type=one_of("log level", LOG_LEVELS),
        default="warning",
        metavar=f"{{{','.join(LOG_LEVELS)}}}",
        help="the level of logs on stderr (default: warning)",
    )
    parser.add_argument(
        "--log-format",
        type=one_of("log format", ("text", "json")),
        default="text",
        metavar="{text,json}",
        help="text, or one JSON object per line on stderr (default: text)",
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
    parser.add_argument(
        "--metrics",
        type=_address,
        metavar="HOST:PORT",
        help="serve metrics for Prometheus on this address, as /metrics, and whether the node is ready and alive, as"
        " /ready and /live (default: nowhere)",
    )
    group = parser.add_argument_group("on NATS, a message server, for nodes on several machines")
    add_nats_options(group)
    group.add_argument("--id", metavar="ID", help="the id of this node; no other process may have it")
    group.add_argument("--peers", type=names, metavar="ID,ID...", help="the ids of all nodes, this one included")
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


def _address(text: str) -> tuple[str, int]:
    """Return the host and the port in *text*."""
    found = re.fullmatch(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})", text)
    if found is None or int(found["port"]) not in range(1, 1 << 16):
        raise argparse.ArgumentTypeError(
            f"{text!r:.80} is not an address; give a host and a port, such as 127.0.0.1:9464 or [::1]:9464"
        )
    return found["v6"] or found["host"], int(found["port"])


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
        node.run(
            log_level=arguments.log_level,
            first_msg_id=first,
            transport=_transport(arguments),
            log_format=arguments.log_format,
            within=_metrics(arguments, node),
        )
    return 0


def _metrics(arguments: argparse.Namespace, node: Node) -> Callable[[], AbstractAsyncContextManager[object]]:
    """Return what serves the metrics of *node* where *arguments* say; nothing, if they say nothing."""
    if arguments.metrics is None:
        return contextlib.nullcontext
    metrics = import_extra("metrics", "trio_messenger.metrics", ("prometheus_client", "h11"))
    return functools.partial(metrics.open_metrics, node, *arguments.metrics)


def _transport(arguments: argparse.Namespace) -> Callable[[], AbstractAsyncContextManager[Transport]] | None:
    """Return what opens the transport that *arguments* define; None for stdin and stdout."""
    if arguments.nats is None:
        refuse_without_nats(arguments, "id", "peers")
        return None
    for option in ("id", "peers"):
        if getattr(arguments, option) is None:
            raise UsageError(f"--{option} is missing: on NATS, no 'init' message says it")
    # A store counts the lives of a node. Without one, only the clock can tell its numbers from those of earlier lives.
    first = "clock" if arguments.store is None else 0
    transport = open_transport(arguments, arguments.id, arguments.peers, first_msg_id=first)
    return lambda: transport
