"""``trio-messenger services``: serve lin-kv, seq-kv and lin-tso to nodes on NATS, with their state in JetStream."""

from __future__ import annotations

import argparse
import signal
from typing import Any, Final

import trio

from trio_messenger import printable

from ..sim._for_cli import ON_JETSTREAM, Bucket, StreamError, bucket_of, service_node
from ..transports.subjects import SUBJECT_PREFIX
from .nats_options import add_nats_options, open_transport
from .output import complain
from .parsing import Parser, UsageError, count, some_of

_EXAMPLES: Final = """\
examples:
  trio-messenger services --nats nats://10.0.0.1 --cluster demo
                                              the services of the cluster demo; start as many as you like
  trio-messenger services --nats nats://10.0.0.1,nats://10.0.0.2,nats://10.0.0.3 --cluster demo --replicas 3
                                              three servers keep the state, and one of them may fail

SIGTERM and SIGINT end the command. exit status: 0 after a signal, 1 if NATS or JetStream cannot be reached or refuses,
2 for wrong arguments.
"""

_NOT_SERVED: Final = 1

_QUEUE: Final = "services"
"""The group in which NATS gives each request to one of the instances."""

_MOST_REPLICAS: Final = 5
"""As in JetStream."""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description = (
        "Serve lin-kv, seq-kv and lin-tso to nodes on NATS. JetStream, a part of NATS, keeps their state."
    )
    parser.epilog = _EXAMPLES
    add_nats_options(parser.add_argument_group("on NATS"))
    parser.add_argument(
        "--replicas",
        type=count(_MOST_REPLICAS),
        default=1,
        metavar="N",
        help="how many servers keep the state (default: 1); with 3, one of them may fail",
    )
    parser.add_argument(
        "--only",
        type=some_of("service", ON_JETSTREAM),
        default=list(ON_JETSTREAM),
        metavar="NAME,NAME...",
        help=f"serve only these: {', '.join(ON_JETSTREAM)}",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.nats is None:
        raise UsageError("--nats is missing: give the servers of the nodes")
    open_transport(arguments, ON_JETSTREAM[0], ON_JETSTREAM[:1])  # refuses wrong arguments
    failure = trio.run(_serve_all, arguments)
    if failure is None:
        return 0
    complain(f"trio-messenger services: {printable(failure)}")
    return _NOT_SERVED


async def _serve_all(arguments: argparse.Namespace) -> str | None:
    """Serve until a signal comes, and return None, or the reason why it cannot go on."""
    failures: list[str] = []
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            for name in arguments.only:
                nursery.start_soon(_serve, arguments, name, failures, nursery.cancel_scope)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
    return failures[0] if failures else None


async def _serve(arguments: argparse.Namespace, name: str, failures: list[str], ends: trio.CancelScope) -> None:
    transport: Any = open_transport(arguments, name, [name], queue=_QUEUE)
    bucket_name = bucket_of(arguments.prefix or SUBJECT_PREFIX, arguments.cluster, name)
    try:
        async with transport as opened:
            bucket = Bucket(opened.request, bucket_name, arguments.replicas)
            await bucket.open()
            await service_node(name, bucket).serve(opened)
    except (StreamError, trio.BrokenResourceError) as exc:
        failures.append(f"{exc}")
        ends.cancel()
